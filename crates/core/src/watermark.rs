//! Out-of-order completion with an in-order commit.
//!
//! Records are taken in offset order and finish in any order; what may be committed is the first offset that is
//! not done yet.
//!
//! ```text
//! taken   17  18  19  20  21
//! done     ✓   ✓       ✓          committable: 19 (everything before it is done)
//! ```

use std::collections::VecDeque;

use crate::Moment;

/// One taken offset.
#[derive(Debug, Clone, Copy)]
struct Taken {
    /// The record's offset.
    offset: u64,
    /// Its size, for the bound on bytes.
    bytes: usize,
    /// Since when its event is with us.
    since: Option<Moment>,
    /// Whether it is finished.
    done: bool,
}

/// The offsets under way of one partition.
#[derive(Debug)]
pub struct Watermark {
    /// Taken offsets, rising; the first is never done.
    taken: VecDeque<Taken>,
    /// The offset after the last one taken.
    next: u64,
    /// The bytes of all offsets in `taken`.
    bytes: usize,
}

impl Watermark {
    /// Starts at the offset that will be taken first.
    #[must_use]
    pub const fn new(next: u64) -> Self {
        Self { taken: VecDeque::new(), next, bytes: 0 }
    }

    /// Takes the next offset. Offsets rise but may have gaps (compaction, control records); a gap counts as done.
    ///
    /// Returns `false`, and takes nothing, if the offset was passed already.
    #[must_use]
    pub fn take(&mut self, offset: u64, bytes: usize) -> bool {
        self.push(offset, bytes, None)
    }

    /// As [`Self::take`], for an event that has been with us since that moment.
    #[must_use]
    pub fn take_since(&mut self, offset: u64, bytes: usize, since: Moment) -> bool {
        self.push(offset, bytes, Some(since))
    }

    /// Takes an offset, unless it was passed.
    fn push(&mut self, offset: u64, bytes: usize, since: Option<Moment>) -> bool {
        if offset < self.next {
            return false;
        }
        self.taken.push_back(Taken { offset, bytes, since, done: false });
        self.bytes += bytes;
        self.next = offset + 1;
        true
    }

    /// Goes on at an offset: those before it that were not taken do not exist any more, and count as done.
    pub fn pass_to(&mut self, offset: u64) {
        self.next = self.next.max(offset);
    }

    /// Marks an offset done. An offset that is not under way is ignored: it was finished before.
    pub fn finish(&mut self, offset: u64) {
        if let Ok(at) = self.taken.binary_search_by_key(&offset, |taken| taken.offset)
            && let Some(taken) = self.taken.get_mut(at)
        {
            taken.done = true;
        }
        while let Some(first) = self.taken.front()
            && first.done
        {
            self.bytes -= first.bytes;
            self.taken.pop_front();
        }
    }

    /// The offset to commit: everything before it is done.
    #[must_use]
    pub fn committable(&self) -> u64 {
        self.taken.front().map_or(self.next, |first| first.offset)
    }

    /// Since when the first unfinished event is with us, if that was told.
    #[must_use]
    pub fn oldest(&self) -> Option<Moment> {
        self.taken.front().and_then(|first| first.since)
    }

    /// How many offsets lie between the first unfinished one and the last one taken.
    #[must_use]
    pub fn span(&self) -> usize {
        self.taken.len()
    }

    /// The bytes of that span.
    #[must_use]
    pub const fn span_bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Watermark;
    use crate::Moment;

    #[test]
    fn the_first_unfinished_offset_holds_the_commit_back() {
        let mut mark = Watermark::new(17);
        for offset in 17..22 {
            assert!(mark.take_since(offset, 10, Moment::from_micros(i64::try_from(offset).unwrap())));
        }
        for offset in [18, 20, 17] {
            mark.finish(offset);
        }
        assert_eq!((mark.committable(), mark.span(), mark.span_bytes()), (19, 3, 30));
        assert_eq!(mark.oldest(), Some(Moment::from_micros(19)));
    }

    #[test]
    fn offsets_that_are_gone_are_passed_once_what_lies_before_them_is_done() {
        let mut mark = Watermark::new(5);
        assert!(mark.take(5, 1));
        mark.pass_to(40);
        assert_eq!(mark.committable(), 5);
        assert!(!mark.take(39, 1));
        mark.finish(5);
        assert_eq!((mark.committable(), mark.oldest()), (40, None));
        mark.pass_to(7);
        assert_eq!(mark.committable(), 40);
    }

    #[test]
    fn a_passed_offset_is_not_taken_again_and_a_gap_is_no_obstacle() {
        let mut mark = Watermark::new(5);
        assert!(!mark.take(4, 1));
        assert!(mark.take(9, 1));
        mark.finish(9);
        mark.finish(9);
        assert_eq!(mark.committable(), 10);
    }

    proptest! {
        #[test]
        fn nothing_unfinished_is_ever_below_the_commit(order in Just((0u64..64).collect::<Vec<_>>()).prop_shuffle(), finished in 0usize..64) {
            let mut mark = Watermark::new(0);
            for offset in 0..64 {
                prop_assert!(mark.take(offset, 1));
            }
            for offset in &order[..finished] {
                mark.finish(*offset);
            }
            let lowest_open = order[finished..].iter().min().copied().unwrap_or(64);
            prop_assert_eq!(mark.committable(), lowest_open);
            prop_assert_eq!(mark.span_bytes() as u64, 64 - lowest_open);
        }
    }
}
