//! How records ended that the offset has not passed yet: counted when it passes them, with the offset, in one transaction.

use std::collections::BTreeMap;

use storage::Passed;

/// How a record ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Its event was delivered.
    Delivered,
    /// Its event was parked.
    Parked,
    /// Its event is dead, or it was none.
    Dead,
    /// Its event had come before.
    Repeated,
    /// It was gone before it was read, or never was.
    Expired,
}

/// Records that have ended and are not passed, by their offset; as many as a partition is read ahead.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<u64, (Way, u64)>);

impl Tally {
    /// So many records from an offset on have ended that way.
    pub(super) fn note(&mut self, offset: u64, way: Way, records: u64) {
        self.0.insert(offset, (way, records));
    }

    /// Takes out what lies before an offset, and counts it.
    pub(super) fn pass(&mut self, next: u64) -> Passed {
        let ahead = self.0.split_off(&next);
        let mut passed = Passed::default();
        for (way, records) in std::mem::replace(&mut self.0, ahead).into_values() {
            let count = match way {
                Way::Delivered => &mut passed.delivered,
                Way::Parked => &mut passed.parked,
                Way::Dead => &mut passed.dead,
                Way::Repeated => &mut passed.repeated,
                Way::Expired => &mut passed.expired,
            };
            *count += records;
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use storage::Passed;

    use super::{Tally, Way};

    #[test]
    fn records_are_counted_when_the_offset_passes_them_and_once() {
        let mut tally = Tally::default();
        for (offset, way, records) in
            [(4, Way::Delivered, 1), (9, Way::Parked, 1), (5, Way::Repeated, 1), (6, Way::Expired, 3), (10, Way::Dead, 1)]
        {
            tally.note(offset, way, records);
        }
        assert_eq!(tally.pass(4), Passed::default());
        assert_eq!(tally.pass(9), Passed { delivered: 1, repeated: 1, expired: 3, ..Passed::default() });
        assert_eq!(tally.pass(9), Passed::default());
        assert_eq!(tally.pass(11), Passed { parked: 1, dead: 1, ..Passed::default() });
    }
}
