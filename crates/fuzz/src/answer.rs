//! What the target answers: only success with the event's own data is a delivery, and only the target itself refuses for good.

use dispatcher::classify::Verdict;
use dispatcher::deliver;
use events_proxy_core::Outcome;
use events_proxy_core::attempt::DETAIL_CHARS_MAX;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

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
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        let id = said.pointer("/data/processEvent/id").and_then(Value::as_str);
        let errors = said.get("errors").and_then(Value::as_array).is_some_and(|errors| !errors.is_empty());
        Self { data: id.is_some(), ours: id == Some(EVENT), errors }
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
