//! An input as a short program: one byte says what to do, the next ones with what.

/// What is left of an input.
#[derive(Debug)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next byte; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// The next byte as a number; 0 at the end.
    pub(crate) fn small(&mut self) -> usize {
        self.next().map_or(0, usize::from)
    }

    /// The next two bytes as a number.
    pub(crate) fn number(&mut self) -> usize {
        self.small() << 8 | self.small()
    }

    /// The next bytes, as many as are left.
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
