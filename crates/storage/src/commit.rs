//! What the dispatcher settles: offset, journal rows, dead rows and parked rows in one transaction.

use events_proxy_core::envelope::Record;
use events_proxy_core::{Attempt, DeadReason, EventId, Moment, SourceId};

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
