//! What the dispatcher settles: offset, journal rows, dead rows and parked rows in one transaction, fenced by the epoch.
//!
//! Partitions may share a transaction: each is fenced by its own epoch, and one that belongs to another holds up no other.

mod advance;

use std::collections::HashSet;
use std::slice;

use events_proxy_core::envelope::Record;
use events_proxy_core::{Attempt, DeadReason, EventId, Moment, SourceId, State};
use sea_orm::{DatabaseTransaction, DbErr};

use crate::journal::merge::{self, Key};
use crate::store::Transact;
use crate::value::{bigint, text};
use crate::{Answer, Error, Passed, Store, dead, expired, parked};

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
    /// How many of them count no more, because it was replayed after them.
    pub forgiven: u32,
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
    /// Whether it was parked before, as an event that could be read: then its parked row goes, and its journal row dies with it.
    pub was_parked: bool,
}

/// What only a partition's owner may say: how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The owner.
    pub member: String,
    /// The epoch it owns the partition under.
    pub epoch: u64,
    /// The offset to go on from. `None` when only parked events settle: the offset stays.
    pub next_offset: Option<u64>,
    /// How the records ended that lie between the offset before and this one.
    pub passed: Passed,
    /// Offsets that the topic dropped before they were read.
    pub expired: Vec<Expired>,
}

/// Offsets that the topic dropped before anybody read them: `first..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// The first of them.
    pub first: u64,
    /// The one after the last.
    pub end: u64,
    /// When that was found.
    pub found_at: Moment,
}

/// What a partition settles at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// What the owner says; it is written first, and with nothing else if another owns the partition by now. `None` for
    /// what is true whoever says it.
    pub progress: Option<Progress>,
    /// Events that came to an end.
    pub settled: Vec<Settled>,
    /// Records that are no events.
    pub undecodable: Vec<Undecodable>,
}

impl Store {
    /// Writes a commit in one transaction. An event that the journal has in a higher state stays in it: it is neither
    /// parked nor buried, and a parked row of it goes. So does the dead row, at
    /// the same place, of what was delivered after all.
    ///
    /// # Errors
    /// [`Error::Fenced`] when another owns the partition: nothing was written, and never will be under this epoch. After
    /// any other error nothing of the commit was written, or all of it.
    pub fn commit<'a>(&'a self, commit: &'a Commit) -> Answer<'a, ()> {
        Box::pin(async move {
            let written = self.commit_together(slice::from_ref(&commit)).await?;
            if written == [true] { Ok(()) } else { Err(Error::Fenced) }
        })
    }

    /// Writes commits in one transaction, as [`Self::commit`] does; says of each, in their order, whether it is written.
    /// What is not belongs to another: nothing of it was written, and never will be under its epoch.
    ///
    /// # Errors
    /// Any [`Error`]: nothing of any of them was written, or all that could be.
    pub fn commit_together<'a>(&'a self, commits: &'a [&'a Commit]) -> Answer<'a, Vec<bool>> {
        Box::pin(async move { self.write(&Together(commits)).await })
    }

    /// Those of the events that must not be started from the topic: they have ended, or are parked and come from there.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn settled_among<'a>(&'a self, keys: &'a [(SourceId, EventId)]) -> Answer<'a, HashSet<(SourceId, EventId)>> {
        Box::pin(async move {
            let stored: Vec<Key> = keys.iter().map(|(source, event)| (text(source.as_str()), text(event.as_str()))).collect();
            let ranks = self.answer(merge::ranks(self.reader(), &stored)).await?;
            let settled = |key: &Key| ranks.get(key).is_some_and(|rank| *rank >= State::Parked.rank());
            Ok(keys.iter().zip(&stored).filter(|(_, stored)| settled(stored)).map(|(key, _)| key.clone()).collect())
        })
    }
}

/// Commits that share a transaction.
struct Together<'a>(&'a [&'a Commit]);

impl Transact for Together<'_> {
    type Outcome = Vec<bool>;

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<Vec<bool>, DbErr> {
        let mut written = Vec::with_capacity(self.0.len());
        for commits in self.0.chunk_by(|one, other| one.topic == other.topic) {
            written.extend(of_topic(transaction, commits).await?);
        }
        Ok(written)
    }
}

/// Writes commits of one topic; says of each whether it is written.
async fn of_topic(transaction: &DatabaseTransaction, commits: &[&Commit]) -> Result<Vec<bool>, DbErr> {
    let topic = commits.first().map(|commit| text(&commit.topic)).unwrap_or_default();
    // Before everything else: two processes that believe to own a partition wait for each other here, not in a deadlock,
    // and the one that is wrong has written nothing yet.
    let written = advance::advance(transaction, &topic, commits).await?;
    let held = || commits.iter().zip(&written).filter(|(_, written)| **written).map(|(commit, _)| *commit);
    for (commit, progress) in held().filter_map(|commit| Some((commit, commit.progress.as_ref()?))) {
        expired::record(transaction, &topic, commit.partition, &progress.expired).await?;
    }
    let settled: Vec<&Settled> = held().flat_map(|commit| &commit.settled).collect();
    merge::settled(transaction, &settled).await?;
    let standing = standing(transaction, &settled).await?;
    let undecodable: Vec<&Undecodable> = held().flat_map(|commit| &commit.undecodable).collect();
    dead::bury(transaction, &topic, &standing, &undecodable).await?;
    parked::park(transaction, &topic, &standing).await?;
    // An owner looks up what it starts; whoever owns the partition no more may tell of what its owner gave up meanwhile.
    let late = held().filter(|commit| commit.progress.is_none()).flat_map(|commit| &commit.settled);
    let delivered: Vec<&Settled> = late.filter(|event| event.end == End::Delivered).collect();
    dead::raise(transaction, &topic, &delivered).await?;
    let kept: HashSet<_> = standing.iter().filter(|event| event.end.state() == State::Parked).map(|event| event.place()).collect();
    let broken: Vec<&Undecodable> = undecodable.into_iter().filter(|record| record.was_parked).collect();
    merge::broken(transaction, &broken).await?;
    let ended = settled.iter().map(|event| event.place()).filter(|place| !kept.contains(place));
    parked::release(transaction, &topic, ended.chain(broken.iter().map(|record| record.place())).collect()).await?;
    Ok(written)
}

/// The parked and dead ones of these events that the journal has in no higher state.
async fn standing<'a>(transaction: &DatabaseTransaction, settled: &[&'a Settled]) -> Result<Vec<&'a Settled>, DbErr> {
    let kept: Vec<&Settled> = settled.iter().copied().filter(|settled| settled.end != End::Delivered).collect();
    let keys: Vec<Key> = kept.iter().map(|settled| settled.key()).collect();
    let ranks = merge::ranks(transaction, &keys).await?;
    let stands = |settled: &&Settled| ranks.get(&settled.key()).is_none_or(|rank| *rank <= settled.end.state().rank());
    Ok(kept.into_iter().filter(stands).collect())
}

impl Undecodable {
    /// Its partition and offset, as the tables hold them.
    pub(crate) fn place(&self) -> (i64, i64) {
        (i64::from(self.partition), bigint(self.offset))
    }
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
