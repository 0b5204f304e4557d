//! How much of the limit was used lately.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// What was given out lately, in ten parts of a window.
#[derive(Debug)]
pub(super) struct Lately {
    /// When the first part began.
    origin: Instant,
    /// The length of a part.
    part: Duration,
    /// What a part may hold at the full limit.
    full: f64,
    /// Counts by part, in a ring, each with the number of its part in the upper half.
    counts: [AtomicU64; Self::PARTS],
}

impl Lately {
    /// How many parts are kept; the present one is not told, being unfinished.
    const PARTS: usize = 11;

    /// For a limit. A window under a second is counted as a second, one of a single request as ten.
    pub(super) fn new(requests: u32, interval: Duration) -> Self {
        let span = if requests < 10 { interval * 10 } else { interval.max(Duration::from_secs(1)) };
        let part = span / 10;
        let full = f64::from(requests) * part.as_secs_f64() / interval.as_secs_f64();
        Self { origin: Instant::now(), part, full, counts: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// The number of the part that a moment lies in.
    fn number(&self, now: Instant) -> u64 {
        let nanos = now.saturating_duration_since(self.origin).as_nanos() / self.part.as_nanos().max(1);
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    /// The counter of a part.
    fn counter(&self, number: u64) -> Option<&AtomicU64> {
        let parts = u64::try_from(Self::PARTS).unwrap_or(1);
        self.counts.get(usize::try_from(number % parts).unwrap_or_default())
    }

    /// Notes one slot.
    pub(super) fn note(&self, now: Instant) {
        let number = self.number(now);
        let tag = (number & 0xffff_ffff) << 32;
        let Some(counter) = self.counter(number) else { return };
        let counted = |old: u64| if old & !0xffff_ffff == tag { old + 1 } else { tag + 1 };
        // It never answers `Err`: the closure always has a next value.
        counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(counted(old))).ok();
    }

    /// The used share over the finished parts.
    pub(super) fn used(&self, now: Instant) -> f64 {
        let present = self.number(now);
        let finished = present.min(10);
        if finished == 0 {
            return 0.0;
        }
        let count = |number: u64| {
            let counted = self.counter(number).map_or(0, |counter| counter.load(Ordering::Relaxed));
            let matches = counted >> 32 == number & 0xffff_ffff;
            if matches { u32::try_from(counted & 0xffff_ffff).unwrap_or(u32::MAX) } else { 0 }
        };
        let sum: f64 = (present - finished..present).map(|number| f64::from(count(number))).sum();
        let parts = u32::try_from(finished).unwrap_or(10);
        (sum / (self.full * f64::from(parts))).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Lately;

    /// A second.
    const SECOND: Duration = Duration::from_secs(1);

    /// So many milliseconds after it began.
    fn at(lately: &Lately, millis: u64) -> Instant {
        lately.origin + Duration::from_millis(millis)
    }

    /// Notes so many slots at that time.
    fn note(lately: &Lately, millis: u64, slots: u32) {
        for _ in 0..slots {
            lately.note(at(lately, millis));
        }
    }

    /// The used share at that time, in percent.
    fn used(lately: &Lately, millis: u64) -> f64 {
        (lately.used(at(lately, millis)) * 1_000.0).round() / 10.0
    }

    #[test]
    fn the_share_is_that_of_the_parts_which_are_over() {
        let lately = Lately::new(100, SECOND);
        note(&lately, 50, 5);
        assert_eq!((used(&lately, 99), used(&lately, 100)), (0.0, 50.0));
        note(&lately, 199, 10);
        note(&lately, 200, 7);
        assert_eq!((used(&lately, 200), used(&lately, 299), used(&lately, 300)), (75.0, 75.0, 73.3));
    }

    #[test]
    fn what_is_older_than_a_window_no_longer_counts_and_its_place_is_used_again() {
        let lately = Lately::new(100, SECOND);
        note(&lately, 0, 10);
        note(&lately, 100, 10);
        assert_eq!((used(&lately, 1_000), used(&lately, 1_100), used(&lately, 1_200)), (20.0, 10.0, 0.0));
        note(&lately, 1_100, 4);
        assert_eq!((used(&lately, 1_200), used(&lately, 2_199), used(&lately, 2_200)), (4.0, 4.0, 0.0));
    }

    #[test]
    fn more_than_the_limit_is_told_as_all_of_it() {
        let lately = Lately::new(100, SECOND);
        note(&lately, 0, 30);
        assert_eq!(used(&lately, 100), 100.0);
    }

    #[test]
    fn a_short_window_is_looked_at_for_a_second_and_few_requests_for_ten_windows() {
        for (requests, interval, slots, over, share) in [
            (100, SECOND / 10, 50, 100, 50.0),
            (9, SECOND, 3, 1_000, 33.3),
            (10, SECOND * 2, 1, 200, 100.0),
            (100, SECOND * 3, 4, 300, 40.0),
        ] {
            let lately = Lately::new(requests, interval);
            note(&lately, 0, slots);
            assert_eq!((used(&lately, over - 1), used(&lately, over)), (0.0, share), "{requests} in {interval:?}");
        }
    }
}
