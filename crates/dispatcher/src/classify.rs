//! What an answer of the target means: one pure table.
//!
//! Status 200 alone is no success: GraphQL tells its errors in the body. What says nothing about the event (too fast,
//! out of order) is kept apart from what judges it, and a missing answer is kept apart from a refusal to work: there the
//! target may have taken the event.

use std::time::Duration;

use events_proxy_core::Outcome;
use events_proxy_core::attempt::DETAIL_CHARS_MAX;

/// What came back from one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// No connection was made: the request surely did not arrive.
    NotConnected(String),
    /// The request may have arrived; no whole answer came back.
    NoAnswer(String),
    /// An answer.
    Http {
        /// Its status.
        status: u16,
        /// What `Retry-After` says.
        retry_after: Option<Duration>,
        /// What its body says.
        body: Body,
    },
}

/// What an answer's body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The mutation's data, no error.
    Data,
    /// GraphQL errors.
    Errors(Vec<Error>),
    /// No GraphQL answer at all; its beginning.
    Other(String),
}

/// A GraphQL error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// `extensions.code`, if there is one.
    pub code: Option<String>,
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
const THROTTLED: [&str; 4] = ["THROTTLED", "RATE_LIMITED", "RATE_LIMIT_EXCEEDED", "TOO_MANY_REQUESTS"];
/// GraphQL error codes that say nothing about the event: the target, or what it needs, does not work.
const UNAVAILABLE: [&str; 5] = ["INTERNAL_SERVER_ERROR", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT", "UNAVAILABLE"];

/// Judges an answer.
#[must_use]
pub fn classify(answer: Answer) -> Verdict {
    let (outcome, status, retry_after, detail) = match answer {
        Answer::NotConnected(cause) => (Outcome::Unavailable, None, None, cause),
        Answer::NoAnswer(cause) => (Outcome::Unknown, None, None, cause),
        Answer::Http { status, retry_after, body } => {
            let (outcome, detail) = of_status(status, body);
            (outcome, Some(status), retry_after, detail)
        }
    };
    let detail = if outcome == Outcome::Delivered { String::new() } else { detail.chars().take(DETAIL_CHARS_MAX).collect() };
    Verdict { outcome, status, retry_after, detail }
}

/// Judges a status with its body.
fn of_status(status: u16, body: Body) -> (Outcome, String) {
    match (status, body) {
        (429, body) => (Outcome::Throttled, said(429, body)),
        (408 | 425, body) => (Outcome::Unavailable, said(status, body)),
        (500..=599, body) => {
            let throttled = of_errors(&body).filter(|(outcome, _)| *outcome == Outcome::Throttled);
            throttled.unwrap_or_else(|| (Outcome::Unavailable, said(status, body)))
        }
        (200..=299, Body::Data) => (Outcome::Delivered, String::new()),
        (200..=299, body @ Body::Errors(_)) => of_errors(&body).unwrap_or_else(|| (Outcome::Unknown, said(status, body))),
        (200..=299, body @ Body::Other(_)) => (Outcome::Unknown, said(status, body)),
        // A redirect is not followed: the mutation would become a GET. Somebody has to correct the URL; until then the target is not there.
        (300..=399, body) => (Outcome::Unavailable, said(status, body)),
        // Wrong credentials and a missing path say nothing about the event either.
        (401 | 403 | 404 | 405 | 407, body) => (Outcome::Unavailable, said(status, body)),
        (400..=499, body) => of_errors(&body).unwrap_or_else(|| (Outcome::Refused, said(status, body))),
        (_, body) => (Outcome::Unknown, said(status, body)),
    }
}

/// Judges GraphQL errors; `None` when there are none.
fn of_errors(body: &Body) -> Option<(Outcome, String)> {
    let Body::Errors(errors) = body else { return None };
    let first = errors.first()?;
    let is_any = |codes: &[&str]| errors.iter().filter_map(|error| error.code.as_deref()).any(|code| codes.contains(&code));
    let outcome = if is_any(&THROTTLED) {
        Outcome::Throttled
    } else if is_any(&UNAVAILABLE) {
        Outcome::Unavailable
    } else {
        Outcome::Refused
    };
    let detail = first.code.as_ref().map_or_else(|| first.message.clone(), |code| format!("{code}: {}", first.message));
    Some((outcome, detail))
}

/// What an answer said, in words.
fn said(status: u16, body: Body) -> String {
    match body {
        Body::Data => format!("status {status} with data"),
        Body::Errors(errors) => errors.into_iter().next().map_or_else(|| format!("status {status}, no error told"), |error| error.message),
        Body::Other(text) => format!("status {status}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use events_proxy_core::Outcome;

    use super::{Answer, Body, Error, classify};

    /// How an answer of this status and body comes out.
    fn outcome(status: u16, body: Body) -> Outcome {
        classify(Answer::Http { status, retry_after: None, body }).outcome
    }

    /// A body with one error of this code.
    fn error(code: &str) -> Body {
        Body::Errors(vec![Error { code: Some(code.to_owned()), message: "no".to_owned() }])
    }

    #[test]
    fn the_table_of_answers() {
        let other = || Body::Other("<html>".to_owned());
        for (status, body, expected) in [
            (200, Body::Data, Outcome::Delivered),
            (200, error("BAD_USER_INPUT"), Outcome::Refused),
            (200, error("THROTTLED"), Outcome::Throttled),
            (200, error("INTERNAL_SERVER_ERROR"), Outcome::Unavailable),
            (200, Body::Errors(Vec::new()), Outcome::Unknown),
            (200, other(), Outcome::Unknown),
            (301, other(), Outcome::Unavailable),
            (400, error("GRAPHQL_VALIDATION_FAILED"), Outcome::Refused),
            (400, other(), Outcome::Refused),
            (401, other(), Outcome::Unavailable),
            (404, other(), Outcome::Unavailable),
            (408, other(), Outcome::Unavailable),
            (422, other(), Outcome::Refused),
            (429, other(), Outcome::Throttled),
            (429, Body::Data, Outcome::Throttled),
            (500, other(), Outcome::Unavailable),
            (503, error("THROTTLED"), Outcome::Throttled),
            (503, Body::Data, Outcome::Unavailable),
            (600, other(), Outcome::Unknown),
        ] {
            assert_eq!(outcome(status, body.clone()), expected, "{status} {body:?}");
        }
    }

    #[test]
    fn without_an_answer_it_counts_whether_the_request_can_have_arrived() {
        assert_eq!(classify(Answer::NotConnected("refused".to_owned())).outcome, Outcome::Unavailable);
        assert_eq!(classify(Answer::NoAnswer("timed out".to_owned())).outcome, Outcome::Unknown);
    }
}
