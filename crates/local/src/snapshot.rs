//! What the process says of itself at one moment, and how two moments make rates.

use std::time::Duration;

/// The figures of one moment, counted from the start of the process except where said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Snapshot {
    /// Time since the start.
    pub up: Duration,
    /// Events that the simulated source sent; none when it does not run.
    pub source: Option<Source>,
    /// Events answered with 202.
    pub accepted: u64,
    /// Requests to send an event that were refused.
    pub refused: u64,
    /// Accepted events that are neither delivered nor dead, earlier runs included.
    pub pending: u64,
    /// Attempts that wait for the target's answer.
    pub in_flight: u64,
    /// Events that the target took.
    pub delivered: u64,
    /// Attempts beyond an event's first.
    pub retried: u64,
    /// Events that wait for a later retry.
    pub parked: u64,
    /// Events that ended without delivery.
    pub dead: u64,
    /// Whether the target does not work at the moment.
    pub target_away: bool,
    /// The used share of the target's limit, 0 to 1.
    pub limit_used: f64,
}

/// What the simulated source counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Source {
    /// Events sent.
    pub sent: u64,
    /// Events without an answer within its patience; it never sends them again.
    pub gave_up: u64,
}

/// The target's limit, as the settings say it.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Requests per interval.
    pub requests: u32,
    /// The interval.
    pub interval: Duration,
}

impl Limit {
    /// How long a backlog takes at the full limit.
    #[must_use]
    pub fn drain_time(&self, pending: u64) -> Duration {
        let requests = u64::from(self.requests.max(1));
        let intervals = pending.div_ceil(requests);
        let millis = u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(intervals.saturating_mul(millis))
    }
}

/// Recent figures, from which the rates come; bounded.
#[derive(Debug, Default)]
pub struct History {
    /// Oldest first.
    moments: std::collections::VecDeque<Snapshot>,
}

impl History {
    /// How many moments are kept.
    const KEPT: usize = 240;
    /// Over how long a rate is taken.
    const RATE_SPAN: Duration = Duration::from_secs(5);

    /// Adds the newest moment.
    pub fn push(&mut self, moment: Snapshot) {
        if self.moments.len() == Self::KEPT {
            self.moments.pop_front();
        }
        self.moments.push_back(moment);
    }

    /// The newest moment.
    #[must_use]
    pub fn last(&self) -> Snapshot {
        self.moments.back().copied().unwrap_or_default()
    }

    /// A counter's growth per second over the last seconds.
    #[must_use]
    pub fn rate(&self, counter: impl Fn(&Snapshot) -> u64) -> f64 {
        let last = self.last();
        let Some(first) = self.moments.iter().find(|moment| last.up.saturating_sub(moment.up) <= Self::RATE_SPAN) else {
            return 0.0;
        };
        let seconds = last.up.saturating_sub(first.up).as_secs_f64();
        let growth = counter(&last).saturating_sub(counter(first));
        if seconds > 0.0 { as_f64(growth) / seconds } else { 0.0 }
    }

    /// A counter's growth from moment to moment, newest last, at most `width` of them.
    #[must_use]
    pub fn growth(&self, width: usize, counter: impl Fn(&Snapshot) -> u64) -> Vec<u64> {
        let counted: Vec<u64> = self.moments.iter().map(counter).collect();
        let steps = counted.iter().zip(counted.iter().skip(1)).map(|(before, after)| after.saturating_sub(*before));
        let skipped = counted.len().saturating_sub(1).saturating_sub(width);
        steps.skip(skipped).collect()
    }
}

/// A count as a floating number; exact up to 2⁵³, far above what is shown.
#[expect(clippy::cast_precision_loss, reason = "a shown rate needs no more than 53 bits")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::{Duration, History, Limit, Snapshot};

    /// A moment at a second with so many accepted.
    fn moment(second: u64, accepted: u64) -> Snapshot {
        Snapshot { up: Duration::from_secs(second), accepted, ..Snapshot::default() }
    }

    #[test]
    fn a_rate_is_taken_over_the_last_five_seconds_only() {
        let mut history = History::default();
        for second in 0..=20 {
            history.push(moment(second, if second <= 10 { 0 } else { (second - 10) * 40 }));
        }
        assert!((history.rate(|moment| moment.accepted) - 40.0).abs() < 1e-9);
        assert_eq!(history.growth(3, |moment| moment.accepted), [40, 40, 40]);
    }

    #[test]
    fn one_moment_has_no_rate() {
        let mut history = History::default();
        history.push(moment(0, 9));
        assert!(history.rate(|moment| moment.accepted).abs() < 1e-9);
        assert!(history.growth(9, |moment| moment.accepted).is_empty());
    }

    #[test]
    fn a_backlog_drains_at_the_limit_and_not_faster() {
        let limit = Limit { requests: 1, interval: Duration::from_secs(2) };
        assert_eq!(limit.drain_time(842), Duration::from_secs(1684));
        assert_eq!(limit.drain_time(0), Duration::ZERO);
    }
}
