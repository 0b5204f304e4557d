//! Wall time that never steps back: read once, then carried on by the monotonic clock.
//!
//! Arrival times must order and subtract like the instants that the limit was judged by.

use std::time::UNIX_EPOCH;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

/// One reading of both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// When both were read.
    started: Instant,
    /// What the wall clock said then, in microseconds since the Unix epoch.
    wall_micros: i64,
}

impl Clock {
    /// Reads both clocks.
    #[expect(clippy::disallowed_methods, reason = "the proxy's clock is out of bounds here; this is the one place that reads wall time")]
    pub(crate) fn start() -> Self {
        let wall = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), wall_micros: i64::try_from(wall.as_micros()).unwrap_or(i64::MAX) }
    }

    /// The wall time of an instant, in microseconds since the Unix epoch.
    pub(crate) fn micros(&self, at: Instant) -> i64 {
        let since = at.saturating_duration_since(self.started);
        self.wall_micros.saturating_add(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// The wall time of an instant in RFC 3339, to the microsecond.
    pub(crate) fn rfc_3339(&self, at: Instant) -> String {
        let nanos = i128::from(self.micros(at)).saturating_mul(1_000);
        let date_time = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        date_time.format(&Rfc3339).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Clock;

    #[test]
    fn two_instants_are_as_far_apart_in_wall_time() {
        let clock = Clock::start();
        let later = clock.started + Duration::from_micros(1_500);
        assert_eq!(clock.micros(later) - clock.micros(clock.started), 1_500);
        assert!(clock.rfc_3339(later).ends_with('Z'));
    }
}
