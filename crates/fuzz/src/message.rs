//! An input with headers, written as in HTTP: a first line, lines `name: value`, an empty line, and a body.

/// The parts of an input.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    /// The first line.
    pub(crate) first: &'a [u8],
    /// The headers, in order.
    pub(crate) headers: Vec<(&'a str, &'a [u8])>,
    /// What follows the empty line.
    pub(crate) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Takes an input apart; lines that are no header are left out.
    pub(crate) fn read(input: &'a [u8]) -> Self {
        let (first, mut rest) = line(input);
        let mut headers = Vec::new();
        while !rest.is_empty() {
            let (header, behind) = line(rest);
            rest = behind;
            if header.is_empty() {
                break;
            }
            let Some(colon) = header.iter().position(|byte| *byte == b':') else { continue };
            let Some((name, value)) = header.split_at_checked(colon) else { continue };
            let value = value.strip_prefix(b": ").or_else(|| value.strip_prefix(b":")).unwrap_or_default();
            headers.extend(std::str::from_utf8(name).ok().map(|name| (name, value)));
        }
        Self { first, headers, body: rest }
    }

    /// The first line, where it is text.
    pub(crate) fn first_text(&self) -> &'a str {
        std::str::from_utf8(self.first).unwrap_or_default()
    }
}

/// The first line, and what follows it.
pub(crate) fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let (line, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    (line, rest.strip_prefix(b"\n").unwrap_or_default())
}
