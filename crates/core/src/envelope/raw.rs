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
