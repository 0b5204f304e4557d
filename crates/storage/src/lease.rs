//! Who owns which partition: leases with a fencing epoch, judged by the database's clock alone.
//!
//! ```text
//! beat   member row lives on ▸ own rows are renewed ▸ quota = N/n, one more for the first N mod n ▸ free rows are claimed
//! epoch  rises with each claim and never falls; whoever writes under an older one writes nothing
//! ```
//! Laws: a row has one owner; a live lease is taken by nobody else; of many beats at once each free row goes to one. A
//! member that begins again under its old id takes its rows over at once, and what its former life still sends is fenced.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, FromQueryResult, Statement, Value};

use crate::store::Transact;
use crate::value::{Columns, bigint, text};
use crate::{Answer, Error, Store};

/// How long a beat may take. A late answer renews little, so the next beat is better than waiting.
const BEAT_MAX: Duration = Duration::from_secs(3);
/// How long the row of a member that is gone stays, in microseconds: for whoever looks at who was there.
const FORGET_AFTER: i64 = 600_000_000;

/// A process that wants partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Unique among all processes that ever live at the same time.
    pub id: String,
    /// Where it runs, for people.
    pub pod: String,
}

/// What a member says at each beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The topic.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// Who says it.
    pub member: Member,
    /// How long its leases shall last from now on.
    pub ttl: Duration,
    /// Whether it is this life's first beat: rows of a former life get a new epoch.
    pub first: bool,
    /// Whether it stops: it then claims nothing, and others share its part.
    pub draining: bool,
    /// Where its partitions end, as far as it knows.
    pub ends: Vec<(u32, u64)>,
}

/// A partition that a member owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// The partition.
    pub partition: u32,
    /// Its fencing epoch.
    pub epoch: u64,
    /// The offset to go on from.
    pub next_offset: u64,
    /// Where it ended, as an owner told last: a topic that ends before is another one.
    pub high_watermark: u64,
}

/// What a beat answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How many partitions this member shall own.
    pub quota: u32,
    /// How many members share the topic.
    pub members: u32,
    /// What it owns now.
    pub held: Vec<Holding>,
    /// Records of the whole topic that are not settled, as far as owners have told where partitions end.
    pub unsettled: u64,
}

/// A partition as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRow {
    /// The partition.
    pub partition: u32,
    /// The member that owned it last, unless it gave it back.
    pub owner: Option<String>,
    /// Its fencing epoch.
    pub epoch: u64,
    /// The first offset that is not settled.
    pub next_offset: u64,
    /// Where it ends, as its owner told last.
    pub high_watermark: u64,
}

impl Store {
    /// Keeps a member alive, renews what it owns, and claims what it is short of.
    ///
    /// # Errors
    /// Any [`Error`]; whether the beat happened is then unknown, and the next one tells.
    pub fn beat<'a>(&'a self, beat: &'a Beat) -> Answer<'a, Standing> {
        Box::pin(async move {
            let rows = self.write_within(BEAT_MAX, beat).await?;
            let table = Columns("dispatch_partition");
            let held = rows.held.into_iter().map(|row| row.read(table)).collect::<Result<_, _>>()?;
            Ok(Standing { quota: rows.quota, members: rows.members, held, unsettled: u64::try_from(rows.unsettled).unwrap_or_default() })
        })
    }

    /// Gives a partition back; `false` if it belonged to another by then.
    ///
    /// # Errors
    /// Any [`Error`]; the call may be repeated.
    pub fn release<'a>(&'a self, topic: &'a str, member: &'a str, holding: (u32, u64)) -> Answer<'a, bool> {
        Box::pin(async move { self.write_within(BEAT_MAX, &Release { topic: text(topic), member: text(member), holding }).await })
    }

    /// Removes a member that owns nothing any more.
    ///
    /// # Errors
    /// Any [`Error`]; the call may be repeated.
    pub fn leave<'a>(&'a self, topic: &'a str, member: &'a str) -> Answer<'a, ()> {
        Box::pin(async move { self.write_within(BEAT_MAX, &Leave { topic: text(topic), member: text(member) }).await })
    }

    /// Each partition of a topic that a member was ever told of, in order.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn partitions<'a>(&'a self, topic: &'a str) -> Answer<'a, Vec<PartitionRow>> {
        Box::pin(async move {
            const SELECT: &str = r#"SELECT "partition", owner, epoch, next_offset, high_watermark FROM dispatch_partition
            WHERE topic = $1 ORDER BY "partition""#;
            let select = statement(self.reader().get_database_backend(), SELECT, vec![text(topic).into()]);
            let rows = self.answer(Whole::find_by_statement(select).all(self.reader())).await?;
            let table = Columns("dispatch_partition");
            rows.into_iter().map(|row| row.read(table)).collect()
        })
    }
}

/// A statement in which `{now}` is the database's clock in microseconds, `{lock}` locks rows, and `{skip}` passes over those that others
/// work on.
///
/// SQLite has one writer at a time, so nothing is to be passed over there, and its clock is the machine's.
pub(crate) fn statement(backend: DbBackend, sql: &str, values: Vec<Value>) -> Statement {
    let (now, lock, skip) = if backend == DbBackend::Postgres {
        ("CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)", "FOR UPDATE", "FOR UPDATE SKIP LOCKED")
    } else {
        ("CAST(unixepoch('subsec') * 1000000 AS INTEGER)", "", "")
    };
    Statement::from_sql_and_values(backend, sql.replace("{now}", now).replace("{lock}", lock).replace("{skip}", skip), values)
}

/// A holding as the database answers it.
#[derive(Debug, FromQueryResult)]
struct Row {
    /// The partition.
    partition: i64,
    /// Its epoch.
    epoch: i64,
    /// Where to go on from.
    next_offset: i64,
    /// Where it ended.
    high_watermark: i64,
}

/// A whole row as the database answers it.
#[derive(Debug, FromQueryResult)]
struct Whole {
    /// The partition.
    partition: i64,
    /// Its owner.
    owner: Option<String>,
    /// Its epoch.
    epoch: i64,
    /// Where to go on from.
    next_offset: i64,
    /// Where it ends.
    high_watermark: i64,
}

/// What a beat's transaction found.
#[derive(Debug)]
pub(crate) struct Found {
    /// How many partitions the member shall own.
    quota: u32,
    /// How many members there are.
    members: u32,
    /// What it owns.
    held: Vec<Row>,
    /// Records that are not settled.
    unsettled: i64,
}

impl Row {
    /// Reads a row.
    fn read(self, table: Columns) -> Result<Holding, Error> {
        let (epoch, next_offset) = (table.offset("epoch", self.epoch)?, table.offset("next_offset", self.next_offset)?);
        let high_watermark = table.offset("high_watermark", self.high_watermark)?;
        Ok(Holding { partition: table.partition(self.partition)?, epoch, next_offset, high_watermark })
    }
}

impl Whole {
    /// Reads a row.
    fn read(self, table: Columns) -> Result<PartitionRow, Error> {
        Ok(PartitionRow {
            partition: table.partition(self.partition)?,
            owner: self.owner,
            epoch: table.offset("epoch", self.epoch)?,
            next_offset: table.offset("next_offset", self.next_offset)?,
            high_watermark: table.offset("high_watermark", self.high_watermark)?,
        })
    }
}

impl Transact for Beat {
    type Outcome = Found;

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<Found, DbErr> {
        if self.first {
            self.enroll(transaction).await?;
        }
        self.live_on(transaction).await?;
        let (quota, members) = self.share(transaction).await?;
        let mut held = self.renew(transaction).await?;
        let owned = u32::try_from(held.len()).unwrap_or(u32::MAX);
        if quota > owned {
            held.extend(self.claim(transaction, quota - owned).await?);
        }
        const UNSETTLED: &str =
            "SELECT CAST(COALESCE(SUM(CASE WHEN high_watermark > next_offset THEN high_watermark - next_offset ELSE 0 END), 0) AS BIGINT)
            AS unsettled FROM dispatch_partition WHERE topic = $1";
        let row = transaction.query_one_raw(self.statement(transaction, UNSETTLED, Vec::new())).await?;
        let unsettled = row.map_or(Ok(0), |row| row.try_get("", "unsettled"))?;
        Ok(Found { quota, members, held, unsettled })
    }
}

impl Beat {
    /// A statement whose first value is the topic.
    fn statement(&self, transaction: &DatabaseTransaction, sql: &str, mut values: Vec<Value>) -> Statement {
        values.insert(0, text(&self.topic).into());
        statement(transaction.get_database_backend(), sql, values)
    }

    /// Makes the rows of partitions that have none yet.
    async fn enroll(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        const INSERT: &str = r#"INSERT INTO dispatch_partition (topic, "partition", epoch, expires_at, next_offset, high_watermark)
            VALUES ($1, $2, 0, 0, 0, 0) ON CONFLICT (topic, "partition") DO NOTHING"#;
        for partition in 0..self.partitions {
            transaction.execute_raw(self.statement(transaction, INSERT, vec![i64::from(partition).into()])).await?;
        }
        Ok(())
    }

    /// Keeps the member's row alive, and removes rows of members long gone.
    async fn live_on(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        const UPSERT: &str = "INSERT INTO dispatch_member (topic, id, pod, expires_at, draining) VALUES ($1, $2, $3, {now} + $4, $5)
            ON CONFLICT (topic, id) DO UPDATE SET pod = excluded.pod, expires_at = excluded.expires_at, draining = excluded.draining";
        const FORGET: &str = "DELETE FROM dispatch_member WHERE topic = $1 AND id IN
            (SELECT id FROM dispatch_member WHERE topic = $1 AND expires_at < {now} - $2 {skip})";
        let member = vec![self.id(), text(&self.member.pod).into(), self.ttl().into(), self.draining.into()];
        transaction.execute_raw(self.statement(transaction, UPSERT, member)).await?;
        transaction.execute_raw(self.statement(transaction, FORGET, vec![FORGET_AFTER.into()])).await?;
        Ok(())
    }

    /// This member's quota, and the number of members.
    async fn share(&self, transaction: &DatabaseTransaction) -> Result<(u32, u32), DbErr> {
        const MEMBERS: &str = "SELECT id FROM dispatch_member WHERE topic = $1 AND NOT draining AND expires_at > {now} ORDER BY id";
        let rows = transaction.query_all_raw(self.statement(transaction, MEMBERS, Vec::new())).await?;
        let members = rows.iter().map(|row| row.try_get_by_index::<String>(0)).collect::<Result<Vec<_>, _>>()?;
        let id = text(&self.member.id);
        let rank = members.iter().position(|member| *member == id);
        let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let quota = rank.map_or(0, |rank| quota(self.partitions, count, u32::try_from(rank).unwrap_or(u32::MAX)));
        Ok((quota, count))
    }

    /// Renews what the member owns, late or not: what nobody has claimed meanwhile is still its own.
    async fn renew(&self, transaction: &DatabaseTransaction) -> Result<Vec<Row>, DbErr> {
        // In the partitions' order, as commits lock them.
        const RENEW: &str = r#"UPDATE dispatch_partition SET epoch = epoch + $3, expires_at = {now} + $4
            WHERE topic = $1 AND owner = $2 AND "partition" IN
            (SELECT "partition" FROM dispatch_partition WHERE topic = $1 AND owner = $2 ORDER BY "partition" {lock})
            RETURNING "partition", epoch, next_offset, high_watermark"#;
        const TELL: &str = r#"UPDATE dispatch_partition SET high_watermark = $4 WHERE topic = $1 AND owner = $2 AND "partition" = $3
            AND high_watermark < $4"#;
        let life = i64::from(self.first);
        let renew = self.statement(transaction, RENEW, vec![self.id(), life.into(), self.ttl().into()]);
        let rows = transaction.query_all_raw(renew).await?;
        for (partition, end) in &self.ends {
            let tell = vec![self.id(), i64::from(*partition).into(), bigint(*end).into()];
            transaction.execute_raw(self.statement(transaction, TELL, tell)).await?;
        }
        rows.iter().map(|row| Row::from_query_result(row, "")).collect()
    }

    /// Claims so many rows that nobody owns.
    async fn claim(&self, transaction: &DatabaseTransaction, short: u32) -> Result<Vec<Row>, DbErr> {
        const FREE: &str = r#"SELECT "partition" FROM dispatch_partition WHERE topic = $1 AND expires_at <= {now}
            AND "partition" < $2 ORDER BY "partition" LIMIT $3 {skip}"#;
        const CLAIM: &str = r#"UPDATE dispatch_partition SET owner = $2, epoch = epoch + 1, expires_at = {now} + $3
            WHERE topic = $1 AND "partition" = $4 RETURNING "partition", epoch, next_offset, high_watermark"#;
        let free = self.statement(transaction, FREE, vec![i64::from(self.partitions).into(), i64::from(short).into()]);
        let mut claimed = Vec::new();
        for row in transaction.query_all_raw(free).await? {
            let partition: i64 = row.try_get_by_index(0)?;
            let claim = self.statement(transaction, CLAIM, vec![self.id(), self.ttl().into(), partition.into()]);
            if let Some(row) = transaction.query_one_raw(claim).await? {
                claimed.push(Row::from_query_result(&row, "")?);
            }
        }
        Ok(claimed)
    }

    /// The member's id as a value.
    fn id(&self) -> Value {
        text(&self.member.id).into()
    }

    /// The life of a lease in microseconds.
    fn ttl(&self) -> i64 {
        i64::try_from(self.ttl.as_micros()).unwrap_or(i64::MAX / 2)
    }
}

/// How many of `partitions` a member of that rank among `members` shall own.
fn quota(partitions: u32, members: u32, rank: u32) -> u32 {
    match (partitions.checked_div(members), partitions.checked_rem(members)) {
        (Some(all), Some(rest)) => all + u32::from(rank < rest),
        (_, _) => 0,
    }
}

/// A partition is given back.
struct Release {
    /// The topic.
    topic: String,
    /// Who gives it back.
    member: String,
    /// The partition and its epoch.
    holding: (u32, u64),
}

impl Transact for Release {
    type Outcome = bool;

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<bool, DbErr> {
        const RELEASE: &str = r#"UPDATE dispatch_partition SET owner = NULL, expires_at = 0
            WHERE topic = $1 AND "partition" = $2 AND owner = $3 AND epoch = $4"#;
        let (partition, epoch) = self.holding;
        let values = vec![self.topic.clone().into(), i64::from(partition).into(), self.member.clone().into(), bigint(epoch).into()];
        let done = transaction.execute_raw(statement(transaction.get_database_backend(), RELEASE, values)).await?;
        Ok(done.rows_affected() > 0)
    }
}

/// A member leaves.
struct Leave {
    /// The topic.
    topic: String,
    /// Who leaves.
    member: String,
}

impl Transact for Leave {
    type Outcome = ();

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        const LEAVE: &str = "DELETE FROM dispatch_member WHERE topic = $1 AND id = $2";
        let values = vec![self.topic.clone().into(), self.member.clone().into()];
        transaction.execute_raw(statement(transaction.get_database_backend(), LEAVE, values)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::quota;

    #[test]
    fn quotas_share_out_every_partition_and_differ_by_one_at_most() {
        for partitions in 0..40 {
            for members in 1..50 {
                let quotas: Vec<u32> = (0..members).map(|rank| quota(partitions, members, rank)).collect();
                assert_eq!(quotas.iter().sum::<u32>(), partitions);
                assert!(quotas.iter().max().unwrap() - quotas.iter().min().unwrap() <= 1);
            }
        }
        assert_eq!(quota(24, 0, 0), 0);
    }
}
