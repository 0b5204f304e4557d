//! What an answer of the target means: one pure table.
//!
//! Status 200 alone is no success: GraphQL tells its errors in the body. What says nothing about the event (too fast,
//! out of order, not for us) is kept apart from what judges it, and a missing answer is kept apart from a refusal to work:
//! there the target may have taken the event. In doubt an event is tried again, with the same idempotency key.

use std::time::Duration;

use events_proxy_core::Outcome;
use events_proxy_core::attempt::DETAIL_CHARS_MAX;

/// What came back from one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// No connection was made: the request surely did not arrive.
    NotConnected(String),
    /// The request may have arrived; no answer came back.
    NoAnswer(String),
    /// An answer.
    Http {
        /// Its status.
        status: u16,
        /// How long its headers ask to wait.
        retry_after: Option<Duration>,
        /// When they say that the limit begins anew; it is a wait where the limit is what stands in the way.
        reset: Option<Duration>,
        /// What its body says.
        body: Body,
    },
}

/// What an answer's body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The mutation's data, no error.
    Data,
    /// The same, of the event of another id; its beginning. What became of ours it does not say.
    OtherEvent(String),
    /// GraphQL errors, and data all the same or none.
    Errors {
        /// The errors.
        errors: Vec<Error>,
        /// Whether the mutation's data is there too.
        with_data: bool,
    },
    /// No GraphQL answer at all; its beginning, or what is wrong with it.
    Other(String),
}

/// A GraphQL error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Error {
    /// The code in its extensions, if there is one: upper case, with underscores.
    pub code: Option<String>,
    /// The HTTP status in its extensions, if there is one.
    pub status: Option<u16>,
    /// How long its extensions ask to wait.
    pub retry_after: Option<Duration>,
    /// Its message.
    pub message: String,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How the attempt came out.
    pub outcome: Outcome,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// How long the target asks us to wait.
    pub retry_after: Option<Duration>,
    /// What was said, for the journal; empty when delivered.
    pub detail: String,
}

/// GraphQL error codes that mean: too fast.
const THROTTLED: [&str; 7] =
    ["THROTTLED", "RATE_LIMITED", "RATE_LIMIT", "RATE_LIMIT_EXCEEDED", "RATELIMITED", "TOO_MANY_REQUESTS", "ENHANCE_YOUR_CALM"];
/// GraphQL error codes that say nothing about the event: the target, or what it needs, does not work, or we may not call it.
const UNAVAILABLE: [&str; 11] = [
    "INTERNAL_SERVER_ERROR",
    "INTERNAL_ERROR",
    "INTERNAL",
    "SERVICE_UNAVAILABLE",
    "UNAVAILABLE",
    "TIMEOUT",
    "GATEWAY_TIMEOUT",
    "BAD_GATEWAY",
    "UNAUTHENTICATED",
    "UNAUTHORIZED",
    "FORBIDDEN",
];

/// Judges an answer.
#[must_use]
pub fn classify(answer: Answer) -> Verdict {
    let (status, retry_after, reset, body) = match answer {
        Answer::NotConnected(cause) => return verdict(Outcome::Unavailable, cause),
        Answer::NoAnswer(cause) => return verdict(Outcome::Unknown, cause),
        Answer::Http { status, retry_after, reset, body } => (status, retry_after, reset, body),
    };
    let outcome = of_answer(status, &body);
    let told = match &body {
        Body::Errors { errors, .. } => errors.iter().find_map(|error| error.retry_after),
        Body::Data | Body::OtherEvent(_) | Body::Other(_) => None,
    };
    let reset = reset.filter(|_| outcome == Outcome::Throttled);
    Verdict { status: Some(status), retry_after: retry_after.or(reset).or(told), ..verdict(outcome, said(status, body)) }
}

/// A verdict without an answer.
fn verdict(outcome: Outcome, detail: String) -> Verdict {
    let detail = if outcome == Outcome::Delivered { String::new() } else { detail.chars().take(DETAIL_CHARS_MAX).collect() };
    Verdict { outcome, status: None, retry_after: None, detail }
}

/// Judges a status with its body.
fn of_answer(status: u16, body: &Body) -> Outcome {
    let errors = match body {
        Body::Errors { errors, with_data } => of_errors(errors, *with_data),
        Body::Data | Body::OtherEvent(_) | Body::Other(_) => None,
    };
    match status {
        200..=299 => match body {
            Body::Data => Outcome::Delivered,
            Body::OtherEvent(_) | Body::Errors { .. } | Body::Other(_) => errors.unwrap_or(Outcome::Unknown),
        },
        // Here the body knows more, where it is GraphQL's.
        400..=499 if of_status(status) == Outcome::Refused => errors.unwrap_or(Outcome::Refused),
        _ if errors == Some(Outcome::Throttled) => Outcome::Throttled,
        _ => of_status(status),
    }
}

/// Judges a status by itself.
const fn of_status(status: u16) -> Outcome {
    match status {
        // 420 is what some said before there was 429.
        420 | 429 => Outcome::Throttled,
        // A redirect is not followed: the mutation would become a GET. Somebody has to correct the URL; until then the target is not there.
        300..=399 => Outcome::Unavailable,
        // Wrong credentials, a missing path, a format that is not spoken: nothing about the event, and nothing that it should die of.
        401..=407 | 410 | 415 | 421 | 426 | 511 => Outcome::Unavailable,
        // Too slow, too early, or another request holds what this one needs, perhaps with the same idempotency key.
        408 | 409 | 423..=425 => Outcome::Unavailable,
        400..=499 => Outcome::Refused,
        // Said by someone between us and the target, who cannot know what the target did.
        502 | 504 | 520 | 524 => Outcome::Unknown,
        500..=599 => Outcome::Unavailable,
        _ => Outcome::Unknown,
    }
}

/// Judges GraphQL errors; `None` when there are none.
fn of_errors(errors: &[Error], with_data: bool) -> Option<Outcome> {
    errors.first()?;
    let any = |outcome| errors.iter().any(|error| of_error(error) == outcome);
    if any(Outcome::Throttled) {
        return Some(Outcome::Throttled);
    }
    // The mutation was run, and something about it failed: whether the event was taken is for the next answer to say.
    if with_data {
        return Some(Outcome::Unknown);
    }
    Some(if any(Outcome::Unavailable) { Outcome::Unavailable } else { Outcome::Refused })
}

/// Judges a GraphQL error: by its code, else by the status it carries; what carries neither is a refusal.
fn of_error(error: &Error) -> Outcome {
    let code = error.code.as_deref().unwrap_or_default();
    if THROTTLED.contains(&code) {
        return Outcome::Throttled;
    }
    if UNAVAILABLE.contains(&code) {
        return Outcome::Unavailable;
    }
    match error.status.map(of_status) {
        Some(Outcome::Throttled) => Outcome::Throttled,
        Some(Outcome::Unavailable | Outcome::Unknown) => Outcome::Unavailable,
        Some(Outcome::Delivered | Outcome::Refused) | None => Outcome::Refused,
    }
}

/// What an answer said, in words.
fn said(status: u16, body: Body) -> String {
    match body {
        Body::Data => format!("status {status} with data"),
        Body::OtherEvent(id) => format!("status {status} with the data of another event: {id:?}"),
        Body::Errors { errors, with_data } => {
            let Some(first) = errors.into_iter().next() else { return format!("status {status}, no error told") };
            let data = if with_data { " (with data)" } else { "" };
            first.code.map_or_else(|| first.message.clone(), |code| format!("{code}: {}", first.message)) + data
        }
        Body::Other(text) => format!("status {status}: {text}"),
    }
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
