//! One partition's worker: batches what waits, publishes it, and tells what is done.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use broker::{PublishError, Publisher};
use chassis::clock::Clock;
use chassis::lifecycle::{Cause, sentence};
use events_proxy_core::envelope::Record;
use events_proxy_core::{EventId, Moment, SourceId, TraceContext};
use serde::Deserialize;
use storage::PublishedRow;

use super::acks::Acks;
use super::batch::{self, RECORDS};
use super::lane::{Done, Inlet, Waiting};
use super::refused::Refused;
use crate::journal::Journal;
use crate::metrics::Metrics;

/// What every partition's worker has.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    /// Where published events are noted.
    pub(crate) journal: Journal,
    /// Where unpublishable ones end.
    pub(crate) refused: Refused,
    /// Who waits for the topic.
    pub(crate) acks: Acks,
    /// Counts.
    pub(crate) metrics: Metrics,
    /// Tells when.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Worker {
    /// Publishes what comes until the queues are closed.
    pub(super) async fn work(&self, partition: u32, publisher: &dyn Publisher, mut inlet: Inlet) -> Result<(), Cause> {
        let mut waiting = Vec::with_capacity(RECORDS);
        while inlet.gather(&mut waiting).await {
            while !waiting.is_empty() {
                let rest = waiting.split_off(batch::len(&waiting));
                let [mut backlog, mut fresh] = [Done::default(), Done::default()];
                for one in &waiting {
                    let done = if one.fresh { &mut fresh } else { &mut backlog };
                    done.offsets.push(one.offset);
                    done.bytes += one.record.bytes();
                }
                self.publish(partition, publisher, waiting).await;
                waiting = rest;
                for (told, done) in inlet.done.iter().zip([backlog, fresh]) {
                    if !done.offsets.is_empty() && told.send(done).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Publishes a batch, in halves where it is too large; ends when each record is on the topic or kept as refused.
    async fn publish(&self, partition: u32, publisher: &dyn Publisher, batch: Vec<Waiting>) {
        let spans: Vec<tracing::Span> = batch.iter().filter_map(|waiting| span(&waiting.record, partition)).collect();
        let (offsets, records): (Vec<u64>, Vec<Record>) = batch.into_iter().map(|waiting| (waiting.offset, waiting.record)).unzip();
        // Ranges of the batch, the next one last.
        let mut stack: Vec<Range<usize>> = std::iter::once(0..records.len()).collect();
        let mut attempt = 0_u32;
        while let Some(range) = stack.pop() {
            let (Some(some), Some(places)) = (records.get(range.clone()), offsets.get(range.clone())) else { continue };
            match publisher.publish(partition, some).await {
                Ok(first) => {
                    attempt = 0;
                    self.acks.tell(places);
                    self.acks.tell_ailing(partition, false);
                    self.metrics.published(some, self.clock.now());
                    self.note(partition, first, some);
                }
                Err(error @ PublishError::Retry { .. }) => {
                    attempt = attempt.saturating_add(1);
                    self.acks.tell_ailing(partition, true);
                    self.metrics.publish_failed(partition, attempt, &error);
                    stack.push(range);
                    tokio::time::sleep(batch::pause(attempt, spread())).await;
                }
                Err(error @ (PublishError::TooLarge { .. } | PublishError::Refused { .. })) => match (some, places) {
                    ([record], [offset]) => self.refused.keep(record, (*offset, &sentence(&error))).await,
                    _ => {
                        let middle = range.start.midpoint(range.end);
                        stack.extend([middle..range.end, range.start..middle]);
                    }
                },
            }
        }
        drop(spans);
    }

    /// Notes published records in the journal, if it has room for them.
    fn note(&self, partition: u32, first: u64, records: &[Record]) {
        let Some(place) = self.journal.place(records.len()) else { return };
        let published_at = self.clock.now();
        place.send((first..).zip(records).filter_map(|(offset, record)| row(record, published_at, (partition, offset))).collect());
    }
}

/// A number that differs from partition to partition and from time to time.
fn spread() -> u8 {
    uuid::Uuid::new_v4().as_bytes().first().copied().unwrap_or_default()
}

/// What the journal needs of an event's JSON.
#[derive(Deserialize)]
struct Named<'a> {
    /// The event's name.
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// A journal row of a record; none of one that no dispatcher can read either, which will bury it.
fn row(record: &Record, published_at: Moment, place: (u32, u64)) -> Option<PublishedRow> {
    let moment = |name: &str| record.text(name).and_then(|micros| micros.parse().ok()).map(Moment::from_micros);
    let named: Named<'_> = serde_json::from_slice(&record.payload).ok()?;
    let received_at = moment("received-at")?;
    Some(PublishedRow {
        source_id: SourceId::new(record.text("source-id")?),
        event_id: EventId::new(record.text("event-id")?),
        name: named.name.into_owned(),
        trace_id: TraceContext::parse(record.text("traceparent")?, None)?.trace_id().to_owned(),
        received_at,
        accepted_at: record.accepted_at().unwrap_or(received_at),
        published_at,
        partition: place.0,
        offset: place.1,
    })
}

/// The `publish` span of a record whose trace is recorded.
fn span(record: &Record, partition: u32) -> Option<tracing::Span> {
    let trace = record.recorded_trace()?;
    let span = tracing::info_span!(
        "publish",
        otel.kind = "producer",
        messaging.operation.name = "publish",
        messaging.operation.r#type = "send",
        messaging.destination.partition.id = partition,
    );
    chassis::trace::adopt(&span, &trace);
    Some(span)
}
