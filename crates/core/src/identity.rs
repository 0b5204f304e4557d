//! Who sent an event, and which of that source's events it is.
//!
//! The pair is an event's identity everywhere: record key, journal row, idempotency.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id a source gave its event: 1–128 printable characters, unique within the source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(String);

/// The id of the account that sent an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceId(String);

impl SourceId {
    /// Says whether an account may have it: it is in bounds, and has no `/`.
    #[must_use]
    pub fn names_an_account(&self) -> bool {
        self.is_in_bounds() && !self.0.contains('/')
    }
}

/// The longest id of either kind, in characters.
pub const ID_CHARS_MAX: usize = 128;

/// What is wrong with an id: it has 1 to 128 characters, none of them a control character.
pub(crate) fn fault(id: &str) -> Option<String> {
    if !(1..=ID_CHARS_MAX).contains(&id.chars().count()) {
        return Some(format!("length must be between 1 and {ID_CHARS_MAX} characters"));
    }
    id.chars().any(char::is_control).then(|| "must hold printable characters only".to_owned())
}

/// Gives a string newtype its constructor, accessor and `Display`.
macro_rules! text_id {
    ($name:ident) => {
        impl $name {
            /// Wraps the text as it is; bounds are judged where the event is.
            #[must_use]
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// Says whether it has 1 to 128 characters, none of them a control character.
            #[must_use]
            pub fn is_in_bounds(&self) -> bool {
                fault(&self.0).is_none()
            }

            /// The id's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text_id!(EventId);
text_id!(SourceId);

#[cfg(test)]
mod tests {
    use super::{ID_CHARS_MAX, SourceId};

    #[test]
    fn an_account_has_a_name_in_bounds_that_is_no_path() {
        let longest = "ä".repeat(ID_CHARS_MAX);
        for (name, good) in [
            ("shop", true),
            (longest.as_str(), true),
            (format!("{longest}a").as_str(), false),
            ("", false),
            ("shop\n", false),
            ("shop/eu", false),
        ] {
            assert_eq!(SourceId::new(name).names_an_account(), good, "{name:?}");
        }
    }
}
