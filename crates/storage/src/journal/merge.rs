//! How news becomes journal rows: one upsert for each of the two writers, neither of which takes anything back.
//!
//! Rows of a statement are in key order, so that two writers lock them in the same order, and no key occurs twice
//! in it: PostgreSQL refuses a statement that meets its own row.

use std::collections::{BTreeMap, HashMap};

use events_proxy_core::{DeadReason, State};
use sea_orm::{ConnectionTrait, DbErr, Value};

use super::PublishedRow;
use crate::bulk::Bulk;
use crate::commit::{End, Settled, Undecodable};
use crate::lease::statement;
use crate::value::{CHUNK_ROWS_MAX, attempts, bigint, day, places, text};

/// An event's key as the table holds it: source, event.
pub(crate) type Key = (String, String);
/// A row's key: source, event, and the day of its receipt, by which PostgreSQL finds the table.
type Place = (String, String, i64);

/// Writes published events. A row that is there gets the two times if it lacks them; its state only rises.
static PUBLISHED: Bulk<11> = Bulk::new(
    r#"INSERT INTO journal (source_id, event_id, day, name, trace_id, state_rank, received_at, accepted_at, published_at, "partition", "offset")
    SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9, column10, column11
    FROM (VALUES {rows}) AS told WHERE column1 IS NOT NULL
    ON CONFLICT (source_id, event_id, day) DO UPDATE SET accepted_at = excluded.accepted_at, published_at = excluded.published_at,
        state_rank = CASE WHEN excluded.state_rank > journal.state_rank THEN excluded.state_rank ELSE journal.state_rank END
        WHERE journal.published_at IS NULL"#,
);
/// Writes settled events. A row of a higher state stays as it is; of two parkings, whose rank is 2, the later one stays.
static SETTLED: Bulk<16> = Bulk::new(
    r#"INSERT INTO journal (source_id, event_id, day, name, trace_id, brand, state_rank, received_at, consumed_at, settled_at,
        next_attempt_at, "partition", "offset", attempts, dead_reason, dead_detail)
    SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9, column10,
        column11, column12, column13, column14, column15, column16
    FROM (VALUES {rows}) AS told WHERE column1 IS NOT NULL
    ON CONFLICT (source_id, event_id, day) DO UPDATE SET brand = excluded.brand, state_rank = excluded.state_rank,
        consumed_at = excluded.consumed_at, settled_at = excluded.settled_at, next_attempt_at = excluded.next_attempt_at,
        "partition" = excluded."partition", "offset" = excluded."offset", attempts = excluded.attempts,
        dead_reason = excluded.dead_reason, dead_detail = excluded.dead_detail
        WHERE excluded.state_rank > journal.state_rank
            OR (excluded.state_rank = 2 AND journal.state_rank = 2 AND excluded.settled_at > journal.settled_at)"#,
);
/// Looks keys up, of events that are parked or have ended: nobody asks for others.
static RANKS: Bulk<2> = Bulk::new(
    "SELECT journal.source_id, journal.event_id, journal.state_rank FROM (VALUES {rows}) AS wanted
    JOIN journal ON journal.source_id = wanted.column1 AND journal.event_id = wanted.column2 WHERE journal.state_rank >= 2",
);
const _: () = assert!(State::Parked.rank() == 2, "the rank of parked events stands in statements");

/// Tells of published events.
pub(super) async fn published(database: &impl ConnectionTrait, rows: &[PublishedRow]) -> Result<(), DbErr> {
    let mut news = BTreeMap::new();
    for row in rows {
        // An event that is on the topic twice was published when it was first.
        news.entry((text(row.source_id.as_str()), text(row.event_id.as_str()), day(row.received_at))).or_insert(row);
    }
    PUBLISHED.write(database, news.into_iter().map(published_row)).await
}

/// Tells of settled events.
pub(crate) async fn settled(database: &impl ConnectionTrait, rows: &[&Settled]) -> Result<(), DbErr> {
    let mut news: BTreeMap<Place, &Settled> = BTreeMap::new();
    for row in rows {
        let first = news.entry((text(row.source_id.as_str()), text(row.event_id.as_str()), day(row.received_at))).or_insert(row);
        if precedence(row) > precedence(first) {
            *first = row;
        }
    }
    SETTLED.write(database, news.into_iter().map(settled_row)).await
}

/// Buries parked events whose parked rows do not read. Who they are only their places tell, and no index has these: one look for all.
pub(crate) async fn broken(database: &impl ConnectionTrait, records: &[&Undecodable]) -> Result<(), DbErr> {
    let (dead, parked, reason) = (State::Dead.rank(), State::Parked.rank(), DeadReason::Undecodable.as_str());
    for chunk in records.chunks(CHUNK_ROWS_MAX) {
        let told = |record: &&Undecodable| {
            let (partition, offset) = record.place();
            [partition.into(), offset.into(), record.at.as_micros().into(), text(&record.detail).into()]
        };
        let values = chunk.iter().flat_map(told).collect();
        let bury = format!(
            r#"UPDATE journal SET state_rank = {dead}, next_attempt_at = NULL, dead_reason = '{reason}', settled_at = told.column3,
            dead_detail = told.column4 FROM (VALUES {}) AS told
            WHERE journal.state_rank = {parked} AND journal."partition" = told.column1 AND journal."offset" = told.column2"#,
            places(1, (chunk.len(), 4))
        );
        database.execute_raw(statement(database.get_database_backend(), &bury, values)).await?;
    }
    Ok(())
}

/// The state ranks of those of the keyed events that the journal has as parked or ended.
pub(crate) async fn ranks(database: &impl ConnectionTrait, keys: &[Key]) -> Result<HashMap<Key, i16>, DbErr> {
    let mut ranks = HashMap::new();
    let wanted = keys.iter().map(|(source, event)| [source.as_str().into(), event.as_str().into()]);
    for row in RANKS.read(database, wanted).await? {
        let rank = ranks.entry((row.try_get_by_index(0)?, row.try_get_by_index(1)?)).or_default();
        // An event that a source sent again on another day has a row for each.
        *rank = std::cmp::max(row.try_get_by_index(2)?, *rank);
    }
    Ok(ranks)
}

/// What decides between two settlements of one event: the state, and between two parkings the moment.
fn precedence(row: &Settled) -> (State, i64) {
    match row.end {
        End::Parked { .. } => (State::Parked, row.settled_at.as_micros()),
        End::Delivered | End::Dead { .. } => (row.end.state(), 0),
    }
}

/// The values of a published event.
fn published_row(((source_id, event_id, day), row): (Place, &PublishedRow)) -> [Value; 11] {
    [
        source_id.into(),
        event_id.into(),
        day.into(),
        text(&row.name).into(),
        text(&row.trace_id).into(),
        State::Published.rank().into(),
        row.received_at.as_micros().into(),
        row.accepted_at.as_micros().into(),
        row.published_at.as_micros().into(),
        i64::from(row.partition).into(),
        bigint(row.offset).into(),
    ]
}

/// The values of a settled event.
fn settled_row(((source_id, event_id, day), row): (Place, &Settled)) -> [Value; 16] {
    let (reason, detail) = match &row.end {
        End::Dead { reason, detail } => (Some(reason.as_str().to_owned()), Some(text(detail))),
        End::Delivered | End::Parked { .. } => (None, None),
    };
    [
        source_id.into(),
        event_id.into(),
        day.into(),
        text(&row.name).into(),
        text(&row.trace_id).into(),
        row.brand.as_deref().map(text).into(),
        row.end.state().rank().into(),
        row.received_at.as_micros().into(),
        row.consumed_at.as_micros().into(),
        row.settled_at.as_micros().into(),
        row.end.next_attempt_at().map(|at| at.as_micros()).into(),
        i64::from(row.partition).into(),
        bigint(row.offset).into(),
        attempts(&row.attempts).into(),
        reason.into(),
        detail.into(),
    ]
}
