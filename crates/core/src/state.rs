//! What the journal says of an event, and what it may say next.
//!
//! Several writers tell the journal what they know, in any order, some of them twice. A row therefore only moves
//! forward: the state of the higher rank stays. Only an operator's replay takes `dead` back to `parked`.
//!
//! ```text
//! accepted ─▶ published ─▶ parked ─▶ dead ─▶ delivered      rank rises to the right
//! ```
//! `delivered` outranks `dead`: that the target has the event is true whoever learnt it, and when.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where an event is on its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Durable at ingest.
    Accepted,
    /// On the topic.
    Published,
    /// Set aside after failed attempts; its next attempt is scheduled.
    Parked,
    /// Given up, with reason, payload and attempts kept; replayable.
    Dead,
    /// The target has it.
    Delivered,
}

impl State {
    /// All states in rank order.
    pub const ALL: [Self; 5] = [Self::Accepted, Self::Published, Self::Parked, Self::Dead, Self::Delivered];

    /// The state's word in the journal and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Published => "published",
            Self::Parked => "parked",
            Self::Dead => "dead",
            Self::Delivered => "delivered",
        }
    }

    /// The state of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// The number that a stored row compares: a row takes a new state only with a higher rank.
    #[must_use]
    pub const fn rank(self) -> i16 {
        match self {
            Self::Accepted => 0,
            Self::Published => 1,
            Self::Parked => 2,
            Self::Dead => 3,
            Self::Delivered => 4,
        }
    }

    /// The state of that rank.
    #[must_use]
    pub fn from_rank(rank: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.rank() == rank)
    }

    /// Says whether the event's path has ended.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Dead | Self::Delivered)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn ranks_rise_in_declared_order_and_words_are_unique() {
        assert!(State::ALL.is_sorted_by_key(|state| state.rank()));
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
            assert_eq!(State::from_rank(state.rank()), Some(state));
            assert_eq!(state.to_string(), state.as_str());
        }
    }

    #[test]
    fn a_path_ends_with_the_target_or_with_giving_up() {
        assert_eq!(State::ALL.map(State::is_final), [false, false, false, true, true]);
    }
}
