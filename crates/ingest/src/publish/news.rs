//! What is told of events that the topic has, whichever way they went there: a row of the journal, a span of the trace.

use std::borrow::Cow;
use std::sync::Arc;

use chassis::clock::Clock;
use events_proxy_core::envelope::Record;
use events_proxy_core::{EventId, Moment, SourceId, TraceContext};
use serde::Deserialize;
use storage::PublishedRow;

use crate::journal::Journal;

/// Tells of published events.
#[derive(Debug, Clone)]
pub(crate) struct News {
    /// Where they are noted.
    pub(crate) journal: Journal,
    /// Tells when.
    pub(crate) clock: Arc<dyn Clock>,
}

impl News {
    /// Notes published records in the journal, if it has room for them.
    pub(crate) fn note(&self, partition: u32, first: u64, records: &[Record]) {
        let Some(place) = self.journal.place(records.len()) else { return };
        let published_at = self.clock.now();
        place.send((first..).zip(records).filter_map(|(offset, record)| row(record, published_at, (partition, offset))).collect());
    }
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

/// The `publish` spans of those records whose traces are recorded; they end when they are dropped.
pub(crate) fn spans<'a>(partition: u32, records: impl IntoIterator<Item = &'a Record>) -> Vec<tracing::Span> {
    records.into_iter().filter_map(|record| span(record, partition)).collect()
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
