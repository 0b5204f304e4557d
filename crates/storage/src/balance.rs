//! Whether every record that was passed has an end, and every end still has its row: `records = delivered + dead + pending`.
//!
//! ```text
//! offsets   next_offset − counted_from   =  what was counted of the records between them, in the same transactions
//! journal   each event that is parked or dead  ⇒  a row that holds its payload
//! ```
//! The two sides of each line are written by different code, and read in one statement, so a difference is never a
//! matter of timing. Events that the topic refused are dead under their spool's name and are not looked at here; what
//! the journal has let go of is not judged any more.

use events_proxy_core::{DeadReason, EventId, Moment, SourceId, State};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, QueryResult};

use crate::lease::statement;
use crate::store::Transact;
use crate::value::{Columns, text};
use crate::{Answer, Error, Store};

/// The most events of one kind that are named at once.
const NAMED_MAX: u32 = 10_000;

/// How records ended that a partition's offset has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// The target took their events.
    pub delivered: u64,
    /// Their events were set aside.
    pub parked: u64,
    /// Their events were given up, or they were no events.
    pub dead: u64,
    /// Their events had come before, by another record or before a crash.
    pub repeated: u64,
    /// The topic dropped them before they were read, or their offsets never had a record.
    pub expired: u64,
}

impl Passed {
    /// All of them.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.delivered + self.parked + self.dead + self.repeated + self.expired
    }
}

/// The two sides of the balance, over all partitions of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// Records that offsets have passed since counting began.
    pub records: u64,
    /// How they ended, as it was counted.
    pub passed: Passed,
    /// Records by which the two differ, in either direction, partition by partition.
    pub skipped: u64,
    /// Events that the journal has as parked, and no row holds.
    pub parked_gone: u64,
    /// Events that the journal has as dead, and no row holds.
    pub dead_gone: u64,
}

impl Balance {
    /// Events that are unaccounted for: 0, or something is wrong.
    #[must_use]
    pub const fn unaccounted(&self) -> u64 {
        self.skipped + self.parked_gone + self.dead_gone
    }
}

/// What is wrong with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// Its offset was passed, and the journal knows no end of it.
    NoEnd,
    /// It is parked, and no row holds it.
    ParkedGone,
    /// It is dead, and no row holds it.
    DeadGone,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NoEnd, Self::ParkedGone, Self::DeadGone];

    /// What is wrong, in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoEnd => "passed without an end",
            Self::ParkedGone => "parked, but its row is gone",
            Self::DeadGone => "dead, but its row is gone",
        }
    }

    /// The places, as partition and offset, of the events with which it is wrong; `$1` is the topic. Rows may be of a topic that
    /// was used before.
    ///
    /// Both sides of each `EXCEPT` are read once, however many rows the database believes them to be. With a look for each row a
    /// wrong belief makes minutes of milliseconds.
    fn places(self) -> String {
        let held = r#"topic IN (SELECT topic FROM dispatch_partition UNION SELECT CAST($1 AS TEXT))"#;
        let (rank, unpublishable) = (self.state().rank(), DeadReason::Unpublishable.as_str());
        match self {
            Self::NoEnd => format!(
                r#"SELECT w."partition", w."offset" FROM journal w
                JOIN dispatch_partition p ON p.topic = $1 AND p."partition" = w."partition" AND w."offset" < p.next_offset
                WHERE w.state_rank <= {rank} EXCEPT SELECT "partition", "offset" FROM dead WHERE topic = $1"#
            ),
            Self::ParkedGone => format!(
                r#"SELECT "partition", "offset" FROM journal WHERE state_rank = {rank}
                EXCEPT SELECT "partition", "offset" FROM parked WHERE {held}"#
            ),
            Self::DeadGone => format!(
                r#"SELECT "partition", "offset" FROM journal WHERE state_rank = {rank} AND dead_reason <> '{unpublishable}'
                EXCEPT SELECT "partition", "offset" FROM dead WHERE {held}"#
            ),
        }
    }

    /// The condition under which it is wrong with a row `j` of the journal that has such a place.
    fn condition(self) -> String {
        let rank = self.state().rank();
        match self {
            // What the topic dropped, or could not be read, has no event that ended; an event that its source sent again on
            // another day has two rows, of which one ends.
            Self::NoEnd => format!(
                r#"j.state_rank <= {rank}
                AND NOT EXISTS (SELECT 1 FROM expired x WHERE x.topic = $1 AND x."partition" = j."partition"
                    AND j."offset" >= x.first_offset AND j."offset" < x.end_offset)
                AND NOT EXISTS (SELECT 1 FROM journal o WHERE o.source_id = j.source_id AND o.event_id = j.event_id AND o.state_rank > {rank})"#
            ),
            Self::ParkedGone | Self::DeadGone => format!("j.state_rank = {rank}"),
        }
    }

    /// The state that the journal has such an event in; one that has no end may be in an earlier one, too.
    const fn state(self) -> State {
        match self {
            Self::NoEnd => State::Published,
            Self::ParkedGone => State::Parked,
            Self::DeadGone => State::Dead,
        }
    }
}

/// An event that is unaccounted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Astray {
    /// What is wrong.
    pub why: Why,
    /// Who sent it.
    pub source_id: SourceId,
    /// The sender's id for it.
    pub event_id: EventId,
    /// The trace it belongs to.
    pub trace_id: String,
    /// When ingest received it.
    pub received_at: Moment,
    /// Its partition on the topic.
    pub partition: u32,
    /// Its offset in that partition.
    pub offset: u64,
}

impl Store {
    /// Both sides of the balance of a topic. Looks at each parked and each dead event that the journal has: for intervals.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn balance<'a>(&'a self, topic: &'a str) -> Answer<'a, Balance> {
        Box::pin(async move {
            let sum =
                |column: &str| format!("(SELECT CAST(COALESCE(SUM({column}), 0) AS BIGINT) FROM dispatch_partition WHERE topic = $1)");
            let gone = |why: Why| format!("(SELECT COUNT(*) FROM ({}) gone)", why.places());
            let columns = [
                sum("next_offset - counted_from"),
                sum("passed_delivered"),
                sum("passed_parked"),
                sum("passed_dead"),
                sum("passed_repeated"),
                sum("passed_expired"),
                sum(&format!("ABS({DIFFERENCE})")),
                gone(Why::ParkedGone),
                gone(Why::DeadGone),
            ];
            let select = format!("SELECT {}", columns.join(", "));
            let select = statement(self.reader().get_database_backend(), &select, vec![text(topic).into()]);
            let counts = self.answer(async {
                let Some(row) = self.reader().query_one_raw(select).await? else { return Ok([0; 9]) };
                let mut counts = [0_u64; 9];
                for (place, count) in counts.iter_mut().enumerate() {
                    *count = u64::try_from(row.try_get_by_index::<i64>(place)?).unwrap_or_default();
                }
                Ok(counts)
            });
            let [records, delivered, parked, dead, repeated, expired, skipped, parked_gone, dead_gone] = counts.await?;
            Ok(Balance { records, passed: Passed { delivered, parked, dead, repeated, expired }, skipped, parked_gone, dead_gone })
        })
    }

    /// The events behind a difference, oldest first; at most 10,000 of each kind. Looks through all that is not delivered, which
    /// may take minutes: for somebody who asks, not for intervals.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn astray<'a>(&'a self, topic: &'a str, why: Why) -> Answer<'a, Vec<Astray>> {
        Box::pin(async move {
            let select = format!(
                r#"SELECT j.source_id, j.event_id, j.trace_id, j.received_at, j."partition", j."offset" FROM journal j
            WHERE (j."partition", j."offset") IN ({}) AND {} ORDER BY j.received_at, j.event_id LIMIT {NAMED_MAX}"#,
                why.places(),
                why.condition()
            );
            let select = statement(self.reader().get_database_backend(), &select, vec![text(topic).into()]);
            let rows = self.look_through(select).await?;
            rows.iter().map(|row| Row::of(row).map_err(Error::judge)?.read(why)).collect()
        })
    }

    /// The partitions whose offset and count differ, with the records by which they do: positive where records were passed
    /// without an end.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn skipping<'a>(&'a self, topic: &'a str) -> Answer<'a, Vec<(u32, i64)>> {
        Box::pin(async move {
            let select = format!(
                r#"SELECT "partition", CAST({DIFFERENCE} AS BIGINT) FROM dispatch_partition WHERE topic = $1 AND {DIFFERENCE} <> 0 ORDER BY "partition""#
            );
            let select = statement(self.reader().get_database_backend(), &select, vec![text(topic).into()]);
            let rows = self.answer(async {
                let rows = self.reader().query_all_raw(select).await?;
                rows.iter()
                    .map(|row| Ok((row.try_get_by_index::<i64>(0)?, row.try_get_by_index::<i64>(1)?)))
                    .collect::<Result<Vec<_>, DbErr>>()
            });
            let table = Columns("dispatch_partition");
            rows.await?.into_iter().map(|(partition, records)| Ok((table.partition(partition)?, records))).collect()
        })
    }

    /// Counts from now on: after a difference was looked into, or offsets were set by hand. Names of events stay as they are.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn count_anew<'a>(&'a self, topic: &'a str) -> Answer<'a, ()> {
        Box::pin(async move { self.write(&Anew { topic: text(topic) }).await })
    }
}

/// How many records a partition's offset has passed beyond those that were counted.
const DIFFERENCE: &str = "(next_offset - counted_from - passed_delivered - passed_parked - passed_dead - passed_repeated - passed_expired)";

/// A row of the journal as it is named.
#[derive(Debug, FromQueryResult)]
struct Row {
    /// Who sent it.
    source_id: String,
    /// The sender's id.
    event_id: String,
    /// Its trace.
    trace_id: String,
    /// When it came.
    received_at: i64,
    /// Its partition.
    partition: i64,
    /// Its offset.
    offset: i64,
}

impl Row {
    /// Takes it from an answer.
    fn of(row: &QueryResult) -> Result<Self, DbErr> {
        Self::from_query_result(row, "")
    }

    /// Reads it.
    fn read(self, why: Why) -> Result<Astray, Error> {
        let table = Columns("journal");
        Ok(Astray {
            why,
            source_id: SourceId::new(self.source_id),
            event_id: EventId::new(self.event_id),
            trace_id: self.trace_id,
            received_at: Moment::from_micros(self.received_at),
            partition: table.partition(self.partition)?,
            offset: table.offset("offset", self.offset)?,
        })
    }
}

/// A new beginning of the count.
struct Anew {
    /// The topic.
    topic: String,
}

impl Transact for Anew {
    type Outcome = ();

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        const ANEW: &str =
            "UPDATE dispatch_partition SET counted_from = next_offset, passed_delivered = 0, passed_parked = 0, passed_dead = 0,
            passed_repeated = 0, passed_expired = 0 WHERE topic = $1";
        let anew = statement(transaction.get_database_backend(), ANEW, vec![self.topic.clone().into()]);
        transaction.execute_raw(anew).await?;
        Ok(())
    }
}
