//! Where the slots of a target's limit stand, for all processes that share the database.
//!
//! ```text
//! the database's clock  now ──────── first ─┬─ + s ─┬─ + 2 s ─┬──▶ next_slot      s = (interval + guard) / requests
//!                        │   at most ahead  │ these slots are the caller's
//! ```
//! Laws: no slot is given out twice, none lies before the database's present, and slots are `s` apart or more, whoever
//! asks. Only the database's clock counts; where it was set back, slots begin anew beyond all that were given out. A
//! reservation is one statement: no process can die, or sleep, between reading the row and writing it.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QueryResult, Statement};

use crate::entity::pace_slot::{ActiveModel, Column, Entity};
use crate::value::text;
use crate::{Answer, Error, Store};

/// The longest pause: what asks for more has it in parts.
pub const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Reserves slots. The row is locked before the clock is read, so that a caller who waited for it is not given the past.
/// Slots given out end at `ahead` from now, a pause at its longest from now, and the next slot a period and pushes later: one
/// that lies beyond is of before the clock was set back, and would stop everybody for as long as that was.
const RESERVE: &str = r#"
    WITH held AS (SELECT * FROM pace_slot WHERE target = $1 FOR UPDATE),
    timed AS (
        SELECT *, "interval" + guard AS period, greatest($4 - pushed, 0) AS push,
            (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint AS now FROM held),
    paused AS (SELECT *, least(paused_until, now + $5) AS paused FROM timed),
    placed AS (
        SELECT *, greatest(push + CASE WHEN next_slot > greatest(now + $3, paused) + 2 * period + 1000000000
            THEN now + $3 + period ELSE next_slot END, paused, now) AS first FROM paused),
    counted AS (
        SELECT *, CASE WHEN first > now + $3 THEN 0
            ELSE least($2, trunc((now + $3 - first)::numeric * requests / period)::bigint + 1) END AS slots FROM placed)
    UPDATE pace_slot SET pushed = pace_slot.pushed + counted.push, paused_until = counted.paused,
        next_slot = counted.first + ceil(counted.slots::numeric * counted.period / counted.requests)::bigint
    FROM counted WHERE pace_slot.target = $1
    RETURNING counted.now, counted.first, counted.slots, pace_slot.pushed, pace_slot.paused_until,
        pace_slot.requests, pace_slot."interval", pace_slot.guard"#;

/// Lets no slot lie within so long from now.
const PAUSE: &str = "
    UPDATE pace_slot SET paused_until = greatest(paused_until, (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint + $2)
    WHERE target = $1";

/// A target's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// So many requests, at least one,
    pub requests: u32,
    /// in any rolling interval of this length, longer than nothing.
    pub interval: Duration,
    /// What is kept free of every interval for jitter.
    pub guard: Duration,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// So many slots at most; none is allowed.
    pub slots: u32,
    /// None of them further in the future than this.
    pub ahead: Duration,
    /// How far slots must have been pushed back all in all; what others pushed counts.
    pub pushed: Duration,
}

/// What was reserved. Moments are nanoseconds since the Unix epoch by the database's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    /// When the database answered.
    pub now: u64,
    /// The first slot; without any, the first one that nobody has.
    pub first: u64,
    /// How many there are: the next ones follow at the limit's spacing.
    pub slots: u32,
    /// How far slots were pushed back so far, all in all.
    pub pushed: Duration,
    /// Slots before this are not to be used, whenever they were reserved.
    pub paused_until: u64,
    /// The limit as it is now.
    pub limit: Limit,
}

impl Limit {
    /// The distance of two slots is this, divided by the requests.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.interval.saturating_add(self.guard)
    }
}

impl Store {
    /// Puts a target's limit in place as it is configured. A limit that was changed since stays, until another one is
    /// configured.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn configure_limit<'a>(&'a self, target: &'a str, limit: Limit) -> Answer<'a, ()> {
        Box::pin(async move {
            let (requests, interval) = (i64::from(limit.requests), nanos(limit.interval));
            let row = ActiveModel {
                target: Set(text(target)),
                requests: Set(requests),
                interval: Set(interval),
                guard: Set(nanos(limit.guard)),
                configured_requests: Set(requests),
                configured_interval: Set(interval),
                next_slot: Set(0),
                paused_until: Set(0),
                pushed: Set(0),
            };
            let differs = Expr::col((Entity, Column::ConfiguredRequests))
                .ne(requests)
                .or(Expr::col((Entity, Column::ConfiguredInterval)).ne(interval));
            let replace = OnConflict::column(Column::Target)
                .update_columns([Column::Requests, Column::Interval, Column::Guard, Column::ConfiguredRequests, Column::ConfiguredInterval])
                .value(Column::NextSlot, moved(limit))
                .action_and_where(differs)
                .to_owned();
            // On the heap: whoever asks for slots would carry this statement along.
            self.answer(Box::pin(Entity::insert(row).on_conflict(replace).exec_without_returning(self.writer()))).await?;
            Ok(())
        })
    }

    /// Changes a target's limit, for all processes and without a restart; `false` if it has none. Slots that are given out
    /// keep their distance, so no window holds more than the larger of both limits.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn change_limit<'a>(&'a self, target: &'a str, limit: Limit) -> Answer<'a, bool> {
        Box::pin(async move {
            let change = Entity::update_many()
                .col_expr(Column::Requests, Expr::value(i64::from(limit.requests)))
                .col_expr(Column::Interval, Expr::value(nanos(limit.interval)))
                .col_expr(Column::Guard, Expr::value(nanos(limit.guard)))
                .col_expr(Column::NextSlot, moved(limit))
                .filter(Column::Target.eq(text(target)));
            Ok(self.answer(change.exec(self.writer())).await?.rows_affected > 0)
        })
    }

    /// A target's limit; `None` if it has none.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn limit<'a>(&'a self, target: &'a str) -> Answer<'a, Option<Limit>> {
        Box::pin(async move {
            let row = self.answer(Entity::find_by_id(text(target)).one(self.reader())).await?;
            row.map(|row| limit(row.requests, row.interval, row.guard)).transpose()
        })
    }

    /// Reserves slots of a target; `None` if it has no limit. PostgreSQL alone: a database that is not shared needs none of this.
    ///
    /// # Errors
    /// Any [`Error`]. Slots whose reservation was not answered are lost, which sends less, never more.
    pub fn reserve<'a>(&'a self, target: &'a str, asked: Asked) -> Answer<'a, Option<Reserved>> {
        Box::pin(async move {
            let [ahead, pushed, longest] = [asked.ahead, asked.pushed, PAUSE_MAX].map(|time| nanos(time).into());
            let values = [text(target).into(), i64::from(asked.slots).into(), ahead, pushed, longest];
            let statement = Statement::from_sql_and_values(DbBackend::Postgres, RESERVE, values);
            let row = self.answer(self.writer().query_one_raw(statement)).await?;
            row.map(|row| Told::read(&row).map_err(Error::judge)?.checked()).transpose()
        })
    }

    /// Lets nobody have a slot of a target for so long, [`PAUSE_MAX`] at most: it said that it is too fast. PostgreSQL alone.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn pause_slots<'a>(&'a self, target: &'a str, wait: Duration) -> Answer<'a, ()> {
        Box::pin(async move {
            let statement =
                Statement::from_sql_and_values(DbBackend::Postgres, PAUSE, [text(target).into(), nanos(wait.min(PAUSE_MAX)).into()]);
            self.answer(self.writer().execute_raw(statement)).await?;
            Ok(())
        })
    }
}

/// Where the next slot is when a limit changes: the distance from the last one becomes that of the new limit.
fn moved(limit: Limit) -> Expr {
    let column = |column: Column| Expr::col((Entity, column));
    let before = column(Column::Interval).add(column(Column::Guard)).div(column(Column::Requests));
    // Rounded up, and the other one down: a limit that is changed to and fro gives nothing away.
    let after = nanos(limit.period()) / i64::from(Ord::max(limit.requests, 1)) + 1;
    column(Column::NextSlot).sub(before).add(after)
}

/// The numbers of an answer.
struct Told {
    /// Now, the first slot, how many, pushed so far, paused until.
    slots: [i64; 5],
    /// Requests, interval, guard.
    limit: [i64; 3],
}

impl Told {
    /// Reads them by their place.
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        let number = |place| row.try_get_by_index(place);
        Ok(Self { slots: [number(0)?, number(1)?, number(2)?, number(3)?, number(4)?], limit: [number(5)?, number(6)?, number(7)?] })
    }

    /// What they mean.
    fn checked(self) -> Result<Reserved, Error> {
        let [now, first, slots, pushed, paused_until] = self.slots;
        let [requests, interval, guard] = self.limit;
        let moment = |column, nanos| u64::try_from(nanos).map_err(|_| corrupt(column));
        Ok(Reserved {
            now: moment("now", now)?,
            first: moment("next_slot", first)?,
            slots: u32::try_from(slots).map_err(|_| corrupt("slots"))?,
            pushed: Duration::from_nanos(moment("pushed", pushed)?),
            paused_until: moment("paused_until", paused_until)?,
            limit: limit(requests, interval, guard)?,
        })
    }
}

/// A limit from its columns.
fn limit(requests: i64, interval: i64, guard: i64) -> Result<Limit, Error> {
    Ok(Limit {
        requests: u32::try_from(requests).ok().filter(|requests| *requests > 0).ok_or(corrupt("requests"))?,
        interval: u64::try_from(interval).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos).ok_or(corrupt("interval"))?,
        guard: u64::try_from(guard).map(Duration::from_nanos).map_err(|_| corrupt("guard"))?,
    })
}

/// A column that cannot be read.
const fn corrupt(column: &'static str) -> Error {
    Error::Corrupt { table: "pace_slot", column }
}

/// A time as the table holds it.
fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sea_orm::sea_query::Expr;
    use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

    use super::{Column, Entity, Limit, Told, limit};
    use crate::{Error, Options, Store};

    /// A row whose numbers are all good.
    const GOOD: Told = Told { slots: [10, 20, 3, 40, 50], limit: [7, 1_000, 12] };

    /// The column that a row is refused for.
    fn fault(told: Told) -> &'static str {
        match told.checked() {
            Err(Error::Corrupt { table: "pace_slot", column }) => column,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_row_that_cannot_be_is_refused_by_the_name_of_its_column() {
        let read = GOOD.checked().unwrap();
        let limit = Limit { requests: 7, interval: Duration::from_micros(1), guard: Duration::from_nanos(12) };
        assert_eq!((read.now, read.first, read.slots, read.pushed, read.paused_until), (10, 20, 3, Duration::from_nanos(40), 50));
        assert_eq!(read.limit, limit);
        for (at, column) in ["now", "next_slot", "slots", "pushed", "paused_until"].into_iter().enumerate() {
            let mut told = GOOD;
            told.slots[at] = -1;
            assert_eq!(fault(told), column);
        }
        for (at, number, column) in
            [(0, 0, "requests"), (0, -1, "requests"), (0, 1 << 32, "requests"), (1, 0, "interval"), (2, -1, "guard")]
        {
            let mut told = GOOD;
            told.limit[at] = number;
            assert_eq!(fault(told), column, "{number}");
        }
    }

    #[test]
    fn a_limit_needs_no_guard() {
        assert_eq!(limit(1, 1, 0).unwrap().period(), Duration::from_nanos(1));
    }

    #[tokio::test]
    async fn where_a_limit_changes_the_next_slot_keeps_the_new_distance_from_the_last_one() {
        let options = Options { url: "sqlite::memory:".to_owned(), max_connections: 1, acquire_timeout: Duration::from_secs(10) };
        let store = Store::connect(&options).await.unwrap();
        store.migrate().await.unwrap();
        let slow = Limit { requests: 10, interval: Duration::from_secs(1), guard: Duration::from_millis(20) };
        store.configure_limit("target", slow).await.unwrap();
        let last = 5_000_000_000_i64;
        let next = Entity::update_many().col_expr(Column::NextSlot, Expr::value(last + 102_000_000)).filter(Column::Target.eq("target"));
        next.exec(store.writer()).await.unwrap();
        store.change_limit("target", Limit { requests: 25, ..slow }).await.unwrap();
        let row = Entity::find_by_id("target").one(store.reader()).await.unwrap().unwrap();
        // One more, for the distance is no whole number where it is rounded.
        assert_eq!(row.next_slot, last + 40_800_000 + 1);
    }
}
