//! Parked events: set aside after failed attempts, each with the moment it is due again.

use events_proxy_core::envelope::Record;
use events_proxy_core::{Attempt, Moment};

/// A parked event, as the dispatcher needs it to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRow {
    /// The topic it came from.
    pub topic: String,
    /// Its partition there.
    pub partition: u32,
    /// Its offset in that partition.
    pub offset: u64,
    /// The record as it was on the topic.
    pub record: Record,
    /// Every attempt so far, oldest first.
    pub attempts: Vec<Attempt>,
    /// When it is due again.
    pub next_attempt_at: Moment,
    /// When it was first taken from the topic.
    pub consumed_at: Moment,
}
