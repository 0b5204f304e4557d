//! How large the backlog is, how old, how long it takes, and whether the topic's retention may outrun that.
//!
//! ```text
//! drain time = backlog / permitted rate          oldest event: waits since A, next to go
//! alarm  when  max(A, drain time) > retention / 2    newest event: waits the whole drain time from now on
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::clock::Clock;
use chassis::lifecycle::{Cause, sentence};
use chassis::metrics::{Registry, whole};
use opentelemetry::KeyValue;
use storage::Store;
use tokio_util::sync::CancellationToken;

use crate::desk::Desks;
use crate::metrics::{FAMILIES, PARTITION};
use crate::pace::Pace;

/// How often the backlog is looked at.
const INTERVAL: Duration = Duration::from_secs(10);
/// The alarm comes when so much of the retention is, or will be, used up.
const ALARM_SHARE: u32 = 2;

/// What is known of the backlog.
#[derive(Debug, Clone)]
pub(crate) struct Backlog {
    /// The partitions.
    pub(crate) desks: Desks,
    /// Tells when.
    pub(crate) clock: Arc<dyn Clock>,
    /// The target's limit.
    pub(crate) pace: Arc<dyn Pace>,
    /// How long the topic keeps records; none when it keeps them until they are settled.
    pub(crate) retention: Option<Duration>,
    /// Whether the alarm is on.
    alarm: Arc<AtomicBool>,
}

impl Backlog {
    /// The backlog of these partitions.
    pub(crate) fn new(desks: Desks, clock: Arc<dyn Clock>, pace: Arc<dyn Pace>, retention: Option<Duration>) -> Self {
        Self { desks, clock, pace, retention, alarm: Arc::default() }
    }

    /// Looks at it until the process stops.
    pub(crate) async fn watch(self, store: Store, topic: Arc<str>, stopping: CancellationToken) -> Result<(), Cause> {
        loop {
            let partitions = self.desks.partitions();
            let (waiting, ()) = tokio::join!(store.waiting(&topic, &partitions), self.desks.ask_ends());
            match waiting {
                Ok(waiting) => self.desks.parked(&waiting),
                Err(error) => tracing::debug!(error = sentence(&error), "cannot count what is parked; the last count stands"),
            }
            self.judge();
            // Every arm is cancel-safe: each only waits.
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = self.desks.opened() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    /// Turns the alarm on or off, and says so.
    fn judge(&self) {
        let (oldest, drain) = (self.oldest().unwrap_or_default(), self.drain_time());
        let rings = self.retention.is_some_and(|retention| outruns(oldest, drain, retention));
        if rings == self.alarm.swap(rings, Ordering::Relaxed) {
            return;
        }
        let (oldest_seconds, drain_seconds) = (oldest.as_secs(), drain.as_secs());
        if rings {
            tracing::error!(
                code = "retention_outrun",
                oldest_seconds,
                drain_seconds,
                "the topic may drop events before they are delivered: raise its retention or the target's limit"
            );
        } else {
            tracing::info!(oldest_seconds, drain_seconds, "the topic's retention suffices again");
        }
    }

    /// How long the oldest unfinished event of our partitions waits.
    fn oldest(&self) -> Option<Duration> {
        let oldest = self.desks.ledgers().iter().filter_map(|ledger| ledger.oldest()).min()?;
        Some(self.clock.now().since(oldest))
    }

    /// How long the whole topic's backlog takes at the full limit.
    fn drain_time(&self) -> Duration {
        let limit = self.pace.limit();
        drain_time(self.desks.backlog(), limit.requests, limit.interval)
    }

    /// Tells all of this to whoever reads the metrics.
    pub(crate) fn tell(&self, registry: &Registry) {
        let meter = registry.meter(FAMILIES);
        let gauge = |name: &'static str, read: fn(&Self) -> f64| {
            let backlog = self.clone();
            meter.gauge(name, move || read(&backlog));
        };
        gauge("dispatch.partitions.owned", |backlog| count(backlog.desks.partitions().len()));
        gauge("events.pending.oldest.age", |backlog| backlog.oldest().unwrap_or_default().as_secs_f64());
        gauge("backlog.drain", |backlog| backlog.drain_time().as_secs_f64());
        gauge("backlog.retention.alarm", |backlog| f64::from(u8::from(backlog.alarm.load(Ordering::Relaxed))));
        gauge("events.parked", |backlog| whole(backlog.desks.ledgers().iter().map(|ledger| ledger.parked()).sum()));
        let desks = self.desks.clone();
        meter.gauges("dispatch.partition.lag", move |gauge| {
            for ledger in desks.ledgers() {
                gauge.observe(whole(ledger.unended()), &[KeyValue::new(PARTITION.name, i64::from(ledger.partition))]);
            }
        });
    }
}

/// How long so many events take at the full limit.
fn drain_time(events: u64, requests: u32, interval: Duration) -> Duration {
    let intervals = u128::from(events).saturating_mul(interval.as_micros()) / u128::from(requests.max(1));
    Duration::from_micros(u64::try_from(intervals).unwrap_or(u64::MAX))
}

/// Says whether events may be gone before their turn comes.
fn outruns(oldest: Duration, drain: Duration, retention: Duration) -> bool {
    oldest.max(drain) > retention / ALARM_SHARE
}

/// A small count as a floating number.
fn count(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{drain_time, outruns};

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_backlog_drains_at_the_permitted_rate_and_no_number_overflows() {
        assert_eq!(drain_time(10_000_000, 100, Duration::from_secs(1)), Duration::from_secs(100_000));
        assert_eq!(drain_time(3, 2, Duration::from_secs(2)), Duration::from_secs(3));
        assert_eq!(drain_time(0, 1, DAY), Duration::ZERO);
        assert_eq!(drain_time(u64::MAX, 1, DAY), Duration::from_micros(u64::MAX));
    }

    #[test]
    fn the_alarm_comes_while_half_of_the_retention_is_left() {
        let week = DAY * 7;
        assert!(!outruns(DAY, DAY * 3, week));
        assert!(outruns(DAY, DAY * 4, week), "the newest event would wait too long");
        assert!(outruns(DAY * 4, DAY, week), "the oldest event waits too long");
    }
}
