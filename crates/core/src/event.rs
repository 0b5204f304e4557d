//! An event as the source sends it, and the bounds it must keep.
//!
//! Liberal on purpose: the source never resends, so a refusal is a loss. Unknown fields are dropped, a timestamp
//! may be RFC 3339 or epoch milliseconds, and a refusal names every field that is wrong, not the first.

use std::fmt;

use garde::Validate;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{EventId, identity};

/// The shortest name, in characters.
pub const NAME_CHARS_MIN: usize = 2;
/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 1_000;
/// The longest body, in characters.
pub const BODY_CHARS_MAX: usize = 10_000;

/// When the event happened, as its source says: nanosecond precision, kept in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// Reads RFC 3339, or epoch milliseconds written in digits; `None` if it is neither, or outside the years 0 to 9999.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.parse::<i64>() {
            Ok(millis) => Self::from_epoch_millis(millis),
            Err(_) => OffsetDateTime::parse(text, &Rfc3339).ok().and_then(Self::new),
        }
    }

    /// Makes a timestamp from epoch milliseconds; `None` outside the years 0 to 9999.
    #[must_use]
    pub fn from_epoch_millis(millis: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok().and_then(Self::new)
    }

    /// Keeps a time in UTC; `None` outside the years 0 to 9999, which RFC 3339 cannot write. An offset moves a time
    /// over the edge: `0000-01-01T00:00:00+01:00` is of the year −1.
    fn new(at: OffsetDateTime) -> Option<Self> {
        let at = at.checked_to_offset(time::UtcOffset::UTC)?;
        (0..=9_999).contains(&at.year()).then_some(Self(at))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Reads either spelling.
        struct Spellings;
        impl serde::de::Visitor<'_> for Spellings {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 date and time, or epoch milliseconds")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
            // Some languages write every number as 1769860800000.0.
            fn visit_f64<E: serde::de::Error>(self, millis: f64) -> Result<Timestamp, E> {
                let whole = (millis.fract() == 0.0).then(|| format!("{millis:.0}").parse().ok()).flatten();
                whole.and_then(Timestamp::from_epoch_millis).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Float(millis), &self))
            }
            fn visit_i64<E: serde::de::Error>(self, millis: i64) -> Result<Timestamp, E> {
                Timestamp::from_epoch_millis(millis).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Signed(millis), &self))
            }
            fn visit_u64<E: serde::de::Error>(self, millis: u64) -> Result<Timestamp, E> {
                let signed = i64::try_from(millis).ok();
                signed
                    .and_then(Timestamp::from_epoch_millis)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Unsigned(millis), &self))
            }
        }
        deserializer.deserialize_any(Spellings)
    }
}

/// An event: what the source sent, and what the target gets besides the brand.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
pub struct Event {
    /// The source's id for it.
    #[garde(custom(id_is_printable))]
    pub id: EventId,
    /// What kind of event it is: 2–1000 characters.
    #[garde(length(chars, min = NAME_CHARS_MIN, max = NAME_CHARS_MAX))]
    pub name: String,
    /// Its content: 1–10000 characters. Never logged.
    #[garde(length(chars, min = 1, max = BODY_CHARS_MAX))]
    pub body: String,
    /// When it happened.
    #[garde(skip)]
    pub timestamp: Timestamp,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("id", &self.id).field("timestamp", &self.timestamp).finish_non_exhaustive()
    }
}

/// One field that is wrong, in words the source's developer can act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field's name.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// Why a request body is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The bytes are no JSON object.
    #[error("the body is not a JSON object: {0}")]
    NotAnObject(String),
    /// The object misses or breaks these fields; all of them are listed.
    #[error("{}", told(.0))]
    Fields(Vec<FieldError>),
}

impl Event {
    /// Judges a request body. The right case is one pass; only a wrong one is read again to list every mistake.
    ///
    /// # Errors
    /// [`Invalid`] when the bytes are no JSON object, or with every field that is missing or out of bounds.
    pub fn judge(body: &[u8]) -> Result<Self, Invalid> {
        // Serde also reads a struct from a list of its fields' values; an event is none.
        let event = if is_list(body) { None } else { serde_json::from_slice::<Self>(body).ok() };
        let Some(event) = event else {
            return Err(list_mistakes(body));
        };
        match event.validate() {
            Ok(()) => Ok(event),
            Err(report) => Err(Invalid::Fields(field_errors(&report))),
        }
    }
}

/// Says whether a JSON document is a list, if it is one at all.
fn is_list(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

/// Names the wrong fields on one line.
fn told(errors: &[FieldError]) -> String {
    errors.iter().map(|FieldError { field, message }| format!("`{field}` {message}")).collect::<Vec<_>>().join(", ")
}

/// Says whether an id has 1–128 characters, none of them a control character.
fn id_is_printable(id: &EventId, _: &()) -> garde::Result {
    identity::fault(id.as_str()).map_or(Ok(()), |fault| Err(garde::Error::new(fault)))
}

/// Turns garde's report into field errors.
fn field_errors(report: &garde::Report) -> Vec<FieldError> {
    report.iter().map(|(path, error)| FieldError { field: path.to_string(), message: error.message().to_owned() }).collect()
}

/// Reads a body that is no event once more, and lists everything that is wrong with it.
fn list_mistakes(body: &[u8]) -> Invalid {
    let object = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(serde_json::Value::Object(object)) => object,
        Ok(_) => return Invalid::NotAnObject("it is JSON of another type".to_owned()),
        Err(error) => return Invalid::NotAnObject(error.to_string()),
    };
    let mut mistakes = Vec::new();
    let mut text = |field: &str| match object.get(field) {
        Some(serde_json::Value::String(text)) => Some(text.clone()),
        Some(_) => {
            mistakes.push(FieldError { field: field.to_owned(), message: "must be a string".to_owned() });
            None
        }
        None => {
            mistakes.push(FieldError { field: field.to_owned(), message: "is missing".to_owned() });
            None
        }
    };
    let (id, name, body) = (text("id"), text("name"), text("body"));
    if let Some(message) = timestamp_mistake(object.get("timestamp")) {
        mistakes.push(FieldError { field: "timestamp".to_owned(), message });
    }
    // The fields that do have the right type are judged too: a stand-in that is always in bounds takes the others' places.
    let stand_in = || "ok".to_owned();
    let probe = Event {
        id: EventId::new(id.unwrap_or_else(stand_in)),
        name: name.unwrap_or_else(stand_in),
        body: body.unwrap_or_else(stand_in),
        timestamp: Timestamp(OffsetDateTime::UNIX_EPOCH),
    };
    if let Err(report) = probe.validate() {
        mistakes.extend(field_errors(&report));
    }
    if mistakes.is_empty() {
        return Invalid::NotAnObject("a field occurs twice".to_owned());
    }
    Invalid::Fields(mistakes)
}

/// Says what is wrong with a timestamp, if anything is.
fn timestamp_mistake(value: Option<&serde_json::Value>) -> Option<String> {
    let Some(value) = value else {
        return Some("is missing".to_owned());
    };
    Timestamp::deserialize(value).err().map(|_| "must be an RFC 3339 date and time, or epoch milliseconds".to_owned())
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
