//! Dead letters: events that were given up and records that are no events, with all that is needed to judge and replay them.

use std::collections::BTreeMap;

use events_proxy_core::envelope::Record;
use events_proxy_core::{Attempt, DeadReason, EventId, Moment, SourceId};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, OnConflict};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryOrder, QuerySelect};

use crate::bulk::Bulk;
use crate::commit::{End, Settled, Undecodable};
use crate::entity::dead::{ActiveModel, Column, Entity, Model};
use crate::value::{CHUNK_ROWS_MAX, Columns, attempts, bigint, bounded, headers, moment, text};
use crate::{Answer, Error, Store};

/// Removes rows of events.
static RAISE: Bulk<5> = Bulk::new(
    r#"DELETE FROM dead WHERE (topic, "partition", "offset", source_id, event_id)
    IN (SELECT column1, column2, column3, column4, column5 FROM (VALUES {rows}) AS told)"#,
);

/// Who gave the event up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadKind {
    /// The target said no.
    Refused,
    /// The pipeline could not bring it to the target.
    Undeliverable,
}

impl DeadKind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Refused, Self::Undeliverable];

    /// The kind's word in the table, labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Undeliverable => "undeliverable",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The kind a reason belongs to.
    #[must_use]
    pub const fn of(reason: DeadReason) -> Self {
        match reason {
            DeadReason::Refused => Self::Refused,
            DeadReason::AttemptsExhausted | DeadReason::Undecodable | DeadReason::Unpublishable => Self::Undeliverable,
        }
    }
}

/// A dead letter. A record that is no event has neither ids, name, trace nor times of its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadRow {
    /// The topic it came from.
    pub topic: String,
    /// Its partition there.
    pub partition: u32,
    /// Its offset in that partition.
    pub offset: u64,
    /// Who gave it up.
    pub kind: DeadKind,
    /// Why.
    pub reason: DeadReason,
    /// Why, in words.
    pub detail: String,
    /// Who sent it.
    pub source_id: Option<SourceId>,
    /// The sender's id for it.
    pub event_id: Option<EventId>,
    /// Its kind of event.
    pub name: Option<String>,
    /// The trace it belongs to.
    pub trace_id: Option<String>,
    /// The brand it would have been delivered with.
    pub brand: Option<String>,
    /// When ingest received it.
    pub received_at: Option<Moment>,
    /// When it was taken from the topic.
    pub consumed_at: Option<Moment>,
    /// When it was given up.
    pub died_at: Moment,
    /// Every attempt, oldest first.
    pub attempts: Vec<Attempt>,
    /// The record as it was on the topic.
    pub record: Record,
}

impl Store {
    /// The dead letters, newest first; at most 1,000, whatever the limit.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn dead_letters(&self, limit: u32) -> Answer<'_, Vec<DeadRow>> {
        Box::pin(async move {
            let select = Entity::find()
                .order_by_desc(Column::DiedAt)
                .order_by_asc(Column::Topic)
                .order_by_asc(Column::Partition)
                .order_by_asc(Column::Offset)
                .limit(bounded(limit));
            let rows = self.answer(select.all(self.reader())).await?;
            rows.into_iter().map(DeadRow::read).collect()
        })
    }
}

/// Stores the dead ones of these events, and records that are no events. What died at the same place earlier is replaced.
pub(crate) async fn bury(
    database: &impl ConnectionTrait,
    topic: &str,
    settled: &[&Settled],
    undecodable: &[&Undecodable],
) -> Result<(), DbErr> {
    let mut rows = BTreeMap::new();
    for event in settled {
        if let End::Dead { reason, detail } = &event.end {
            rows.insert(event.place(), event_row(topic, event, *reason, detail));
        }
    }
    for record in undecodable {
        rows.insert(record.place(), record_row(topic, record));
    }
    let rows: Vec<ActiveModel> = rows.into_values().collect();
    let told = Expr::col((Alias::new("excluded"), Column::DiedAt));
    let replace = OnConflict::columns([Column::Topic, Column::Partition, Column::Offset])
        .update_columns([Column::Kind, Column::Reason, Column::Detail, Column::SourceId, Column::EventId, Column::Name])
        .update_columns([Column::TraceId, Column::Brand, Column::ReceivedAt, Column::ConsumedAt, Column::DiedAt, Column::Attempts])
        .update_columns([Column::RecordKey, Column::RecordPayload, Column::RecordHeaders])
        .action_and_where(told.gt(Expr::col((Entity, Column::DiedAt))))
        .to_owned();
    for chunk in rows.chunks(CHUNK_ROWS_MAX) {
        Entity::insert_many(chunk.to_vec()).on_conflict(replace.clone()).exec_without_returning(database).await?;
    }
    Ok(())
}

/// Removes the dead rows of these events, where they stand at the same place: they were delivered after all.
pub(crate) async fn raise(database: &impl ConnectionTrait, topic: &str, delivered: &[&Settled]) -> Result<(), DbErr> {
    let row = |event: &&Settled| {
        let ((partition, offset), (source, id)) = (event.place(), (text(event.source_id.as_str()), text(event.event_id.as_str())));
        [topic.into(), partition.into(), offset.into(), source.into(), id.into()]
    };
    RAISE.write(database, delivered.iter().map(row)).await
}

/// The columns of a dead event.
fn event_row(topic: &str, event: &Settled, reason: DeadReason, detail: &str) -> ActiveModel {
    let (partition, offset) = event.place();
    ActiveModel {
        topic: Set(topic.to_owned()),
        partition: Set(partition),
        offset: Set(offset),
        kind: Set(DeadKind::of(reason).as_str().to_owned()),
        reason: Set(reason.as_str().to_owned()),
        detail: Set(text(detail)),
        source_id: Set(Some(text(event.source_id.as_str()))),
        event_id: Set(Some(text(event.event_id.as_str()))),
        name: Set(Some(text(&event.name))),
        trace_id: Set(Some(text(&event.trace_id))),
        brand: Set(event.brand.as_deref().map(text)),
        received_at: Set(Some(event.received_at.as_micros())),
        consumed_at: Set(Some(event.consumed_at.as_micros())),
        died_at: Set(event.settled_at.as_micros()),
        attempts: Set(attempts(&event.attempts)),
        record_key: Set(event.record.key.clone()),
        record_payload: Set(event.record.payload.clone()),
        record_headers: Set(headers(&event.record.headers)),
    }
}

/// The columns of a record that is no event.
fn record_row(topic: &str, record: &Undecodable) -> ActiveModel {
    let reason = DeadReason::Undecodable;
    ActiveModel {
        topic: Set(topic.to_owned()),
        partition: Set(i64::from(record.partition)),
        offset: Set(bigint(record.offset)),
        kind: Set(DeadKind::of(reason).as_str().to_owned()),
        reason: Set(reason.as_str().to_owned()),
        detail: Set(text(&record.detail)),
        source_id: Set(None),
        event_id: Set(None),
        name: Set(None),
        trace_id: Set(None),
        brand: Set(None),
        received_at: Set(None),
        consumed_at: Set(None),
        died_at: Set(record.at.as_micros()),
        attempts: Set(attempts(&[])),
        record_key: Set(record.record.key.clone()),
        record_payload: Set(record.record.payload.clone()),
        record_headers: Set(headers(&record.record.headers)),
    }
}

impl DeadRow {
    /// Reads a row.
    fn read(row: Model) -> Result<Self, Error> {
        let table = Columns("dead");
        Ok(Self {
            partition: table.partition(row.partition)?,
            offset: table.offset("offset", row.offset)?,
            kind: table.sound("kind", DeadKind::parse(&row.kind))?,
            reason: table.reason("reason", &row.reason)?,
            detail: row.detail,
            source_id: row.source_id.map(SourceId::new),
            event_id: row.event_id.map(EventId::new),
            name: row.name,
            trace_id: row.trace_id,
            brand: row.brand,
            received_at: moment(row.received_at),
            consumed_at: moment(row.consumed_at),
            died_at: Moment::from_micros(row.died_at),
            attempts: table.attempts(&row.attempts)?,
            record: table.record(row.record_key, row.record_payload, &row.record_headers)?,
            topic: row.topic,
        })
    }
}
