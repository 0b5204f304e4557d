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
/// Who is later than this was frozen, which tells nothing of how late requests are.
const FROZEN: Duration = Duration::from_secs(1);

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
        if late < FROZEN {
            self.late.1 = self.late.1.max(late);
        }
    }

    /// The least round trip, once enough were seen.
    fn least(&self) -> Option<Duration> {
        match (self.least, self.seen) {
            ((Some(last), present), _) => Some(last.min(present.unwrap_or(last))),
            ((None, Some(present)), BELIEVED..) => Some(present),
            ((None, _), _) => None,
        }
    }

    /// How much of a round trip may have been the way there.
    fn excess(&self, round_trip: Duration) -> Duration {
        round_trip.saturating_sub(self.least().unwrap_or_default().saturating_sub(self.whole))
    }

    /// An answer came after so long: tells its excess. Where the target did its work, that takes so long at most; an answer that it
    /// refused tells nothing of that.
    pub(super) fn heard(&mut self, round_trip: Duration, worked: bool) -> Duration {
        let excess = self.excess(round_trip);
        if worked {
            self.learn(round_trip);
        }
        excess
    }

    /// The target did its work in a round trip.
    fn learn(&mut self, round_trip: Duration) {
        self.least.1 = Some(self.least.1.map_or(round_trip, |present| present.min(round_trip)));
        self.seen += 1;
        if self.seen >= GENERATION {
            self.least = (self.least.1, None);
            self.late = (self.late.1, Duration::ZERO);
            self.seen = 0;
        }
    }

    /// Takes so much from the credit, or what there is, for an answer that took so much longer than what is usual; tells how
    /// much it was. A request waits for the machine twice, here and where it arrives: what that explains is free, once it is
    /// known what is usual.
    pub(super) fn spend(&mut self, wanted: Duration, excess: Duration) -> Duration {
        if self.least().is_some() && excess <= self.late.0.max(self.late.1).saturating_mul(2) {
            return wanted;
        }
        let spent = wanted.min(self.credit);
        self.credit -= spent;
        spent
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
            assert_eq!(jitter.heard(ms(50), true), ms(50));
        }
        assert_eq!((jitter.heard(ms(50), true), jitter.heard(ms(57), true)), (ms(0), ms(7)));
    }

    #[test]
    fn a_least_round_trip_that_costs_nothing_counts_as_the_way() {
        let mut jitter = Jitter::new(Duration::ZERO, ms(10), ms(4));
        for _ in 0..BELIEVED {
            jitter.heard(ms(3), true);
        }
        assert_eq!(jitter.heard(ms(5), true), ms(5));
        for _ in 0..2 * GENERATION {
            jitter.heard(ms(10), true);
        }
        assert_eq!(jitter.heard(ms(11), true), ms(5));
    }

    #[test]
    fn a_way_that_became_longer_is_believed_after_two_generations() {
        let mut jitter = Jitter::new(Duration::ZERO, ms(10), Duration::ZERO);
        jitter.heard(ms(1), true);
        for _ in 0..2 * GENERATION {
            jitter.heard(ms(30), true);
        }
        assert_eq!(jitter.heard(ms(31), true), ms(1));
    }

    #[test]
    fn what_is_spent_was_earned() {
        let mut jitter = Jitter::new(ms(2), ms(5), Duration::ZERO);
        let mut spend = |wanted| jitter.spend(ms(wanted), ms(wanted));
        assert_eq!((spend(4), spend(4), spend(4)), (ms(4), ms(1), ms(0)));
        for _ in 0..100 {
            jitter.earn();
        }
        assert_eq!(jitter.spend(ms(100), ms(100)), ms(5));
    }

    /// One that knows that answers need no time, with a credit of 5 ms.
    fn known() -> Jitter {
        let mut jitter = Jitter::new(Duration::ZERO, ms(5), Duration::ZERO);
        (0..BELIEVED).for_each(|_| jitter.learn(Duration::ZERO));
        jitter
    }

    #[test]
    fn nothing_is_free_before_it_is_known_what_is_usual() {
        let mut jitter = Jitter::new(Duration::ZERO, ms(5), Duration::ZERO);
        jitter.late(ms(20));
        assert_eq!(jitter.spend(ms(30), ms(30)), ms(5));
    }

    #[test]
    fn a_process_that_was_frozen_pays_for_what_comes_late() {
        let mut jitter = known();
        jitter.late(ms(1_000));
        assert_eq!(jitter.spend(ms(30), ms(30)), ms(5));
        jitter.late(ms(999));
        assert_eq!(jitter.spend(ms(30), ms(30)), ms(30));
    }

    #[test]
    fn what_this_process_is_late_by_costs_nothing_until_it_is_long_past() {
        let mut jitter = known();
        jitter.late(ms(20));
        let mut spend = |wanted, excess| jitter.spend(ms(wanted), ms(excess));
        assert_eq!((spend(30, 40), spend(30, 41), spend(30, 40)), (ms(30), ms(5), ms(30)));
        for _ in 0..2 * GENERATION {
            jitter.heard(ms(1), true);
        }
        assert_eq!(jitter.spend(ms(30), ms(30)), ms(0));
    }
}
