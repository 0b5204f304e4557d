//! How news becomes journal rows: one upsert for each of the two writers, neither of which takes anything back.
//!
//! Rows of a statement are in key order, so that two writers lock them in the same order, and no key occurs twice
//! in it: PostgreSQL refuses a statement that meets its own row.

use std::collections::{BTreeMap, HashMap};

use events_proxy_core::{DeadReason, State};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Alias, CaseStatement, Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait};

use super::PublishedRow;
use crate::commit::{End, Settled, Undecodable};
use crate::entity::journal::{ActiveModel, Column, Entity};
use crate::lease::statement;
use crate::value::{CHUNK_ROWS_MAX, attempts, bigint, day, places, text};

/// An event's key as the table holds it: source, event.
pub(crate) type Key = (String, String);
/// A row's key: source, event, and the day of its receipt, by which PostgreSQL finds the table.
type Place = (String, String, i64);

/// Writes published events. A row that is there gets the two times if it lacks them; its state only rises.
pub(super) async fn published(database: &impl ConnectionTrait, rows: &[PublishedRow]) -> Result<(), DbErr> {
    let mut news = BTreeMap::new();
    for row in rows {
        // An event that is on the topic twice was published when it was first.
        news.entry((text(row.source_id.as_str()), text(row.event_id.as_str()), day(row.received_at))).or_insert(row);
    }
    let higher = CaseStatement::new()
        .case(excluded(Column::StateRank).gt(stored(Column::StateRank)), excluded(Column::StateRank))
        .finally(stored(Column::StateRank));
    let fill = OnConflict::columns([Column::SourceId, Column::EventId, Column::Day])
        .update_columns([Column::AcceptedAt, Column::PublishedAt])
        .value(Column::StateRank, higher)
        .action_and_where(stored(Column::PublishedAt).is_null())
        .to_owned();
    upsert(database, news.into_iter().map(published_row), &fill).await
}

/// Writes settled events. A row of a higher state stays as it is; of two parkings the later one stays.
pub(crate) async fn settled(database: &impl ConnectionTrait, rows: &[&Settled]) -> Result<(), DbErr> {
    let mut news: BTreeMap<Place, &Settled> = BTreeMap::new();
    for row in rows {
        let first = news.entry((text(row.source_id.as_str()), text(row.event_id.as_str()), day(row.received_at))).or_insert(row);
        if precedence(row) > precedence(first) {
            *first = row;
        }
    }
    let parked_again = excluded(Column::StateRank)
        .eq(State::Parked.rank())
        .and(stored(Column::StateRank).eq(State::Parked.rank()))
        .and(excluded(Column::SettledAt).gt(stored(Column::SettledAt)));
    let win = OnConflict::columns([Column::SourceId, Column::EventId, Column::Day])
        .update_columns([Column::Brand, Column::StateRank, Column::ConsumedAt, Column::SettledAt, Column::NextAttemptAt])
        .update_columns([Column::Partition, Column::Offset, Column::Attempts, Column::DeadReason, Column::DeadDetail])
        .action_and_where(excluded(Column::StateRank).gt(stored(Column::StateRank)).or(parked_again))
        .to_owned();
    upsert(database, news.into_iter().map(settled_row), &win).await
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

/// The state ranks of those of the keyed events that the journal knows.
pub(crate) async fn ranks(database: &impl ConnectionTrait, keys: &[Key]) -> Result<HashMap<Key, i16>, DbErr> {
    let mut ranks = HashMap::new();
    for chunk in keys.chunks(CHUNK_ROWS_MAX) {
        // Both databases name the columns of a list of values so.
        let wanted = |column: &'static str| Expr::col((Alias::new("wanted"), Alias::new(column)));
        let same = stored(Column::SourceId).eq(wanted("column1")).and(stored(Column::EventId).eq(wanted("column2")));
        let select = Query::select()
            .columns([(Entity, Column::SourceId), (Entity, Column::EventId), (Entity, Column::StateRank)])
            .from_values(chunk.iter().cloned(), Alias::new("wanted"))
            .inner_join(Entity, same)
            .take();
        for row in database.query_all(&select).await? {
            let rank = ranks.entry((row.try_get_by_index(0)?, row.try_get_by_index(1)?)).or_default();
            // An event that a source sent again on another day has a row for each.
            *rank = std::cmp::max(row.try_get_by_index(2)?, *rank);
        }
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

/// Inserts rows, statement by statement.
async fn upsert(database: &impl ConnectionTrait, rows: impl Iterator<Item = ActiveModel>, conflict: &OnConflict) -> Result<(), DbErr> {
    let mut rows = rows.peekable();
    while rows.peek().is_some() {
        let chunk = Entity::insert_many(rows.by_ref().take(CHUNK_ROWS_MAX));
        chunk.on_conflict(conflict.clone()).exec_without_returning(database).await?;
    }
    Ok(())
}

/// The columns of a published event.
fn published_row(((source_id, event_id, day), row): (Place, &PublishedRow)) -> ActiveModel {
    ActiveModel {
        source_id: Set(source_id),
        event_id: Set(event_id),
        day: Set(day),
        name: Set(text(&row.name)),
        trace_id: Set(text(&row.trace_id)),
        state_rank: Set(State::Published.rank()),
        received_at: Set(row.received_at.as_micros()),
        accepted_at: Set(Some(row.accepted_at.as_micros())),
        published_at: Set(Some(row.published_at.as_micros())),
        partition: Set(i64::from(row.partition)),
        offset: Set(bigint(row.offset)),
        ..Default::default()
    }
}

/// The columns of a settled event.
fn settled_row(((source_id, event_id, day), row): (Place, &Settled)) -> ActiveModel {
    let (reason, detail) = match &row.end {
        End::Dead { reason, detail } => (Some(reason.as_str().to_owned()), Some(text(detail))),
        End::Delivered | End::Parked { .. } => (None, None),
    };
    ActiveModel {
        source_id: Set(source_id),
        event_id: Set(event_id),
        day: Set(day),
        name: Set(text(&row.name)),
        trace_id: Set(text(&row.trace_id)),
        brand: Set(row.brand.as_deref().map(text)),
        state_rank: Set(row.end.state().rank()),
        received_at: Set(row.received_at.as_micros()),
        accepted_at: NotSet,
        published_at: NotSet,
        consumed_at: Set(Some(row.consumed_at.as_micros())),
        settled_at: Set(Some(row.settled_at.as_micros())),
        next_attempt_at: Set(row.end.next_attempt_at().map(|at| at.as_micros())),
        partition: Set(i64::from(row.partition)),
        offset: Set(bigint(row.offset)),
        attempts: Set(Some(attempts(&row.attempts))),
        dead_reason: Set(reason),
        dead_detail: Set(detail),
        replays: NotSet,
    }
}

/// A column of the row that is told.
fn excluded(column: Column) -> Expr {
    Expr::col((Alias::new("excluded"), column))
}

/// A column of the row that is there.
fn stored(column: Column) -> Expr {
    Expr::col((Entity, column))
}
