//! One partition's worker: batches what waits, publishes it, and tells what is done.

use std::sync::Arc;
use std::time::Duration;

use broker::{PublishError, Publisher};
use chassis::clock::Clock;
use chassis::lifecycle::Cause;
use events_proxy_core::envelope::Record;
use events_proxy_core::{Envelope, Moment, TraceContext};
use storage::PublishedRow;
use tokio::sync::mpsc;

use super::Waiting;
use crate::accept::ACCEPTED_AT;
use crate::journal::Journal;
use crate::metrics::Metrics;

/// The most records of one batch.
const BATCH_RECORDS: usize = 1_000;
/// The most bytes of one batch.
const BATCH_BYTES: usize = 512 * 1024;
/// Up to this size what waits is one batch; between this and [`LARGE_BYTES`] it goes as several of this size, because
/// a request of some 9 to 21 kB waits 40 ms on a connection that neither side told to send at once.
const SMALL_BYTES: usize = 8 * 1024;
/// From this size on a batch is as large as may be.
const LARGE_BYTES: usize = 64 * 1024;
/// The pause after a failure, doubled up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Keeps a record that the topic will never take, with its reason.
#[async_trait::async_trait]
pub(crate) trait Burial: Send + Sync + std::fmt::Debug {
    /// Stores it as dead; tries until it is stored.
    async fn bury(&self, waiting: &Waiting, reason: String);
}

/// What every partition's worker has.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    /// Where published events are noted.
    pub(crate) journal: Journal,
    /// Where unpublishable ones end.
    pub(crate) burial: Arc<dyn Burial>,
    /// Counts.
    pub(crate) metrics: Metrics,
    /// Tells when.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Worker {
    /// Publishes what comes until the queue is closed.
    pub(super) async fn work(
        &self,
        partition: u32,
        publisher: &dyn Publisher,
        mut queue: mpsc::Receiver<Waiting>,
        done: mpsc::Sender<Vec<u64>>,
    ) -> Result<(), Cause> {
        let mut waiting = Vec::with_capacity(BATCH_RECORDS);
        while queue.recv_many(&mut waiting, BATCH_RECORDS).await > 0 {
            while !waiting.is_empty() {
                let rest = waiting.split_off(batch_len(&waiting));
                let offsets = waiting.iter().map(|one| one.offset).collect();
                self.publish(partition, publisher, waiting).await;
                waiting = rest;
                if done.send(offsets).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Publishes a batch, in halves where it is too large; ends when each record is on the topic or buried.
    async fn publish(&self, partition: u32, publisher: &dyn Publisher, batch: Vec<Waiting>) {
        let mut stack = vec![batch];
        let mut attempt = 0_u32;
        while let Some(mut batch) = stack.pop() {
            let spans: Vec<tracing::Span> = batch.iter().filter_map(|waiting| span(&waiting.record)).collect();
            let (offsets, records): (Vec<u64>, Vec<Record>) = batch.drain(..).map(|waiting| (waiting.offset, waiting.record)).unzip();
            let result = publisher.publish(partition, &records).await;
            drop(spans);
            match result {
                Ok(first) => {
                    attempt = 0;
                    self.metrics.published(records.len());
                    self.note(partition, first, &records);
                }
                Err(error @ PublishError::Retry { .. }) => {
                    attempt = attempt.saturating_add(1);
                    self.metrics.publish_failed(partition, attempt, &error);
                    stack.push(paired(offsets, records));
                    tokio::time::sleep(pause(attempt)).await;
                }
                Err(error @ (PublishError::TooLarge { .. } | PublishError::Refused { .. })) => {
                    let mut whole = paired(offsets, records);
                    let second = whole.split_off(whole.len() / 2);
                    if whole.is_empty() {
                        for waiting in second {
                            self.burial.bury(&waiting, chassis::lifecycle::sentence(&error)).await;
                        }
                    } else {
                        stack.push(second);
                        stack.push(whole);
                    }
                }
            }
        }
    }

    /// Notes published records in the journal.
    fn note(&self, partition: u32, first: u64, records: &[Record]) {
        let published_at = self.clock.now();
        let rows = (first..).zip(records).filter_map(|(offset, record)| row(record, published_at, (partition, offset))).collect();
        self.journal.note(rows);
    }
}

/// Offsets and records as they waited.
fn paired(offsets: Vec<u64>, records: Vec<Record>) -> Vec<Waiting> {
    offsets.into_iter().zip(records).map(|(offset, record)| Waiting { offset, record }).collect()
}

/// A journal row of a record; none of one that no dispatcher can read either, which will bury it.
fn row(record: &Record, published_at: Moment, place: (u32, u64)) -> Option<PublishedRow> {
    let envelope = Envelope::decode(record).ok()?;
    let accepted_at =
        record.headers.get(ACCEPTED_AT).and_then(|value| std::str::from_utf8(value).ok()).and_then(|value| value.parse().ok());
    Some(PublishedRow {
        source_id: envelope.source_id,
        event_id: envelope.event.id,
        name: envelope.event.name,
        trace_id: envelope.trace.trace_id().to_owned(),
        received_at: envelope.received_at,
        accepted_at: accepted_at.map_or(envelope.received_at, Moment::from_micros),
        published_at,
        partition: place.0,
        offset: place.1,
    })
}

/// The `publish` span of a record whose trace is recorded.
fn span(record: &Record) -> Option<tracing::Span> {
    let text = |name: &str| record.headers.get(name).and_then(|value| std::str::from_utf8(value).ok());
    let trace = TraceContext::parse(text("traceparent")?, text("tracestate"))?;
    if trace.traceparent().ends_with("-00") {
        return None;
    }
    let span = tracing::info_span!("publish");
    chassis::trace::adopt(&span, &trace);
    Some(span)
}

/// How many of the waiting records make the next batch; at least one.
fn batch_len(waiting: &[Waiting]) -> usize {
    let total: usize = waiting.iter().map(|one| one.record.bytes()).sum();
    let most = if total > SMALL_BYTES && total < LARGE_BYTES { SMALL_BYTES } else { BATCH_BYTES };
    let mut bytes = 0_usize;
    let fitting = waiting.iter().take_while(|one| {
        bytes = bytes.saturating_add(one.record.bytes());
        bytes <= most
    });
    fitting.count().max(1)
}

/// The pause after so many failures in a row, spread over its second half so that partitions do not beat as one.
fn pause(attempt: u32) -> Duration {
    let doubled = PAUSE.0.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    let most = doubled.min(PAUSE.1);
    let spread = u32::from(uuid::Uuid::new_v4().as_bytes().first().copied().unwrap_or_default());
    most / 2 + most / 2 * spread / 256
}
