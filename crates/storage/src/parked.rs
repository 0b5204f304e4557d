//! Parked events: set aside after failed attempts, each with the moment it is due again.

use std::collections::{BTreeMap, HashMap};

use events_proxy_core::envelope::{Headers, Record};
use events_proxy_core::{Attempt, Moment};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};

use crate::bulk::Bulk;
use crate::commit::{Settled, Undecodable};
use crate::entity::parked::{ActiveModel, Column, Entity, Model};
use crate::lease::statement;
use crate::value::{CHUNK_ROWS_MAX, Columns, attempts, bounded, headers, text};
use crate::{Answer, Store};

/// Reads the table.
const COLUMNS: Columns = Columns("parked");

/// Removes rows.
static RELEASE: Bulk<3> = Bulk::new(
    r#"DELETE FROM parked WHERE (topic, "partition", "offset") IN (SELECT column1, column2, column3 FROM (VALUES {rows}) AS told)"#,
);

/// A parked event, as the dispatcher needs it to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRow {
    /// The topic it came from.
    pub topic: String,
    /// Its partition there.
    pub partition: u32,
    /// Its offset in that partition.
    pub offset: u64,
    /// The record as it was on the topic.
    pub record: Record,
    /// Every attempt so far, oldest first.
    pub attempts: Vec<Attempt>,
    /// How many of them count no more, because it was replayed after them.
    pub forgiven: u32,
    /// When it is due again.
    pub next_attempt_at: Moment,
    /// When it was first taken from the topic.
    pub consumed_at: Moment,
}

/// Parked events that are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Those that read, longest due first.
    pub rows: Vec<ParkedRow>,
    /// Those whose rows do not read any more, with what is left of them.
    pub broken: Vec<Undecodable>,
}

impl Store {
    /// The parked events of these partitions that are due; at most 1,000, whatever the limit.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn due<'a>(&'a self, topic: &'a str, partitions: &'a [u32], now: Moment, limit: u32) -> Answer<'a, Due> {
        Box::pin(async move {
            let select = Entity::find()
                .filter(Column::Topic.eq(text(topic)))
                .filter(Column::Partition.is_in(partitions.iter().copied().map(i64::from)))
                .filter(Column::NextAttemptAt.lte(now.as_micros()))
                .order_by_asc(Column::NextAttemptAt)
                .order_by_asc(Column::Partition)
                .order_by_asc(Column::Offset)
                .limit(bounded(limit));
            let mut due = Due { rows: Vec::new(), broken: Vec::new() };
            for row in self.answer(select.all(self.reader())).await? {
                let place = (COLUMNS.partition(row.partition)?, COLUMNS.offset("offset", row.offset)?);
                match ParkedRow::read(row, place, now) {
                    Ok(row) => due.rows.push(row),
                    Err(broken) => due.broken.push(broken),
                }
            }
            Ok(due)
        })
    }

    /// How many events are parked, and since when the oldest is with us, for each of these partitions that has any.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn waiting<'a>(&'a self, topic: &'a str, partitions: &'a [u32]) -> Answer<'a, HashMap<u32, Waiting>> {
        Box::pin(async move {
            let select = Entity::find()
                .select_only()
                .column(Column::Partition)
                .column_as(Column::Offset.count(), "events")
                .column_as(Column::ReceivedAt.min(), "oldest")
                .filter(Column::Topic.eq(text(topic)))
                .filter(Column::Partition.is_in(partitions.iter().copied().map(i64::from)))
                .group_by(Column::Partition);
            let groups = self.answer(select.into_model::<Group>().all(self.reader())).await?;
            let read = |group: Group| {
                let waiting = Waiting { events: COLUMNS.offset("offset", group.events)?, oldest: Moment::from_micros(group.oldest) };
                Ok((COLUMNS.partition(group.partition)?, waiting))
            };
            groups.into_iter().map(read).collect()
        })
    }
}

/// What is parked of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// How many events.
    pub events: u64,
    /// When ingest received the oldest.
    pub oldest: Moment,
}

/// The parked events of a partition, counted.
#[derive(Debug, FromQueryResult)]
struct Group {
    /// The partition.
    partition: i64,
    /// How many.
    events: i64,
    /// When the oldest was received.
    oldest: i64,
}

/// Stores the parked ones of these events, replacing what was parked of them before.
pub(crate) async fn park(database: &impl ConnectionTrait, topic: &str, settled: &[&Settled]) -> Result<(), DbErr> {
    let mut rows = BTreeMap::new();
    for event in settled {
        if let Some(due) = event.end.next_attempt_at() {
            rows.insert(event.place(), (*event, due));
        }
    }
    put(database, rows.into_values().map(|(event, due)| row(topic, event, due)).collect()).await
}

/// Writes parked rows, each in place of the one that may be there.
pub(crate) async fn put(database: &impl ConnectionTrait, rows: Vec<ActiveModel>) -> Result<(), DbErr> {
    let replace = OnConflict::columns([Column::Topic, Column::Partition, Column::Offset])
        .update_columns([Column::NextAttemptAt, Column::ReceivedAt, Column::ConsumedAt, Column::Attempts, Column::Forgiven])
        .update_columns([Column::RecordKey, Column::RecordPayload, Column::RecordHeaders])
        .to_owned();
    for chunk in rows.chunks(CHUNK_ROWS_MAX) {
        Entity::insert_many(chunk.to_vec()).on_conflict(replace.clone()).exec_without_returning(database).await?;
    }
    Ok(())
}

/// Removes what is parked at these places: partition and offset. Where nothing is parked, as mostly, that is all that is asked.
pub(crate) async fn release(database: &impl ConnectionTrait, topic: &str, places: Vec<(i64, i64)>) -> Result<(), DbErr> {
    if places.is_empty() {
        return Ok(());
    }
    let any = statement(database.get_database_backend(), "SELECT 1 FROM parked WHERE topic = $1 LIMIT 1", vec![topic.into()]);
    if database.query_one_raw(any).await?.is_none() {
        return Ok(());
    }
    RELEASE.write(database, places.into_iter().map(|(partition, offset)| [topic.into(), partition.into(), offset.into()])).await
}

/// The columns of a parked event.
fn row(topic: &str, event: &Settled, due: Moment) -> ActiveModel {
    let (partition, offset) = event.place();
    ActiveModel {
        topic: Set(topic.to_owned()),
        partition: Set(partition),
        offset: Set(offset),
        next_attempt_at: Set(due.as_micros()),
        received_at: Set(event.received_at.as_micros()),
        consumed_at: Set(event.consumed_at.as_micros()),
        attempts: Set(attempts(&event.attempts)),
        forgiven: Set(i32::try_from(event.forgiven).unwrap_or(i32::MAX)),
        record_key: Set(event.record.key.clone()),
        record_payload: Set(event.record.payload.clone()),
        record_headers: Set(headers(&event.record.headers)),
    }
}

impl ParkedRow {
    /// Reads a row of that place; one that does not read is what is left of it, found now.
    fn read(row: Model, (partition, offset): (u32, u64), now: Moment) -> Result<Self, Undecodable> {
        let headers = COLUMNS.headers(&row.record_headers);
        let attempts = COLUMNS.attempts(&row.attempts);
        let forgiven = COLUMNS.sound("forgiven", u32::try_from(row.forgiven).ok());
        let mut record = Record { key: row.record_key, payload: row.record_payload, headers: Headers::default() };
        let whole = headers.map(|headers| record.headers = headers).and_then(|()| Ok((attempts?, forgiven?)));
        match whole {
            Ok((attempts, forgiven)) => Ok(Self {
                topic: row.topic,
                partition,
                offset,
                record,
                attempts,
                forgiven,
                next_attempt_at: Moment::from_micros(row.next_attempt_at),
                consumed_at: Moment::from_micros(row.consumed_at),
            }),
            Err(error) => Err(Undecodable { partition, offset, record, detail: error.to_string(), at: now, was_parked: true }),
        }
    }
}
