//! What answers tell of when their requests arrived, and how much of the limit that knowledge may cost.
//!
//! ```text
//!  sent ──▶ arrived ─ … ─▶ answered        all of a round trip may have passed before the arrival; where even the least
//!   │          ?              │            one seen is long, most of that is the target's own work, after the arrival
//! ```
//! Counting all of it makes the limit exact whatever the network does. A target that takes 20 to 200 ms for its own work
//! looks like a slow network, though, and would cost much of the limit. So of the least round trip only as much counts as
//! the slots give away in any case, and what a round trip took beyond it is paid from a credit that grows with every
//! request: rare delays are covered wholly, constant ones up to what the credit gives. What this process itself is late by,
//! on a machine with too much to do, is no work of the target's, and costs no credit.

use std::time::Duration;

/// How many round trips make up a generation of the least one.
const GENERATION: u32 = 512;
/// How many round trips must be seen before the least of them is believed.
const BELIEVED: u32 = 16;

/// The jitter of one target's answers.
#[derive(Debug)]
pub(super) struct Jitter {
    /// The least round trip of the last generation, and of this one.
    least: (Option<Duration>, Option<Duration>),
    /// How late this process was at most in the last generation, and in this one.
    late: (Duration, Duration),
    /// Round trips of this generation.
    seen: u32,
    /// What may be spent.
    credit: Duration,
    /// What each request adds.
    earned: Duration,
    /// The most that is saved up.
    most: Duration,
    /// So much of the least round trip counts as time on the way too.
    whole: Duration,
}

impl Jitter {
    /// Nothing is known yet; the credit is full, for the first requests open connections and take long.
    pub(super) const fn new(earned: Duration, most: Duration, whole: Duration) -> Self {
        Self { least: (None, None), late: (Duration::ZERO, Duration::ZERO), seen: 0, credit: most, earned, most, whole }
    }

    /// A request was sent.
    pub(super) fn earn(&mut self) {
        self.credit = self.credit.saturating_add(self.earned).min(self.most);
    }

    /// This process was so late, beyond what is usual.
    pub(super) fn late(&mut self, late: Duration) {
        self.late.1 = self.late.1.max(late);
    }

    /// An answer came after so long: tells how much of that may have been the way there.
    pub(super) fn excess(&mut self, round_trip: Duration) -> Duration {
        let least = match (self.least, self.seen) {
            ((Some(last), present), _) => last.min(present.unwrap_or(last)),
            ((None, Some(present)), BELIEVED..) => present,
            ((None, _), _) => Duration::ZERO,
        };
        self.least.1 = Some(self.least.1.map_or(round_trip, |present| present.min(round_trip)));
        self.seen += 1;
        if self.seen >= GENERATION {
            self.least = (self.least.1, None);
            self.late = (self.late.1, Duration::ZERO);
            self.seen = 0;
        }
        round_trip.saturating_sub(least.saturating_sub(self.whole))
    }

    /// Takes so much from the credit, or what there is; tells how much it was. A request waits for the machine twice, here
    /// and where it arrives: so much is free.
    pub(super) fn spend(&mut self, wanted: Duration) -> Duration {
        let free = wanted.min(self.late.0.max(self.late.1).saturating_mul(2));
        let spent = (wanted - free).min(self.credit);
        self.credit -= spent;
        free + spent
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BELIEVED, GENERATION, Jitter};

    /// Milliseconds.
    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn only_what_is_beyond_the_least_round_trip_counts_once_enough_were_seen() {
        let mut jitter = Jitter::new(Duration::ZERO, ms(10), Duration::ZERO);
        for _ in 0..BELIEVED {
            assert_eq!(jitter.excess(ms(50)), ms(50));
        }
        assert_eq!((jitter.excess(ms(50)), jitter.excess(ms(57))), (ms(0), ms(7)));
    }

    #[test]
    fn a_least_round_trip_that_costs_nothing_counts_as_the_way() {
        let mut jitter = Jitter::new(Duration::ZERO, ms(10), ms(4));
        for _ in 0..BELIEVED {
            jitter.excess(ms(3));
        }
        assert_eq!(jitter.excess(ms(5)), ms(5));
        for _ in 0..2 * GENERATION {
            jitter.excess(ms(10));
        }
        assert_eq!(jitter.excess(ms(11)), ms(5));
    }

    #[test]
    fn a_way_that_became_longer_is_believed_after_two_generations() {
        let mut jitter = Jitter::new(Duration::ZERO, ms(10), Duration::ZERO);
        jitter.excess(ms(1));
        for _ in 0..2 * GENERATION {
            jitter.excess(ms(30));
        }
        assert_eq!(jitter.excess(ms(31)), ms(1));
    }

    #[test]
    fn what_is_spent_was_earned() {
        let mut jitter = Jitter::new(ms(2), ms(5), Duration::ZERO);
        assert_eq!((jitter.spend(ms(4)), jitter.spend(ms(4)), jitter.spend(ms(4))), (ms(4), ms(1), ms(0)));
        for _ in 0..100 {
            jitter.earn();
        }
        assert_eq!(jitter.spend(ms(100)), ms(5));
    }

    #[test]
    fn what_this_process_is_late_by_costs_nothing_until_it_is_long_past() {
        let mut jitter = Jitter::new(Duration::ZERO, ms(5), Duration::ZERO);
        jitter.late(ms(20));
        assert_eq!((jitter.spend(ms(43)), jitter.spend(ms(100)), jitter.spend(ms(30))), (ms(43), ms(42), ms(30)));
        for _ in 0..2 * GENERATION {
            jitter.excess(ms(1));
        }
        assert_eq!(jitter.spend(ms(30)), ms(0));
    }
}
