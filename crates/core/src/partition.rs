//! Which partition a key belongs to.
//!
//! The same key always meets the same partition, and with it the same owner: that is what lets one owner tell a
//! repeated event from a new one. Changing this function or a topic's partition count breaks that for events
//! under way.

/// The partition of a key, in `0..partitions`; 0 when there are none to choose from.
///
/// CRC-32 (IEEE) modulo the count: stable over versions and machines.
#[must_use]
pub fn assign(key: &[u8], partitions: u32) -> u32 {
    crc32fast::hash(key).checked_rem(partitions).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::assign;

    #[test]
    fn the_mapping_is_pinned() {
        assert_eq!([b"shop\0a".as_slice(), b"shop\0b", b""].map(|key| assign(key, 24)), [19, 17, 0]);
    }

    #[test]
    fn keys_spread_evenly() {
        let mut counts = [0u32; 24];
        for n in 0..24_000 {
            counts[assign(format!("shop\0{n}").as_bytes(), 24) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn a_partition_exists(key in proptest::collection::vec(any::<u8>(), 0..64), partitions in 0u32..1_000) {
            prop_assert!(assign(&key, partitions) < partitions.max(1));
        }
    }
}
