//! One attempt to deliver an event, how it came out, and why an event may end dead.
//!
//! The judgement itself, from an HTTP answer to an [`Outcome`], is `dispatcher::classify`. Here stand the words
//! that the journal, the metrics and the dispatcher share.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Moment;

/// How an attempt came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The target took the event.
    Delivered,
    /// The target judged the event and said no; another attempt would get the same answer.
    Refused,
    /// The target said: too fast. Says nothing about the event.
    Throttled,
    /// The target could not be reached or could not work; it surely did not take the event, or said it failed.
    Unavailable,
    /// No answer was seen, or none that can be read: the target may have taken the event.
    Unknown,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 5] = [Self::Delivered, Self::Refused, Self::Throttled, Self::Unavailable, Self::Unknown];

    /// The outcome's word in labels, logs and the journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        }
    }
}

/// One call of the target for one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// When the call began.
    pub started_at: Moment,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// How it came out.
    pub outcome: Outcome,
    /// The HTTP status, if an answer came.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// What the answer or the transport said, at most [`DETAIL_CHARS_MAX`] characters; empty when delivered.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub detail: String,
}

/// The longest detail kept with an attempt, in characters.
pub const DETAIL_CHARS_MAX: usize = 500;

impl Attempt {
    /// How long the call took.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        Duration::from_micros(self.duration_us)
    }

    /// When the call was over.
    #[must_use]
    pub fn ended_at(&self) -> Moment {
        self.started_at.plus(self.duration())
    }
}

/// Why an event is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// The target judged the event and said no.
    Refused,
    /// Every allowed attempt failed for reasons that might have passed.
    AttemptsExhausted,
    /// The record on the topic is not an envelope.
    Undecodable,
    /// The broker refuses the record for good, for instance because of its size.
    Unpublishable,
}

impl DeadReason {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Refused, Self::AttemptsExhausted, Self::Undecodable, Self::Unpublishable];

    /// The reason's word in labels, logs and the journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::Undecodable => "undecodable",
            Self::Unpublishable => "unpublishable",
        }
    }

    /// The reason of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Attempt, DeadReason, Outcome};
    use crate::Moment;

    #[test]
    fn a_call_was_over_when_its_time_had_passed() {
        let attempt = Attempt {
            number: 1,
            started_at: Moment::from_micros(7_000_000),
            duration_us: 250_000,
            outcome: Outcome::Unavailable,
            status: Some(503),
            detail: "busy".to_owned(),
        };
        assert_eq!(attempt.duration(), Duration::from_millis(250));
        assert_eq!(attempt.ended_at(), Moment::from_micros(7_250_000));
    }

    #[test]
    fn words_and_json_agree() {
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_string(&outcome).unwrap(), format!("\"{}\"", outcome.as_str()));
        }
        for reason in DeadReason::ALL {
            assert_eq!(serde_json::to_string(&reason).unwrap(), format!("\"{}\"", reason.as_str()));
            assert_eq!(DeadReason::parse(reason.as_str()), Some(reason));
        }
    }
}
