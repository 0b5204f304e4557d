//! Where wall time comes from, so that tests own it.
//!
//! Waits and deadlines are not wall time: they use `tokio::time`, which follows a paused test clock.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use events_proxy_core::Moment;

/// Tells the wall time.
pub trait Clock: Send + Sync + Debug {
    /// The present moment. It may go backwards: the machine's clock is set by others.
    fn now(&self) -> Moment;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::module_name_repetitions, reason = "a kind of clock is spoken of by this name")]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> Moment {
        // A clock before 1970 is told as 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until told otherwise, for tests.
#[derive(Debug)]
#[expect(clippy::module_name_repetitions, reason = "a kind of clock is spoken of by this name")]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `moment`.
    #[must_use]
    pub const fn at(moment: Moment) -> Self {
        Self(AtomicI64::new(moment.as_micros()))
    }

    /// Puts the clock forward.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }

    /// Puts the clock to `moment`, be it earlier or later.
    pub fn set(&self, moment: Moment) {
        self.0.store(moment.as_micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment::from_micros(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use events_proxy_core::Moment;

    use super::{Clock, ManualClock, SystemClock};

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::at(Moment::from_micros(5));
        assert_eq!(clock.now(), Moment::from_micros(5));
        clock.advance(Duration::from_millis(2));
        assert_eq!(clock.now(), Moment::from_micros(2_005));
        clock.set(Moment::from_micros(1));
        assert_eq!(clock.now(), Moment::from_micros(1));
    }

    #[test]
    fn the_system_clock_is_past_the_time_of_writing() {
        assert!(SystemClock.now() > Moment::from_micros(1_700_000_000_000_000));
    }
}
