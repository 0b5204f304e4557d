//! The journal: where each event is on its path.
//!
//! Ingest tells it what was published, the dispatcher what became of it ([`crate::Commit`]), in any order and some
//! of it twice. The state of the higher rank stays, and times that a row lacks are filled in whoever comes last.

use events_proxy_core::{Attempt, DeadReason, EventId, Moment, SourceId, State};

/// The most rows of one page.
pub const PAGE_ROWS_MAX: u32 = 200;

/// An event that reached the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedRow {
    /// Who sent it.
    pub source_id: SourceId,
    /// The sender's id for it.
    pub event_id: EventId,
    /// Its kind.
    pub name: String,
    /// The trace it belongs to.
    pub trace_id: String,
    /// When ingest received it.
    pub received_at: Moment,
    /// When it was durable at ingest.
    pub accepted_at: Moment,
    /// When the topic acknowledged it.
    pub published_at: Moment,
    /// Its partition on the topic.
    pub partition: u32,
    /// Its offset in that partition.
    pub offset: u64,
}

/// What the journal knows of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Who sent it.
    pub source_id: SourceId,
    /// The sender's id for it.
    pub event_id: EventId,
    /// Its kind.
    pub name: String,
    /// The trace it belongs to.
    pub trace_id: String,
    /// The brand it was, or will be, delivered with; known from its first settlement on.
    pub brand: Option<String>,
    /// Where it is on its path.
    pub state: State,
    /// When ingest received it.
    pub received_at: Moment,
    /// When it was durable at ingest.
    pub accepted_at: Option<Moment>,
    /// When the topic acknowledged it.
    pub published_at: Option<Moment>,
    /// When the dispatcher took it from the topic.
    pub consumed_at: Option<Moment>,
    /// When it came to its present state, if that is parked, dead or delivered.
    pub settled_at: Option<Moment>,
    /// When a parked event is due again.
    pub next_attempt_at: Option<Moment>,
    /// Its partition on the topic.
    pub partition: u32,
    /// Its offset in that partition.
    pub offset: u64,
    /// Every attempt to deliver it, oldest first.
    pub attempts: Vec<Attempt>,
    /// Why it is dead.
    pub dead_reason: Option<DeadReason>,
    /// Why it is dead, in words.
    pub dead_detail: Option<String>,
}

/// Which events of a source are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those received at this moment or later.
    pub from: Option<Moment>,
    /// Only those received before this moment.
    pub to: Option<Moment>,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// The most rows wanted: at least 1 and at most [`PAGE_ROWS_MAX`], whatever is asked for.
    pub limit: u32,
}

/// The last row of a page: the next page begins after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// When that row's event was received.
    pub received_at: Moment,
    /// That row's event.
    pub event_id: EventId,
}

/// Events of a source, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The rows.
    pub rows: Vec<JournalRow>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
}

/// How many events the journal holds in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Durable at ingest.
    pub accepted: u64,
    /// On the topic.
    pub published: u64,
    /// Set aside until their next attempt.
    pub parked: u64,
    /// Given up.
    pub dead: u64,
    /// Taken by the target.
    pub delivered: u64,
}
