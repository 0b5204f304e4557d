//! Dead letters: events that were given up and records that are no events, with all that is needed to judge and replay them.

use events_proxy_core::envelope::Record;
use events_proxy_core::{Attempt, DeadReason, EventId, Moment, SourceId};

/// Who gave the event up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadKind {
    /// The target said no.
    Refused,
    /// The pipeline could not bring it to the target.
    Undeliverable,
}

impl DeadKind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Refused, Self::Undeliverable];

    /// The kind's word in the table, labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Undeliverable => "undeliverable",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The kind a reason belongs to.
    #[must_use]
    pub const fn of(reason: DeadReason) -> Self {
        match reason {
            DeadReason::Refused => Self::Refused,
            DeadReason::AttemptsExhausted | DeadReason::Undecodable | DeadReason::Unpublishable => Self::Undeliverable,
        }
    }
}

/// A dead letter. A record that is no event has neither ids, name, trace nor times of its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadRow {
    /// The topic it came from.
    pub topic: String,
    /// Its partition there.
    pub partition: u32,
    /// Its offset in that partition.
    pub offset: u64,
    /// Who gave it up.
    pub kind: DeadKind,
    /// Why.
    pub reason: DeadReason,
    /// Why, in words.
    pub detail: String,
    /// Who sent it.
    pub source_id: Option<SourceId>,
    /// The sender's id for it.
    pub event_id: Option<EventId>,
    /// Its kind of event.
    pub name: Option<String>,
    /// The trace it belongs to.
    pub trace_id: Option<String>,
    /// The brand it would have been delivered with.
    pub brand: Option<String>,
    /// When ingest received it.
    pub received_at: Option<Moment>,
    /// When it was taken from the topic.
    pub consumed_at: Option<Moment>,
    /// When it was given up.
    pub died_at: Moment,
    /// Every attempt, oldest first.
    pub attempts: Vec<Attempt>,
    /// The record as it was on the topic.
    pub record: Record,
}
