//! How a request is refused: RFC 9457 problem documents with a stable code each.
//!
//! This is the only place of ingest that knows HTTP statuses of refusals. What the client reads is written here;
//! what the log says is told where the refusal is decided.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use auth::access::Rejected;
use events_proxy_core::event::FieldError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::quota::Left;
use crate::receive::quota_headers;

/// Why a request is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reject {
    /// The body is not what the call takes.
    #[error("the body is not valid JSON for this call: {0}")]
    Malformed(String),
    /// Fields of the body or the query are wrong; all of them are listed.
    #[error("some fields are wrong; see `errors`")]
    Fields(Vec<FieldError>),
    /// No bearer token.
    #[error("send an access token: `Authorization: Bearer …`")]
    Unauthenticated,
    /// The bearer token is no good.
    #[error("the access token is refused: {}", .0.as_str())]
    Token(Rejected),
    /// The account is unknown or its secret is another one.
    #[error("authId or secret is wrong")]
    LogIn,
    /// The refresh token is no good.
    #[error("the refresh token is refused: {0}")]
    Refresh(&'static str),
    /// The event is not known here.
    #[error("{0}")]
    NoEvent(String),
    /// There is no such path.
    #[error("there is nothing at this path; see /api-docs/")]
    NoRoute,
    /// The path exists, the method does not.
    #[error("this path takes {0} only")]
    Method(&'static str),
    /// The body did not come in time.
    #[error("the body did not arrive in time; nothing was stored")]
    Slow,
    /// The body is larger than allowed.
    #[error("the body is larger than {0} bytes; nothing was stored")]
    TooLarge(usize),
    /// The body is not declared as JSON.
    #[error("send `Content-Type: application/json`")]
    NotJson,
    /// The caller sent more than it may.
    #[error("too many requests; nothing was stored")]
    TooMany(Duration),
    /// The source asks for more than it may.
    #[error("more requests than this source may make; nothing was stored")]
    OverQuota(Left),
    /// As much as can be worked on is being worked on.
    #[error("the service is at its limit; nothing was stored")]
    Overloaded,
    /// Neither the local disk nor the broker took the event in time.
    #[error("the event could not be made durable; it may be sent again with the same id")]
    NoDurablePath,
    /// What sessions and look-ups need did not answer before the deadline.
    #[error("there was no answer in time; a refresh token that was sent may be spent, so log in again instead of sending it once more")]
    Late,
    /// What sessions and look-ups need does not answer.
    #[error("the storage does not answer; events are accepted all the same")]
    Storage,
}

/// A problem document.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Identifies the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// A stable word for programs.
    code: &'static str,
    /// What happened here, and what to do.
    detail: String,
    /// Each wrong field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<WrongField>>)]
    errors: Vec<FieldError>,
}

/// A wrong field, or a wrong parameter.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes FieldError, whose crate knows no documents")]
pub(crate) struct WrongField {
    /// Its name.
    field: String,
    /// What it must be.
    message: String,
}

/// The codes with which an event may be refused; sessions and look-ups have others.
pub(crate) fn codes_of_events() -> Vec<&'static str> {
    let reasons = [
        Reject::Malformed(String::new()),
        Reject::Fields(Vec::new()),
        Reject::Unauthenticated,
        Reject::Token(Rejected::Expired),
        Reject::Token(Rejected::Forged),
        Reject::NotJson,
        Reject::TooLarge(0),
        Reject::Slow,
        Reject::TooMany(Duration::ZERO),
        Reject::Overloaded,
        Reject::NoDurablePath,
    ];
    reasons.iter().map(Reject::code).collect()
}

impl Reject {
    /// The stable word for programs.
    #[must_use]
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_body",
            Self::Fields(_) => "invalid_fields",
            Self::Unauthenticated => "access_token_missing",
            Self::Token(Rejected::Expired) => "access_token_expired",
            Self::Token(_) => "access_token_invalid",
            Self::LogIn => "wrong_credentials",
            Self::Refresh(word) => word,
            Self::NoEvent(_) => "event_not_found",
            Self::NoRoute => "not_found",
            Self::Method(_) => "method_not_allowed",
            Self::Slow => "request_timeout",
            Self::TooLarge(_) => "body_too_large",
            Self::NotJson => "unsupported_media_type",
            Self::TooMany(_) | Self::OverQuota(_) => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::NoDurablePath => "no_durable_path",
            Self::Late => "answer_timeout",
            Self::Storage => "storage_unavailable",
        }
    }

    /// How long to wait before the next try, where that helps.
    const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooMany(wait) | Self::OverQuota(Left { reset: wait, .. }) => Some(*wait),
            Self::Overloaded | Self::NoDurablePath | Self::Late | Self::Storage => Some(Duration::from_secs(1)),
            Self::Malformed(_)
            | Self::Fields(_)
            | Self::Unauthenticated
            | Self::Token(_)
            | Self::LogIn
            | Self::Refresh(_)
            | Self::NoEvent(_)
            | Self::NoRoute
            | Self::Method(_)
            | Self::Slow
            | Self::TooLarge(_)
            | Self::NotJson => None,
        }
    }
}

impl ResponseError for Reject {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Fields(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated | Self::Token(_) | Self::LogIn | Self::Refresh(_) => StatusCode::UNAUTHORIZED,
            Self::NoEvent(_) | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooMany(_) | Self::OverQuota(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded | Self::NoDurablePath | Self::Late | Self::Storage => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        response.content_type("application/problem+json");
        if let Some(wait) = self.retry_after() {
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        if matches!(self, Self::Unauthenticated | Self::Token(_)) {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Self::OverQuota(left) = self {
            for header in quota_headers(*left) {
                response.insert_header(header);
            }
        }
        if let Self::Method(allowed) = self {
            response.insert_header((ALLOW, *allowed));
        }
        if matches!(self, Self::Slow | Self::TooLarge(_)) {
            // The rest of the body is not read, so the connection cannot be used again.
            response.force_close();
        }
        let errors = if let Self::Fields(errors) = self { errors.clone() } else { Vec::new() };
        response.json(Problem {
            kind: format!("urn:events-proxy:problem:{}", self.code()),
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            code: self.code(),
            detail: self.to_string(),
            errors,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_web::ResponseError;
    use actix_web::http::header::RETRY_AFTER;

    use super::Reject;

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_as_none() {
        for (wait, told) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2")] {
            let response = Reject::TooMany(Duration::from_millis(wait)).error_response();
            assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), told, "{wait} ms");
        }
    }
}
