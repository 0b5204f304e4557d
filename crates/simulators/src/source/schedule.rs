//! When each event is due.
//!
//! ```text
//! due      0 ──── 1 ──── 2 ──── 3 ──── 4      start + n × interval, whatever happens
//! started  0 ──── 1 ─────────── 23 ─── 4      2 was held up: it starts late, 3 on time, none is left out
//! ```

use std::time::Duration;

use tokio::time::Instant;

/// The due times, one after the other.
#[derive(Debug)]
pub(super) struct Schedule {
    /// When the next event is due.
    next: Instant,
    /// How far apart events are due.
    interval: Duration,
    /// How many events are left; none is without end.
    left: Option<u64>,
}

impl Schedule {
    /// A schedule whose first event is due at once.
    pub(super) fn new(interval: Duration, count: Option<u64>) -> Self {
        Self { next: Instant::now(), interval, left: count }
    }

    /// When the next event is due; none after the last.
    pub(super) fn next_due(&mut self) -> Option<Instant> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        let due = self.next;
        self.next = due.checked_add(self.interval)?;
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Schedule;

    #[test]
    fn the_nth_event_is_due_after_n_whole_intervals() {
        let mut schedule = Schedule::new(Duration::from_micros(333), None);
        let start = schedule.next_due().unwrap();
        for number in 1..10_000 {
            assert_eq!(schedule.next_due().unwrap() - start, Duration::from_micros(333) * number);
        }
    }

    #[test]
    fn a_counted_schedule_ends() {
        let mut schedule = Schedule::new(Duration::ZERO, Some(2));
        assert!(schedule.next_due().is_some() && schedule.next_due().is_some());
        assert!(schedule.next_due().is_none() && schedule.next_due().is_none());
    }
}
