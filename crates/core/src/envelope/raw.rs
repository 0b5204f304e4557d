//! Bytes of a record in a format that knows bytes: written and read at once, not one by one as a list of numbers.

use serde::{Deserialize, Deserializer, Serializer};

/// Writes them.
pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// Reads them from a format that lends bytes, as the log's does.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    <&[u8]>::deserialize(deserializer).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::{BorrowedBytesDeserializer, Error, U8Deserializer};

    /// Reads from a format that lends these bytes.
    fn read(bytes: &[u8]) -> Vec<u8> {
        super::deserialize(BorrowedBytesDeserializer::<Error>::new(bytes)).unwrap()
    }

    #[test]
    fn bytes_are_read_as_they_are_lent_and_from_nothing_else() {
        assert_eq!((read(b"two apples"), read(&[0]), read(&[])), (b"two apples".to_vec(), vec![0], Vec::new()));
        let number: U8Deserializer<Error> = 7_u8.into_deserializer();
        assert!(super::deserialize(number).is_err());
    }
}
