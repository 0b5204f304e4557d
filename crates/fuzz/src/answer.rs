//! What the target answers: only success with the event's own data is a delivery, and only the target itself refuses for good.

use std::fmt;
use std::marker::PhantomData;

use dispatcher::classify::Verdict;
use dispatcher::deliver;
use events_proxy_core::Outcome;
use events_proxy_core::attempt::DETAIL_CHARS_MAX;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::message::Message;

/// The id of the event that is answered.
const EVENT: &str = "a";

/// An answer: its status on the first line, its headers, and its body.
///
/// # Panics
/// When a law is broken.
pub fn answer(input: &[u8]) {
    let message = Message::read(input);
    let status = message.first_text().trim().parse().unwrap_or(200);
    let judge = || deliver::judge(status, &headers(&message), message.body, EVENT);
    let verdict = judge();
    assert_eq!(verdict, judge(), "an answer is judged twice, and differently");
    assert_eq!(verdict.status, Some(status));
    assert!(verdict.detail.chars().count() <= DETAIL_CHARS_MAX, "the detail is too long");
    follows_the_table(status, &verdict, &Said::read(message.body));
}

/// The headers of a message, those left out that HTTP cannot carry.
pub(crate) fn headers(message: &Message<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &message.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// What a body says, read once more in other words.
struct Said {
    /// The mutation's data.
    data: bool,
    /// It is of the event that was sent.
    ours: bool,
    /// Errors.
    errors: bool,
}

impl Said {
    /// Reads a body.
    fn read(body: &[u8]) -> Self {
        let data = Pick("data", Pick("processEvent", Pick("id", PhantomData::<String>)));
        let id = data.read(body).flatten().flatten();
        let errors = Pick("errors", PhantomData::<Vec<IgnoredAny>>).read(body);
        Self { ours: id.as_deref() == Some(EVENT), data: id.is_some(), errors: errors.is_some_and(|errors| !errors.is_empty()) }
    }
}

/// Reads one field of an object, the last one of that name, and passes over all others: they may hold what no reader makes a value of, bytes
/// that are no UTF-8 or half a surrogate pair.
#[derive(Clone, Copy)]
struct Pick<S>(&'static str, S);

impl<'a, S: DeserializeSeed<'a> + Copy> Pick<S> {
    /// Reads a whole body; nothing where it is no such object.
    fn read(self, body: &'a [u8]) -> Option<S::Value> {
        let mut reader = serde_json::Deserializer::from_slice(body);
        let picked = self.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        picked
    }
}

impl<'a, S: DeserializeSeed<'a> + Copy> DeserializeSeed<'a> for Pick<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a, S: DeserializeSeed<'a> + Copy> Visitor<'a> for Pick<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object that may have `{}`", self.0)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut picked = None;
        while let Some(name) = fields.next_key::<String>()? {
            if name == self.0 {
                picked = Some(fields.next_value_seed(self.1)?);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(picked)
    }
}

/// Holds a verdict to what can be said of it without the table of codes.
fn follows_the_table(status: u16, verdict: &Verdict, said: &Said) {
    let success = (200..300).contains(&status);
    assert_eq!(verdict.outcome == Outcome::Delivered, verdict.detail.is_empty() && success && said.ours, "{verdict:?}");
    match verdict.outcome {
        Outcome::Delivered => assert!(success && said.ours && !said.errors, "a delivery without this event's data alone"),
        Outcome::Refused => {
            assert!((400..500).contains(&status) || success && said.errors && !said.data, "status {status} is no refusal");
        }
        Outcome::Throttled => assert!(matches!(status, 420 | 429) || said.errors, "status {status} throttles without saying so"),
        Outcome::Unavailable | Outcome::Unknown => assert!(!matches!(status, 420 | 429), "status {status} throttles"),
    }
}
