//! Where the database's clock stands, seen from ours.
//!
//! ```text
//!  ours       began ─────────── ended        the database said `now` somewhere between the two, so
//!                     now ?                  began - now  ≤  ours - its own  ≤  ended - now
//! ```
//! Each round trip bounds the difference; the bounds of several are narrower than those of one, so a slow round trip
//! tells nothing new instead of something wrong. Bounds widen with time, for clocks drift. A round trip that contradicts
//! them means that the database's clock was set: then what was known is forgotten.

/// How much clocks may drift apart: 200 millionths, twice what a bad crystal does.
const DRIFT_DIVISOR: i64 = 5_000;

/// Bounds of the difference of both clocks; all in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bearings(Option<Bounds>);

/// The difference, ours less its own.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// It is not less.
    least: i64,
    /// It is not more.
    most: i64,
    /// When that was known, by our clock.
    at: i64,
}

impl Bearings {
    /// Takes up a round trip, from when to when by our clock, in which the database's clock said `now`; `false` if that
    /// contradicts what was known.
    pub(super) fn take(&mut self, (began, ended): (i64, i64), now: i64) -> bool {
        let seen = Bounds { least: began - now, most: ended - now, at: ended };
        let Some(known) = self.0 else {
            self.0 = Some(seen);
            return true;
        };
        let drift = (ended - known.at).max(0) / DRIFT_DIVISOR;
        let (least, most) = (seen.least.max(known.least - drift), seen.most.min(known.most + drift));
        let agrees = least <= most;
        self.0 = Some(if agrees { Bounds { least, most, at: ended } } else { seen });
        agrees
    }

    /// When a moment of the database's clock is by ours: at the earliest and at the latest; `None` before the first round trip.
    pub(super) fn local(&self, moment: i64) -> Option<(i64, i64)> {
        self.0.map(|bounds| (moment.saturating_add(bounds.least), moment.saturating_add(bounds.most)))
    }
}

#[cfg(test)]
mod tests {
    use super::Bearings;

    /// A millisecond.
    const MS: i64 = 1_000_000;

    #[test]
    fn several_round_trips_tell_more_than_one() {
        let mut bearings = Bearings::default();
        assert_eq!(bearings.local(0), None);
        // The database's clock is 1,000 ms behind ours.
        assert!(bearings.take((2_000 * MS, 2_010 * MS), 1_001 * MS));
        assert_eq!(bearings.local(1_050 * MS), Some((2_049 * MS, 2_059 * MS)));
        assert!(bearings.take((2_010 * MS, 2_040 * MS), 1_039 * MS));
        let (earliest, latest) = bearings.local(1_050 * MS).unwrap();
        assert!(earliest >= 2_049 * MS - 6_000 && latest <= 2_051 * MS, "{earliest} {latest}");
        assert!(earliest <= 2_050 * MS && latest >= 2_050 * MS);
    }

    #[test]
    fn a_clock_that_was_set_is_noticed_and_followed() {
        let mut bearings = Bearings::default();
        assert!(bearings.take((0, MS), 500 * MS));
        assert!(!bearings.take((10 * MS, 11 * MS), 900 * MS));
        assert!(bearings.take((20 * MS, 21 * MS), 910 * MS + MS / 2));
        let (earliest, latest) = bearings.local(0).unwrap();
        assert!(latest - earliest <= MS / 2 + 4_000, "{}", latest - earliest);
    }

    #[test]
    fn drift_is_no_contradiction() {
        let mut bearings = Bearings::default();
        // 100 millionths faster than ours, asked every second over an hour.
        for second in 0..3_600_i64 {
            let ours = second * 1_000 * MS;
            assert!(bearings.take((ours, ours + MS), ours + ours / 10_000 + MS / 2), "{second}");
        }
    }
}
