//! What ingest counts and tells: one function per happening, which logs and counts together.
//!
//! Labels come from closed sets. Nothing is logged per event above DEBUG, but what an event was refused for.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chassis::lifecycle::sentence;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use crate::reject::Reject;

/// Which durable path took an event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// The fsynced spool.
    Spool,
    /// The broker.
    Broker,
}

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
    /// Labels of an event accepted by the spool, made once.
    by_spool: [KeyValue; 1],
    /// Labels of an event accepted by the broker.
    by_broker: [KeyValue; 1],
    /// 202 answers, by the path that took the event.
    events_accepted: Counter<u64>,
    /// 202 answers after the deadline.
    accepted_late: Counter<u64>,
    /// Refused requests, by their code.
    events_refused: Counter<u64>,
    /// Failed appends, by their kind.
    spool_failures: Counter<u64>,
    /// Published events.
    events_published: Counter<u64>,
    /// Failed publishes.
    publish_failures: Counter<u64>,
    /// Journal rows that were given up; the dispatcher's row still comes.
    journal_dropped: Counter<u64>,
    /// From a request's start until its event was durable.
    accept_duration: Histogram<f64>,
}

impl Metrics {
    /// Makes the instruments.
    pub(crate) fn new(meter: &Meter) -> Self {
        let counter = |name: &'static str, told: &'static str| meter.u64_counter(name).with_description(told).build();
        let duration = meter.f64_histogram("accept.duration").with_unit("s");
        Self(Arc::new(Instruments {
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            published: AtomicU64::new(0),
            by_spool: [KeyValue::new("path", "spool")],
            by_broker: [KeyValue::new("path", "broker")],
            events_accepted: counter("events.accepted", "Events answered with 202"),
            accepted_late: counter("accepted.late", "Events answered with 202 after the deadline"),
            events_refused: counter("events.refused", "Requests to send an event that were refused"),
            spool_failures: counter("spool.failures", "Appends to the spool that failed or were late"),
            events_published: counter("events.published", "Events that the topic took from the spool"),
            publish_failures: counter("publish.failures", "Batches that the topic did not take; each is sent again"),
            journal_dropped: counter("journal.dropped", "Rows given up while the storage did not answer"),
            accept_duration: duration.with_description("From a request's start until its event was durable").build(),
        }))
    }

    /// An event is durable, so long after its request began.
    pub(crate) fn accepted(&self, way: Way, took: Duration, timeout: Duration) {
        let labels = match way {
            Way::Spool => &self.0.by_spool,
            Way::Broker => &self.0.by_broker,
        };
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
        self.0.events_accepted.add(1, labels);
        self.0.accept_duration.record(took.as_secs_f64(), labels);
        if took > timeout {
            self.0.accepted_late.add(1, &[]);
        }
    }

    /// A request to send an event is refused.
    pub(crate) fn refused(&self, reject: &Reject) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        self.0.events_refused.add(1, &[KeyValue::new("reason", reject.code())]);
    }

    /// The spool did not take an event; the broker is asked.
    pub(crate) fn spool_failed(&self, kind: &'static str, error: &dyn Error) {
        self.0.spool_failures.add(1, &[KeyValue::new("kind", kind)]);
        tracing::debug!(kind, error = sentence(error), "the spool did not take an event; it goes straight to the broker");
    }

    /// Neither way took an event; its source is told so.
    pub(crate) fn no_durable_path(&self, error: &dyn Error) {
        tracing::error!(error = sentence(error), "an event was refused: neither the spool nor the broker took it");
    }

    /// The topic has a batch.
    pub(crate) fn published(&self, records: usize) {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.0.published.fetch_add(records, Ordering::Relaxed);
        self.0.events_published.add(records, &[]);
    }

    /// The topic did not take a batch; it is sent again.
    pub(crate) fn publish_failed(&self, partition: u32, attempt: u32, error: &dyn Error) {
        self.0.publish_failures.add(1, &[]);
        // Told at the 1st, 2nd, 4th, 8th … failure in a row, so that an outage does not fill the log.
        if attempt.is_power_of_two() {
            tracing::warn!(partition, attempt, error = sentence(error), "the topic did not take a batch; its events wait in the spool");
        }
    }

    /// The storage did not take a dead row; it is tried again, and its partition waits.
    pub(crate) fn burial_failed(&self, failures: u32, error: &dyn Error) {
        if failures.is_power_of_two() {
            tracing::error!(
                failures,
                error = sentence(error),
                "an event that the topic refuses cannot be stored as dead; its partition waits"
            );
        }
    }

    /// Rows of the journal were given up.
    pub(crate) fn journal_dropped(&self, rows: usize) {
        self.0.journal_dropped.add(u64::try_from(rows).unwrap_or(u64::MAX), &[]);
    }

    /// The figures so far, with the number of events that wait in the spool.
    pub(crate) fn numbers(&self, spooled: u64) -> Numbers {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Numbers { accepted: read(&self.0.accepted), refused: read(&self.0.refused), published: read(&self.0.published), spooled }
    }
}
