//! The stages of an event's path, one word each.
//!
//! The same word is the file, the function, the span, the metric label, the log field, the journal value and the
//! runbook heading. A new word needs a decision record.

use std::fmt;

/// A stage of the path, in path order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Bounds the request and reads its body.
    Receive,
    /// Verifies the caller's access token.
    Authenticate,
    /// Judges the event's fields.
    Validate,
    /// Makes the event durable; the 202 follows.
    Accept,
    /// Moves the event from the spool to the topic.
    Publish,
    /// Reads the event from the topic.
    Consume,
    /// Adds what the source does not know: the brand.
    Enrich,
    /// Waits for a slot of the target's limit.
    Pace,
    /// Calls the target and judges its answer.
    Deliver,
    /// Records how the event ended and commits the offset.
    Settle,
}

impl Stage {
    /// All stages in path order.
    pub const ALL: [Self; 10] = [
        Self::Receive,
        Self::Authenticate,
        Self::Validate,
        Self::Accept,
        Self::Publish,
        Self::Consume,
        Self::Enrich,
        Self::Pace,
        Self::Deliver,
        Self::Settle,
    ];

    /// The stage's word, as spans, labels, logs and the journal spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Authenticate => "authenticate",
            Self::Validate => "validate",
            Self::Accept => "accept",
            Self::Publish => "publish",
            Self::Consume => "consume",
            Self::Enrich => "enrich",
            Self::Pace => "pace",
            Self::Deliver => "deliver",
            Self::Settle => "settle",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Stage;

    #[test]
    fn the_path_order_is_the_declared_order() {
        assert!(Stage::ALL.is_sorted());
        assert_eq!(
            Stage::ALL.map(|stage| stage.to_string()).join(" → "),
            "receive → authenticate → validate → accept → publish → consume → enrich → pace → deliver → settle"
        );
    }
}
