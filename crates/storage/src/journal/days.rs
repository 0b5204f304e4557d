//! The journal in days: room for those to come, an end for those that are over.
//!
//! On PostgreSQL a day is a table, and letting go of one is a matter of moments whatever it holds; rows of a day that has
//! no table stand in `journal_rest` until it gets one. Many rows stay there: to move them takes long, and holds up whoever
//! writes to them. What is over is deleted there, as SQLite deletes all rows, a few thousand at a time.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr};

use crate::lease::statement;
use crate::store::Transact;
use crate::value::DAY_MICROS;
use crate::{Answer, Store};

/// How many days are made before they begin.
const AHEAD: i64 = 2;
/// How many rows are deleted at once: others write in between.
const ROWS_MAX: u64 = 5_000;
/// How many rows are moved into new tables at once: a second's work.
const MOVED_MAX: u64 = 20_000;
/// How long the job waits for others' locks; a writer that meets it waits no longer either.
const LOCK_WAIT: &str = "SET LOCAL lock_timeout = '2s'";
/// One process at a time does it; whoever comes second leaves it to the first. "days" in ASCII.
const ALONE: &str = "SELECT pg_try_advisory_xact_lock(1684109683)";

impl Store {
    /// Keeps the journal of that many days, today besides; tells how many days (PostgreSQL) or rows (SQLite) went.
    ///
    /// # Errors
    /// Any [`Error`]; what was not done is done by the next call.
    pub fn keep_journal(&self, days: u32) -> Answer<'_, u64> {
        Box::pin(async move {
            let mut gone = 0;
            loop {
                let went = self.write(&Keep { days: i64::from(days) }).await?;
                gone += went.told;
                if went.rows < ROWS_MAX {
                    return Ok(gone);
                }
            }
        })
    }
}

/// One round of the job.
struct Keep {
    /// How many days before today are kept.
    days: i64,
}

/// What went in a round.
#[derive(Debug, Default)]
struct Went {
    /// What is told of it.
    told: u64,
    /// Rows that were deleted one by one: where they are many, there may be more.
    rows: u64,
}

impl Transact for Keep {
    type Outcome = Went;

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<Went, DbErr> {
        let backend = transaction.get_database_backend();
        let now = transaction.query_one_raw(statement(backend, "SELECT {now}", Vec::new())).await?;
        let today = now.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))?.div_euclid(DAY_MICROS);
        let kept = today - self.days..today + AHEAD + 1;
        if backend != DbBackend::Postgres {
            let delete =
                format!("DELETE FROM journal WHERE rowid IN (SELECT rowid FROM journal WHERE day < {} LIMIT {ROWS_MAX})", kept.start);
            let rows = transaction.execute_unprepared(&delete).await?.rows_affected();
            return Ok(Went { told: rows, rows });
        }
        let alone = transaction.query_one_raw(statement(backend, ALONE, Vec::new())).await?;
        if !alone.map_or(Ok(false), |row| row.try_get_by_index(0))? {
            return Ok(Went::default());
        }
        transaction.execute_unprepared(LOCK_WAIT).await?;
        let there = tables(transaction).await?;
        let mut room = MOVED_MAX;
        // Those to come first: in them the next rows are at home.
        for day in kept.clone().rev().filter(|day| !there.contains(day)) {
            let rows = resting(transaction, day, room).await?;
            if rows <= room {
                make(transaction, day).await?;
                room -= rows;
            }
        }
        let over: Vec<i64> = there.into_iter().filter(|day| *day < kept.start).collect();
        for day in &over {
            transaction.execute_unprepared(&format!("DROP TABLE journal_d{day}")).await?;
        }
        let delete = format!(
            "DELETE FROM journal_rest WHERE ctid = ANY (ARRAY(SELECT ctid FROM journal_rest WHERE day < {} LIMIT {ROWS_MAX}))",
            kept.start
        );
        let rows = transaction.execute_unprepared(&delete).await?.rows_affected();
        Ok(Went { told: u64::try_from(over.len()).unwrap_or(u64::MAX), rows })
    }
}

/// How many rows of a day have no table, counted no further than beyond a bound.
async fn resting(transaction: &DatabaseTransaction, day: i64, bound: u64) -> Result<u64, DbErr> {
    let count = format!("SELECT count(*) FROM (SELECT FROM journal_rest WHERE day = {day} LIMIT {}) AS resting", bound + 1);
    let row = transaction.query_one_raw(statement(DbBackend::Postgres, &count, Vec::new())).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))?.unsigned_abs())
}

/// The days that have a table.
async fn tables(transaction: &DatabaseTransaction) -> Result<BTreeSet<i64>, DbErr> {
    const TABLES: &str = "SELECT child.relname::text FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'journal'::regclass";
    let rows = transaction.query_all_raw(statement(DbBackend::Postgres, TABLES, Vec::new())).await?;
    let names = rows.iter().map(|row| row.try_get_by_index::<String>(0)).collect::<Result<Vec<_>, _>>()?;
    Ok(names.iter().filter_map(|name| name.strip_prefix("journal_d")?.parse().ok()).collect())
}

/// Makes a day's table, with the rows that came before it was there. Attached and not created in place: that lets writers
/// of other days go on.
async fn make(transaction: &DatabaseTransaction, day: i64) -> Result<(), DbErr> {
    let next = day + 1;
    let steps = format!(
        "CREATE TABLE journal_d{day} (LIKE journal INCLUDING ALL);
         WITH moved AS (DELETE FROM journal_rest WHERE day = {day} RETURNING *) INSERT INTO journal_d{day} SELECT * FROM moved;
         ALTER TABLE journal ATTACH PARTITION journal_d{day} FOR VALUES FROM ({day}) TO ({next});"
    );
    transaction.execute_unprepared(&steps).await?;
    Ok(())
}
