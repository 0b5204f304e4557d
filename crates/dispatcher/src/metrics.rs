//! What the dispatcher counts and tells: one function per happening, which logs and counts together.

mod families;
pub(crate) mod sign_ins;
pub(crate) mod slots;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chassis::lifecycle::sentence;
use chassis::metrics::{Event, Histogram, Registry, Sources, whole};
use events_proxy_core::{Attempt, DeadReason, Envelope, Outcome, State, TraceContext};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use storage::{End, Settled};

pub use families::FAMILIES;
pub(crate) use families::PARTITION;
use families::{DEAD, OUTCOME, STATE};

/// The figures of the dispatcher since its start, except where said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Numbers {
    /// Records read from the topic.
    pub consumed: u64,
    /// Attempts that wait for the target's answer now.
    pub in_flight: u64,
    /// Events that the target took.
    pub delivered: u64,
    /// Attempts beyond an event's first.
    pub retried: u64,
    /// Events that are parked now, of this replica's partitions.
    pub parked: u64,
    /// Events that died.
    pub dead: u64,
    /// Whether the target does not work at the moment: one attempt at a time finds out.
    pub target_away: bool,
    /// The used share of the limit, 0 to 1.
    pub limit_used: f64,
    /// Requests per second that the limit permits.
    pub permitted: f64,
    /// Events on the topic that have not ended, and parked ones, now.
    pub backlog: u64,
}

/// Counters and instruments; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(Arc<Instruments>);

/// What clones share.
#[derive(Debug)]
struct Instruments {
    /// For [`Numbers`].
    consumed: AtomicU64,
    /// For [`Numbers`].
    in_flight: AtomicU64,
    /// For [`Numbers`].
    delivered: AtomicU64,
    /// For [`Numbers`].
    retried: AtomicU64,
    /// For [`Numbers`].
    dead: AtomicU64,
    /// Slots of the limit.
    slots: slots::Slots,
    /// Records read.
    events_consumed: Counter<u64>,
    /// Reads that failed.
    topic_read_failures: Counter<u64>,
    /// Attempts by outcome.
    attempts: Counter<u64>,
    /// Events by how they ended.
    events_settled: Counter<u64>,
    /// Records passed over because their event has ended already.
    duplicates: Counter<u64>,
    /// Commits that failed.
    commit_failures: Counter<u64>,
    /// Commits that were fenced.
    commits_fenced: Counter<u64>,
    /// Partitions that were claimed.
    epoch_changes: Counter<u64>,
    /// Partitions that were lost.
    leases_lost: Counter<u64>,
    /// Beats that failed.
    beat_failures: Counter<u64>,
    /// Records that the topic dropped.
    events_expired: Counter<u64>,
    /// Attempts beyond an event's first.
    retries: Counter<u64>,
    /// Dead events by their reason.
    events_dead: Counter<u64>,
    /// Events by their source.
    sources: Sources,
    /// Time from an event's acceptance to its first reading.
    queue_duration: Histogram,
    /// Time of an attempt.
    attempt_duration: Histogram,
    /// Time of a commit.
    settle_duration: Histogram,
    /// Time from an event's receipt to its end.
    event_duration: Histogram,
}

impl Metrics {
    /// Makes the instruments.
    pub(crate) fn new(registry: &Registry) -> Self {
        let meter = registry.meter(FAMILIES);
        let metrics = Self(Arc::new(Instruments {
            consumed: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            dead: AtomicU64::new(0),
            slots: slots::Slots::new(registry),
            events_consumed: meter.counter("events.consumed"),
            topic_read_failures: meter.counter("topic.read.failures"),
            attempts: meter.counter("delivery.attempts"),
            events_settled: meter.counter("events.settled"),
            duplicates: meter.counter("events.duplicates"),
            commit_failures: meter.counter("commit.failures"),
            commits_fenced: meter.counter("commits.fenced"),
            epoch_changes: meter.counter("dispatch.epoch.changes"),
            leases_lost: meter.counter("dispatch.leases.lost"),
            beat_failures: meter.counter("dispatch.beat.failures"),
            events_expired: meter.counter("events.expired"),
            attempt_duration: meter.histogram("delivery.attempt.duration"),
            event_duration: meter.histogram("events.duration"),
            retries: meter.counter("delivery.retries"),
            events_dead: meter.counter("events.dead"),
            sources: registry.sources(),
            queue_duration: meter.histogram("queue.duration"),
            settle_duration: meter.histogram("settle.duration"),
        }));
        let told = metrics.clone();
        meter.gauge("delivery.in.flight", move || whole(told.0.in_flight.load(Ordering::Relaxed)));
        metrics
    }

    /// What is counted of slots.
    pub(crate) fn slots(&self) -> &slots::Slots {
        &self.0.slots
    }

    /// Records came from the topic.
    pub(crate) fn consumed(&self, records: usize) {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.0.consumed.fetch_add(records, Ordering::Relaxed);
        self.0.events_consumed.add(records, &[]);
    }

    /// A partition is read from now on: its count of failures is there before the first one.
    pub(crate) fn reads(&self, partition: u32) {
        self.0.topic_read_failures.add(0, &[KeyValue::new(PARTITION.name, i64::from(partition))]);
    }

    /// A read of a partition failed; it is tried again.
    pub(crate) fn unread(&self, partition: u32) {
        self.0.topic_read_failures.add(1, &[KeyValue::new(PARTITION.name, i64::from(partition))]);
    }

    /// An event was read for the first time, so long after its acceptance.
    pub(crate) fn queued(&self, trace: &TraceContext, time: Duration) {
        self.0.queue_duration.record_in(Some(trace), time, &[]);
    }

    /// A record was passed over.
    pub(crate) fn duplicate(&self) {
        self.0.duplicates.add(1, &[]);
    }

    /// An attempt begins; it ends when the answer is dropped.
    pub(crate) fn attempting(&self) -> InFlight {
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// An attempt has ended.
    pub(crate) fn attempted(&self, trace: &TraceContext, attempt: &Attempt) {
        if attempt.number > 1 {
            self.0.retried.fetch_add(1, Ordering::Relaxed);
            self.0.retries.add(1, &[]);
        }
        let labels = [OUTCOME.is(attempt.outcome.as_str())];
        self.0.attempts.add(1, &labels);
        self.0.attempt_duration.record_in(Some(trace), attempt.duration(), &labels);
        if attempt.outcome != Outcome::Delivered {
            tracing::debug!(attempt = attempt.number, outcome = attempt.outcome.as_str(), detail = attempt.detail, "an attempt failed");
        }
    }

    /// An event has ended or was parked, and this is stored.
    pub(crate) fn settled(&self, settled: &Settled, age: Duration) {
        self.ended(settled.end.state(), age, settled.record.recorded_trace().as_ref());
        let event = match &settled.end {
            End::Delivered => Event::Delivered,
            End::Parked { .. } => Event::Parked,
            End::Dead { reason, .. } => {
                self.0.events_dead.add(1, &[DEAD.is(reason.as_str())]);
                Event::Dead
            }
        };
        self.0.sources.count(&settled.source_id, event);
    }

    /// A record that is no event is dead, and this is stored.
    pub(crate) fn undecodable(&self, detail: &str, age: Duration) {
        self.ended(State::Dead, age, None);
        self.0.events_dead.add(1, &[DEAD.is(DeadReason::Undecodable.as_str())]);
        self.died((None, None), DeadReason::Undecodable.as_str(), detail);
    }

    /// Counts an end.
    fn ended(&self, state: State, age: Duration, trace: Option<&TraceContext>) {
        let labels = [STATE.is(state.as_str())];
        self.0.events_settled.add(1, &labels);
        self.0.event_duration.record_in(trace, age, &labels);
        match state {
            State::Delivered => self.0.delivered.fetch_add(1, Ordering::Relaxed),
            State::Dead => self.0.dead.fetch_add(1, Ordering::Relaxed),
            State::Accepted | State::Published | State::Parked => 0,
        };
    }

    /// An event died.
    pub(crate) fn died(&self, (event_id, trace_id): (Option<&str>, Option<&str>), reason: &'static str, detail: &str) {
        tracing::warn!(event.id = event_id, trace_id, reason, detail, "an event is dead: its payload and attempts are kept");
    }

    /// Our own code broke on an event.
    pub(crate) fn panicked(&self, envelope: &Envelope, partition: u32, offset: u64) {
        tracing::error!(
            code = "delivery_panicked",
            event.id = envelope.event.id.as_str(),
            trace_id = envelope.trace.trace_id(),
            partition,
            offset,
            "the delivery of an event panicked: a mistake of ours; the event is dead, others go on"
        );
    }

    /// The topic dropped records before they were read, and this is stored.
    pub(crate) fn expired(&self, records: u64) {
        self.0.dead.fetch_add(records, Ordering::Relaxed);
        self.0.events_expired.add(records, &[]);
    }

    /// A partition was claimed.
    pub(crate) fn epoch_changed(&self) {
        self.0.epoch_changes.add(1, &[]);
    }

    /// A partition belongs to another before we gave it back.
    pub(crate) fn lost(&self, partition: u32) {
        self.0.leases_lost.add(1, &[]);
        tracing::warn!(partition, "a partition belongs to another: it is dropped, and what was in flight may be delivered twice");
    }

    /// A commit was fenced.
    pub(crate) fn fenced(&self, partition: u32, epoch: u64) {
        self.0.commits_fenced.add(1, &[]);
        tracing::warn!(partition, epoch, "a commit was fenced: its epoch is over, and nothing of it was written");
    }

    /// The database did not take a beat.
    pub(crate) fn beat_failed(&self, failures: u32, error: &storage::Error) {
        self.0.beat_failures.add(1, &[]);
        // As with commits: an outage does not fill the log.
        if failures.is_power_of_two() {
            tracing::warn!(failures, error = sentence(error), "leases cannot be renewed; attempts pause before they run out");
        }
    }

    /// The storage took a commit.
    pub(crate) fn committed(&self, time: Duration) {
        self.0.settle_duration.record(time, &[]);
    }

    /// The storage did not take a commit.
    pub(crate) fn commit_failed(&self, partition: u32, failures: u32, error: &storage::Error) {
        self.0.commit_failures.add(1, &[]);
        // Told at the 1st, 2nd, 4th, 8th … failure in a row, so that an outage does not fill the log.
        if failures.is_power_of_two() {
            tracing::warn!(partition, failures, error = sentence(error), "the storage does not take a commit; it is tried again");
        }
    }

    /// The figures so far, with what others know.
    pub(crate) fn numbers(&self, (limit_used, permitted): (f64, f64), unended: u64, parked: u64) -> Numbers {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Numbers {
            consumed: read(&self.0.consumed),
            in_flight: read(&self.0.in_flight),
            delivered: read(&self.0.delivered),
            retried: read(&self.0.retried),
            parked,
            dead: read(&self.0.dead),
            target_away: false,
            limit_used,
            permitted,
            backlog: unended.saturating_add(parked),
        }
    }
}

/// An attempt under way.
#[derive(Debug)]
pub(crate) struct InFlight(Metrics);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
