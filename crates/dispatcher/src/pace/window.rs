//! What lies in the rolling window that ends now: the exact rule of the limit, in memory that does not grow with it.
//!
//! ```text
//!          ┌──┬──┬──┬──┬─ … ─┬──┐        1,024 parts to an interval; a request counts in the part in which it arrives
//!  parts   │ 2│ 0│ 1│ 3│     │ 1│        at the latest, and until a whole interval has passed since that part's end
//!          └──┴──┴──┴──┴─ … ─┴──┘
//! ```
//! So a part's length, a thousandth of the interval, is all that is lost to not keeping every instant; a limit of ten
//! million needs no more memory than one of one. All times are nanoseconds since an origin of the caller's.

/// How many parts an interval has.
const PARTS: u64 = 1_024;
/// How many parts of the future are kept: until its answer is there a request may be counted so much later than it was sent.
const FUTURE: u64 = PARTS / 8;

/// Requests of the last interval.
#[derive(Debug)]
pub(super) struct Window {
    /// The interval.
    interval: u64,
    /// The length of a part.
    part: u64,
    /// Requests by part, in a ring.
    counts: Vec<u32>,
    /// The oldest part that counts; no request lies in an older one.
    oldest: u64,
    /// The sum of all parts.
    total: u64,
}

impl Window {
    /// A window of that length, in which nothing lies.
    pub(super) fn new(interval: u64) -> Self {
        let length = usize::try_from(PARTS + FUTURE + 3).unwrap_or(usize::MAX);
        Self { interval, part: interval.div_ceil(PARTS).max(1), counts: vec![0; length], oldest: 0, total: 0 }
    }

    /// How far in the future a request can be counted at most.
    pub(super) const fn future(&self) -> u64 {
        self.part * FUTURE
    }

    /// Lets go of what lies outside the interval that ends now.
    pub(super) fn move_to(&mut self, now: u64) {
        let oldest = now.saturating_sub(self.interval) / self.part;
        while self.oldest < oldest && self.total > 0 {
            self.total -= u64::from(self.count(self.oldest).map(std::mem::take).unwrap_or_default());
            self.oldest += 1;
        }
        self.oldest = self.oldest.max(oldest);
    }

    /// How many requests lie in it.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// When the next of them leaves; none when it is empty.
    pub(super) fn leaves_at(&mut self) -> Option<u64> {
        if self.total == 0 {
            return None;
        }
        let mut ring = (self.oldest..).take(self.counts.len());
        let first = ring.find(|part| self.count(*part).is_some_and(|count| *count > 0))?;
        Some((first + 1) * self.part + self.interval)
    }

    /// Counts requests that arrive at `at` at the latest.
    pub(super) fn add(&mut self, at: u64, requests: u64) {
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        let part = (at / self.part).max(self.oldest);
        if let Some(count) = self.count(part) {
            *count = count.saturating_add(requests);
            self.total += u64::from(requests);
        }
    }

    /// A request that was counted at `from` arrived at `to` at the latest, which is not in the future.
    pub(super) fn shift(&mut self, from: u64, to: u64) {
        let part = from / self.part;
        if part < self.oldest {
            return;
        }
        if let Some(count) = self.count(part).filter(|count| **count > 0) {
            *count -= 1;
            self.total -= 1;
            if to / self.part >= self.oldest {
                self.add(to, 1);
            }
        }
    }

    /// The counter of a part.
    fn count(&mut self, part: u64) -> Option<&mut u32> {
        let length = u64::try_from(self.counts.len()).unwrap_or(1);
        self.counts.get_mut(usize::try_from(part % length).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Window;

    #[test]
    fn a_request_leaves_a_whole_interval_after_it_arrived_and_at_most_a_part_later() {
        let mut window = Window::new(1_024_000);
        window.add(5_500, 1);
        let leaves = window.leaves_at().unwrap();
        assert!((1_024_000 + 5_500..=1_024_000 + 6_500).contains(&leaves), "{leaves}");
        window.move_to(leaves - 1);
        assert_eq!(window.total(), 1);
        window.move_to(leaves);
        assert_eq!((window.total(), window.leaves_at()), (0, None));
    }

    #[test]
    fn what_is_learnt_of_an_arrival_moves_it() {
        let mut window = Window::new(1_024_000);
        window.add(50_000, 1);
        window.shift(50_000, 10_000);
        assert_eq!(window.leaves_at(), Some(1_024_000 + 11_000));
        window.move_to(1_024_000 + 11_000);
        window.shift(10_000, 90_000);
        assert_eq!(window.total(), 0, "what has left does not come back");
    }

    /// A window whose parts are 1,000 long, late enough that it is full of parts: the oldest is the 3,976th.
    fn late() -> Window {
        let mut window = Window::new(1_024_000);
        window.move_to(5_000_500);
        window
    }

    #[test]
    fn a_request_may_be_counted_an_eighth_of_the_interval_ahead_and_is_found_there() {
        let mut window = late();
        assert_eq!(window.future(), 128_000);
        window.add(5_000_500 + window.future(), 1);
        assert_eq!((window.total(), window.leaves_at()), (1, Some(5_129_000 + 1_024_000)));
    }

    #[test]
    fn a_request_that_arrived_before_the_window_is_let_go() {
        for counted in [3_976_999, 4_400_700, 5_100_000] {
            let mut window = late();
            window.add(counted, 1);
            window.shift(counted, 3_976_000);
            assert_eq!((window.total(), window.leaves_at()), (1, Some(3_977_000 + 1_024_000)), "{counted}: on the edge");
            window.shift(3_976_000, 3_975_999);
            assert_eq!(window.total(), 0, "{counted}: beyond it");
        }
    }

    #[test]
    fn where_no_request_is_counted_none_is_moved() {
        let mut window = late();
        window.add(4_400_700, 1);
        for empty in [3_975_999, 4_399_999, 4_401_000] {
            window.shift(empty, 4_000_000);
            assert_eq!((window.total(), window.leaves_at()), (1, Some(4_401_000 + 1_024_000)), "{empty}");
        }
    }

    #[test]
    fn what_is_counted_together_leaves_together() {
        let mut window = late();
        window.add(4_400_700, 3);
        window.add(4_400_100, 2);
        assert_eq!(window.total(), 5);
        window.move_to(4_401_000 + 1_024_000);
        assert_eq!(window.total(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn it_never_counts_fewer_than_there_are(
            interval in 1_u64..5_000_000,
            steps in proptest::collection::vec((0_u64..3_000_000, 0_u64..100_000, 0_u64..100_000), 1..200),
        ) {
            let (mut window, mut arrivals, mut now) = (Window::new(interval), Vec::new(), 0);
            for (step, counted, learnt) in steps {
                now += step % (interval / 2 + 2);
                window.move_to(now);
                let counted = now + counted % (window.future() + 1);
                window.add(counted, 1);
                let arrival = now + learnt % (counted - now + 1);
                window.shift(counted, arrival);
                arrivals.push(arrival);
                let inside = arrivals.iter().filter(|at| **at + interval > now).count();
                prop_assert!(window.total() >= u64::try_from(inside).unwrap());
            }
        }
    }
}
