//! What ingest counts and tells: one function per happening, which logs and counts together.
//!
//! Labels come from closed sets. Nothing is logged per event above DEBUG, but what an event was refused for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chassis::metrics::{Histogram, Registry, Sources};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

mod families;
mod happenings;
mod labels;
mod seldom;

pub use families::FAMILIES;
pub(crate) use labels::{LogIn, Refreshed, SpoolFault, Waited, Way};
use seldom::Seldom;

/// The figures of ingest since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Events answered with 202.
    pub accepted: u64,
    /// Requests to send an event that were refused.
    pub refused: u64,
    /// Events that the topic took from the spool.
    pub published: u64,
    /// Events in the spool that the topic does not have yet, earlier runs included.
    pub spooled: u64,
}

/// Counters and instruments; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(Arc<Instruments>);

/// What clones share.
#[derive(Debug)]
struct Instruments {
    /// For [`Numbers`].
    accepted: AtomicU64,
    /// For [`Numbers`].
    refused: AtomicU64,
    /// For [`Numbers`].
    published: AtomicU64,
    /// Records of the spool that have an end: published, published before, or kept with the reason why not.
    ended: AtomicU64,
    /// Events that found no durable path: an outage does not fill the log.
    pathless: Seldom,
    /// Failures to store how far the spool is published.
    progress_unkept: Seldom,
    /// Failures to drop its old files.
    files_unremoved: Seldom,
    /// Failures to read what the topic refused.
    refused_unreadable: Seldom,
    /// The label of each way, made once.
    ways: [[KeyValue; 1]; 3],
    /// 202 answers, by the path that took the event.
    events_accepted: Counter<u64>,
    /// 202 answers after the deadline.
    accepted_late: Counter<u64>,
    /// Refused requests, by their code.
    events_refused: Counter<u64>,
    /// Failed appends, by their kind.
    spool_failures: Counter<u64>,
    /// Soft waits for the topic, by their outcome.
    accept_waits: Counter<u64>,
    /// Records of the spool that the topic had already.
    events_overtaken: Counter<u64>,
    /// Records that the topic will never take.
    events_unpublishable: Counter<u64>,
    /// Those of them that do not read any more.
    unpublishable_lost: Counter<u64>,
    /// Reads of the spool that failed.
    spool_read_failures: Counter<u64>,
    /// Backlogs that fresh events passed.
    catch_ups: Counter<u64>,
    /// How long reads of the spool gave way.
    gave_way: Counter<f64>,
    /// Published events.
    events_published: Counter<u64>,
    /// Failed publishes.
    publish_failures: Counter<u64>,
    /// Journal rows that were given up; the dispatcher's row still comes.
    journal_dropped: Counter<u64>,
    /// Log-ins, by their outcome.
    log_ins: Counter<u64>,
    /// Refreshes, by their outcome.
    refreshes: Counter<u64>,
    /// Requests let in by a token that had expired.
    expired_tokens: Counter<u64>,
    /// From a request's start until its event was durable.
    accept_duration: Histogram,
    /// From an event's acceptance until the topic had it.
    publish_duration: Histogram,
    /// Events by their source.
    sources: Sources,
}

impl Metrics {
    /// Makes the instruments.
    pub(crate) fn new(registry: &Registry) -> Self {
        let meter = registry.meter(FAMILIES);
        Self(Arc::new(Instruments {
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            published: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            pathless: Seldom::default(),
            progress_unkept: Seldom::default(),
            files_unremoved: Seldom::default(),
            refused_unreadable: Seldom::default(),
            ways: Way::ALL.map(|way| [families::PATH.is(way.as_str())]),
            events_accepted: meter.counter("events.accepted"),
            accepted_late: meter.counter("accepted.late"),
            events_refused: meter.counter("events.refused"),
            spool_failures: meter.counter("spool.failures"),
            accept_waits: meter.counter("accept.waits"),
            events_overtaken: meter.counter("events.overtaken"),
            events_unpublishable: meter.counter("events.unpublishable"),
            unpublishable_lost: meter.counter("events.unpublishable.lost"),
            spool_read_failures: meter.counter("spool.read.failures"),
            catch_ups: meter.counter("publish.catch.ups"),
            gave_way: meter.sum("publish.gave.way"),
            events_published: meter.counter("events.published"),
            publish_failures: meter.counter("publish.failures"),
            journal_dropped: meter.counter("journal.dropped"),
            log_ins: meter.counter("log.ins"),
            refreshes: meter.counter("refreshes"),
            expired_tokens: meter.counter("expired.tokens.taken"),
            accept_duration: meter.histogram("accept.duration"),
            publish_duration: meter.histogram("publish.duration"),
            sources: registry.sources(),
        }))
    }

    /// How many records of the spool have an end.
    pub(crate) fn ended(&self) -> u64 {
        self.0.ended.load(Ordering::Acquire)
    }

    /// The figures so far, with the number of events that wait in the spool.
    pub(crate) fn numbers(&self, spooled: u64) -> Numbers {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Numbers { accepted: read(&self.0.accepted), refused: read(&self.0.refused), published: read(&self.0.published), spooled }
    }
}
