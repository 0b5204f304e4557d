//! The bytes of the log: batches of records, each part with its own checksum.
//!
//! ```text
//! batch    magic u32 | body length u32 | records u32 | first offset u64 | CRC u32      24 bytes, little endian
//! body     one frame per record
//! frame    length u32 | CRC u32 | record as postcard
//! ```
//! The CRC of a batch's header also covers its position in the file: bytes of a header that stand elsewhere, say
//! inside a record that someone sent on purpose, never pass as one.

use events_proxy_core::envelope::Record;

/// The first bytes of a batch; the digit is the format's version.
pub(super) const MAGIC: [u8; 4] = *b"EPL1";
/// The size of a batch's header.
pub(super) const HEADER_BYTES: usize = 24;
/// The size of what stands before each record.
pub(super) const FRAME_BYTES: usize = 8;
/// No body is larger: a length beyond it is damage, and recovery never takes more memory.
pub(super) const BODY_BYTES_MAX: u32 = 64 << 20;

/// A size as positions count it.
pub(super) fn wide(size: usize) -> u64 {
    u64::try_from(size).expect("invariant: no size in memory exceeds 64 bits")
}

/// What stands before a batch's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The size of the body, in bytes.
    pub(super) len: u32,
    /// How many records; at least one.
    pub(super) count: u32,
    /// The offset of the first.
    pub(super) base: u64,
}

impl Header {
    /// Writes the header of a batch at a position of its file.
    pub(super) fn encode(&self, position: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(self.len.to_le_bytes());
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(self.base.to_le_bytes());
        bytes.extend(checksum(&bytes, position).to_le_bytes());
        bytes
    }

    /// Reads the header at a position of its file, or nothing when no header stands there.
    pub(super) fn decode(bytes: &[u8], position: u64) -> Option<Self> {
        let (guarded, crc) = bytes.split_at_checked(HEADER_BYTES - 4)?;
        let (magic, rest) = guarded.split_first_chunk::<4>()?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let (count, base) = rest.split_first_chunk::<4>()?;
        if *magic != MAGIC || checksum(guarded, position).to_le_bytes() != crc {
            return None;
        }
        let (len, count) = (u32::from_le_bytes(*len), u32::from_le_bytes(*count));
        let base = u64::from_le_bytes(base.try_into().ok()?);
        // Each record has a frame: a count that its body cannot hold is damage, and nobody goes through so many.
        let holds = u64::from(count) * wide(FRAME_BYTES) <= u64::from(len);
        (count > 0 && holds && len <= BODY_BYTES_MAX).then_some(Self { len, count, base })
    }

    /// The offset after the last record.
    pub(super) fn next(&self) -> u64 {
        self.base.saturating_add(u64::from(self.count))
    }

    /// The size of the whole batch, in bytes.
    pub(super) fn batch_bytes(&self) -> u64 {
        wide(HEADER_BYTES) + u64::from(self.len)
    }

    /// Says whether a body is whole: as many frames as promised, each as its checksum says, and nothing behind them.
    pub(super) fn covers(&self, mut body: &[u8]) -> bool {
        for _ in 0..self.count {
            let Some((len, crc, rest)) = split_frame(body) else { return false };
            let Some((record, rest)) = rest.split_at_checked(len) else { return false };
            if crc32fast::hash(record) != crc {
                return false;
            }
            body = rest;
        }
        body.is_empty()
    }
}

/// The checksum of a header's guarded part at a position.
fn checksum(guarded: &[u8], position: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(guarded);
    hasher.update(&position.to_le_bytes());
    hasher.finalize()
}

/// Splits what stands before a record: its length, its checksum, and the rest.
pub(super) fn split_frame(bytes: &[u8]) -> Option<(usize, u32, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*len)).ok()?, u32::from_le_bytes(*crc), rest))
}

/// Writes records as frames, one behind the other; nothing when they are too large for one batch.
pub(super) fn encode(records: &[Record]) -> Option<Vec<u8>> {
    let size: usize = records.iter().map(|record| record.bytes() + FRAME_BYTES + 16 + 8 * record.headers.len()).sum();
    if u32::try_from(size).map_or(true, |size| size > BODY_BYTES_MAX) {
        return None;
    }
    let mut bytes = Vec::with_capacity(size);
    for record in records {
        let at = bytes.len();
        bytes.extend([0; FRAME_BYTES]);
        bytes = postcard::to_extend(record, bytes).ok()?;
        let (head, encoded) = bytes.get_mut(at..)?.split_first_chunk_mut::<FRAME_BYTES>()?;
        let (len, crc) = head.split_first_chunk_mut::<4>()?;
        *len = u32::try_from(encoded.len()).ok()?.to_le_bytes();
        crc.copy_from_slice(&crc32fast::hash(encoded).to_le_bytes());
    }
    Some(bytes)
}

/// Reads a record from what its frame holds.
pub(super) fn decode(bytes: &[u8]) -> Result<Record, postcard::Error> {
    postcard::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use events_proxy_core::envelope::Record;
    use proptest::prelude::*;

    use super::{FRAME_BYTES, Header, decode, encode};

    proptest! {
        #[test]
        fn a_record_is_written_as_the_postcard_of_its_parts_and_read_back(
            key in proptest::collection::vec(any::<u8>(), 0..40),
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            headers in proptest::collection::btree_map(".{0,12}", proptest::collection::vec(any::<u8>(), 0..20), 0..5),
        ) {
            let parts = postcard::to_stdvec(&(&key, &payload, &headers)).unwrap();
            let record = Record { key, payload, headers: headers.into_iter().collect() };
            let frame = encode(std::slice::from_ref(&record)).unwrap();
            prop_assert_eq!(&frame[FRAME_BYTES..], parts);
            prop_assert_eq!(decode(&frame[FRAME_BYTES..]).unwrap(), record);
        }

        #[test]
        fn decoding_never_fails_to_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200), position in any::<u64>()) {
            drop(decode(&bytes));
            prop_assert_eq!(Header::decode(&bytes, position), None);
        }
    }

    #[test]
    fn a_header_is_one_only_where_it_was_written() {
        let header = Header { len: 9, count: 1, base: 40 };
        let bytes = header.encode(4_096);
        assert_eq!(Header::decode(&bytes, 4_096), Some(header));
        assert_eq!(Header::decode(&bytes, 4_097), None);
    }

    #[test]
    fn a_header_promises_no_more_records_than_its_body_can_hold() {
        for (len, count, good) in [(8, 1, true), (7, 1, false), (16, 2, true), (3, u32::MAX, false), (8, 0, false)] {
            let header = Header { len, count, base: 0 };
            assert_eq!(Header::decode(&header.encode(0), 0), good.then_some(header), "{len} bytes, {count} records");
        }
    }

    #[test]
    fn no_flipped_bit_goes_unseen() {
        let body = encode(&[Record { payload: b"one".to_vec(), ..Record::default() }, Record::default()]).unwrap();
        let header = Header { len: u32::try_from(body.len()).unwrap(), count: 2, base: 0 };
        assert!(header.covers(&body));
        for bit in 0..body.len() * 8 {
            let mut flipped = body.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!header.covers(&flipped), "bit {bit} was flipped");
        }
    }
}
