//! Bytes as lower-case hexadecimal digits: ids of traces, keys and secrets.

/// Appends two digits for each byte.
pub fn push(text: &mut String, bytes: &[u8]) {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' - 10 + value });
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
}

/// Two digits for each byte.
#[must_use]
pub fn of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push(&mut text, bytes);
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_byte_is_two_lower_case_digits() {
        assert_eq!(super::of(&[0x00, 0x09, 0x0a, 0x10, 0x9f, 0xff]), "00090a109fff");
    }
}
