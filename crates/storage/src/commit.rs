//! What the dispatcher settles: offset, journal rows, dead rows and parked rows in one transaction.

use std::collections::{HashMap, HashSet};

use events_proxy_core::envelope::Record;
use events_proxy_core::{Attempt, DeadReason, EventId, Moment, SourceId, State};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter};

use crate::entity::partition_offset::{ActiveModel, Column, Entity};
use crate::journal::merge::{self, Key};
use crate::store::Transact;
use crate::value::{Columns, bigint, text};
use crate::{Error, Store, dead, parked};

/// How a settled event ended, for now or for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The target has it.
    Delivered,
    /// It is given up.
    Dead {
        /// Why.
        reason: DeadReason,
        /// Why, in words.
        detail: String,
    },
    /// It is set aside.
    Parked {
        /// When it is due again.
        next_attempt_at: Moment,
    },
}

impl End {
    /// The state that an event of this end is in.
    #[must_use]
    pub const fn state(&self) -> State {
        match self {
            Self::Delivered => State::Delivered,
            Self::Dead { .. } => State::Dead,
            Self::Parked { .. } => State::Parked,
        }
    }

    /// When an event of this end is due again.
    #[must_use]
    pub const fn next_attempt_at(&self) -> Option<Moment> {
        match self {
            Self::Delivered | Self::Dead { .. } => None,
            Self::Parked { next_attempt_at } => Some(*next_attempt_at),
        }
    }
}

/// An event with its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Who sent it.
    pub source_id: SourceId,
    /// The sender's id for it.
    pub event_id: EventId,
    /// Its kind.
    pub name: String,
    /// The trace it belongs to.
    pub trace_id: String,
    /// The brand it was delivered with.
    pub brand: Option<String>,
    /// When ingest received it.
    pub received_at: Moment,
    /// When it was taken from the topic.
    pub consumed_at: Moment,
    /// When it came to this end.
    pub settled_at: Moment,
    /// Its partition on the topic.
    pub partition: u32,
    /// Its offset in that partition.
    pub offset: u64,
    /// Every attempt so far, oldest first.
    pub attempts: Vec<Attempt>,
    /// How it ended.
    pub end: End,
    /// The record as it was on the topic; kept for parked and dead events only.
    pub record: Record,
}

/// A record that is no event: it becomes a dead row without ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// Its partition on the topic.
    pub partition: u32,
    /// Its offset in that partition.
    pub offset: u64,
    /// The record as it was on the topic.
    pub record: Record,
    /// Why it cannot be read.
    pub detail: String,
    /// When it was found.
    pub at: Moment,
}

/// What is written in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset to go on from. `None` when parked events settle: the offset stays.
    pub next_offset: Option<u64>,
    /// Events that came to an end.
    pub settled: Vec<Settled>,
    /// Records that are no events.
    pub undecodable: Vec<Undecodable>,
}

impl Store {
    /// Where each partition of a topic goes on.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn offsets(&self, topic: &str) -> Result<HashMap<u32, u64>, Error> {
        let table = Columns("partition_offset");
        let rows = self.answer(Entity::find().filter(Column::Topic.eq(text(topic))).all(self.reader())).await?;
        rows.iter().map(|row| Ok((table.partition(row.partition)?, table.offset("next_offset", row.next_offset)?))).collect()
    }

    /// Writes a commit in one transaction. An event that the journal has in a higher state stays in it: it is neither
    /// parked nor buried, and a parked row of it goes.
    ///
    /// # Errors
    /// Any [`Error`]; then nothing of the commit was written, or all of it.
    pub async fn commit(&self, commit: &Commit) -> Result<(), Error> {
        self.write(commit).await
    }

    /// Those of the events that have ended, delivered or dead: they must not be delivered again.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn delivered_among(&self, keys: &[(SourceId, EventId)]) -> Result<HashSet<(SourceId, EventId)>, Error> {
        let stored: Vec<Key> = keys.iter().map(|(source, event)| (text(source.as_str()), text(event.as_str()))).collect();
        let ranks = self.answer(merge::ranks(self.reader(), &stored)).await?;
        let ended = |key: &Key| ranks.get(key).is_some_and(|rank| *rank >= State::Dead.rank());
        Ok(keys.iter().zip(&stored).filter(|(_, stored)| ended(stored)).map(|(key, _)| key.clone()).collect())
    }
}

impl Transact for Commit {
    type Outcome = ();

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        let topic = text(&self.topic);
        // The offset first: two processes that believe to own the partition then wait for each other here, not in a deadlock.
        if let Some(next) = self.next_offset {
            advance(transaction, &topic, self.partition, next).await?;
        }
        merge::settled(transaction, &self.settled).await?;
        let standing = standing(transaction, &self.settled).await?;
        dead::bury(transaction, &topic, &standing, &self.undecodable).await?;
        parked::park(transaction, &topic, &standing).await?;
        let kept: HashSet<_> = standing.iter().filter(|event| event.end.state() == State::Parked).map(|event| event.place()).collect();
        parked::release(transaction, &topic, self.settled.iter().map(Settled::place).filter(|place| !kept.contains(place))).await
    }
}

/// The parked and dead events of a commit that the journal has in no higher state.
async fn standing<'a>(transaction: &DatabaseTransaction, settled: &'a [Settled]) -> Result<Vec<&'a Settled>, DbErr> {
    let kept: Vec<&Settled> = settled.iter().filter(|settled| settled.end != End::Delivered).collect();
    let keys: Vec<Key> = kept.iter().map(|settled| settled.key()).collect();
    let ranks = merge::ranks(transaction, &keys).await?;
    let stands = |settled: &&Settled| ranks.get(&settled.key()).is_none_or(|rank| *rank <= settled.end.state().rank());
    Ok(kept.into_iter().filter(stands).collect())
}

/// Moves a partition's offset forward.
async fn advance(transaction: &DatabaseTransaction, topic: &str, partition: u32, next_offset: u64) -> Result<(), DbErr> {
    let row = ActiveModel { topic: Set(topic.to_owned()), partition: Set(i64::from(partition)), next_offset: Set(bigint(next_offset)) };
    let told = Expr::col((Alias::new("excluded"), Column::NextOffset));
    let forward = OnConflict::columns([Column::Topic, Column::Partition])
        .update_column(Column::NextOffset)
        .action_and_where(told.gt(Expr::col((Entity, Column::NextOffset))))
        .to_owned();
    Entity::insert(row).on_conflict(forward).exec_without_returning(transaction).await?;
    Ok(())
}

impl Settled {
    /// Its key in the journal.
    fn key(&self) -> Key {
        (text(self.source_id.as_str()), text(self.event_id.as_str()))
    }

    /// Its partition and offset, as the tables hold them.
    pub(crate) fn place(&self) -> (i64, i64) {
        (i64::from(self.partition), bigint(self.offset))
    }
}
