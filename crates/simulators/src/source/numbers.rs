//! What the source counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::histogram::Histogram;

/// An event that starts later than this after its time counts as late, unless the interval is longer.
const LATE: Duration = Duration::from_millis(20);

/// How an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Answered with a 2xx in time.
    Accepted,
    /// Answered with anything else in time.
    Refused,
    /// The connection failed before an answer.
    Unreachable,
    /// No answer in time.
    GaveUp,
}

/// The figures of one moment, counted from the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Numbers {
    /// Events sent, those on their way included.
    pub sent: u64,
    /// Events answered with a 2xx in time.
    pub accepted: u64,
    /// Events answered with anything else in time.
    pub refused: u64,
    /// Events without an answer in time.
    pub gave_up: u64,
    /// Events whose connection failed before an answer.
    pub unreachable: u64,
    /// Events that started more than 20 ms (or one interval, if that is longer) after they were due.
    pub late: u64,
    /// Sessions opened with the credentials.
    pub log_ins: u64,
    /// Sessions opened with a refresh token.
    pub refreshes: u64,
    /// Half of the answers took at most this long, in microseconds, at most 3 % too high.
    pub p50_micros: u64,
    /// 99 % of the answers took at most this long, in microseconds, at most 3 % too high.
    pub p99_micros: u64,
}

/// The counters behind the numbers.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Events that started.
    sent: AtomicU64,
    /// Events that ended accepted.
    accepted: AtomicU64,
    /// Events that ended refused.
    refused: AtomicU64,
    /// Events that were given up.
    gave_up: AtomicU64,
    /// Events whose connection failed.
    unreachable: AtomicU64,
    /// Events that started late.
    late: AtomicU64,
    /// Log-ins.
    log_ins: AtomicU64,
    /// Refreshes.
    refreshes: AtomicU64,
    /// How long answers took.
    latency: Histogram,
}

impl Counters {
    /// An event starts that was due at `due`.
    pub(super) fn starts(&self, due: Instant, interval: Duration) {
        add(&self.sent);
        if !interval.is_zero() && due.elapsed() > LATE.max(interval) {
            add(&self.late);
        }
    }

    /// An event ended.
    pub(super) fn ends(&self, end: End, took: Duration) {
        match end {
            End::Accepted => add(&self.accepted),
            End::Refused => add(&self.refused),
            End::Unreachable => return add(&self.unreachable),
            End::GaveUp => return add(&self.gave_up),
        }
        self.latency.add(took);
    }

    /// A session was opened with the credentials.
    pub(super) fn logged_in(&self) {
        add(&self.log_ins);
    }

    /// A session was opened with a refresh token.
    pub(super) fn refreshed(&self) {
        add(&self.refreshes);
    }

    /// The figures of now. Ends are read before starts, so that there are never more ends than starts.
    pub(super) fn numbers(&self) -> Numbers {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        Numbers {
            accepted: read(&self.accepted),
            refused: read(&self.refused),
            gave_up: read(&self.gave_up),
            unreachable: read(&self.unreachable),
            sent: read(&self.sent),
            late: read(&self.late),
            log_ins: read(&self.log_ins),
            refreshes: read(&self.refreshes),
            p50_micros: self.latency.quantile(0.5),
            p99_micros: self.latency.quantile(0.99),
        }
    }
}

/// Adds one.
fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}
