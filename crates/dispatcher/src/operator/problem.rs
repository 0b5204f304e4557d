//! How an operator's request is refused: RFC 9457 problem documents with a stable code each.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use chassis::lifecycle::sentence;
use serde_json::json;

/// Why an operator's request is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    /// Nobody is signed in.
    #[error("sign in first: POST /operator/sessions with name and secret, or /console/")]
    NotSignedIn,
    /// The name or the secret is wrong.
    #[error("the name or the secret is wrong")]
    SignIn,
    /// No operator is named in the settings.
    #[error("no operator is named in OPERATOR_ACCOUNTS, so nobody can sign in")]
    NoOperators,
    /// The operator may look, not act.
    #[error("your role is `viewer`, which may look and not act")]
    Forbidden,
    /// The order came from another site.
    #[error("the order came from another site; nothing was done")]
    OtherSite,
    /// Parts of the request are wrong.
    #[error("{0}")]
    Malformed(String),
    /// The body is not declared as JSON.
    #[error("send `Content-Type: application/json`")]
    NotJson,
    /// The body is larger than allowed.
    #[error("the body is larger than {0} bytes; nothing was done")]
    TooLarge(usize),
    /// The body did not come in time.
    #[error("the body did not arrive in time; nothing was done")]
    Slow,
    /// There is no such path.
    #[error("there is nothing at this path; see /operator/openapi.json")]
    NoRoute,
    /// The path exists, the method does not.
    #[error("this path takes {0} only")]
    Method(&'static str),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// It cannot be done in the state that things are in.
    #[error("{0}")]
    Conflict(String),
    /// Too many sign-ins failed; how long to wait.
    #[error("too many sign-ins failed; the next one is judged in {} s", seconds(*.0))]
    LockedOut(Duration),
    /// As many sign-ins as may wait already do.
    #[error("too many sign-ins wait; try again in a moment")]
    Busy,
    /// The storage does not answer.
    #[error("the storage does not answer; deliveries wait for it, and nothing is lost")]
    Storage,
}

impl Problem {
    /// A part of the request is not what it must be.
    pub(crate) fn wrong(field: &str, must: &str) -> Self {
        Self::Malformed(format!("`{field}` must be {must}"))
    }

    /// The storage did not answer; the log hears why.
    pub(crate) fn storage(error: &storage::Error) -> Self {
        tracing::warn!(error = sentence(error), "an operator's request failed: the storage does not answer");
        Self::Storage
    }

    /// The stable word for programs.
    const fn code(&self) -> &'static str {
        match self {
            Self::NotSignedIn => "not_signed_in",
            Self::SignIn => "wrong_credentials",
            Self::NoOperators => "no_operators",
            Self::Forbidden => "forbidden",
            Self::OtherSite => "other_site",
            Self::Malformed(_) => "malformed_request",
            Self::NotJson => "unsupported_media_type",
            Self::TooLarge(_) => "body_too_large",
            Self::Slow => "request_timeout",
            Self::NoRoute | Self::Missing(_) => "not_found",
            Self::Method(_) => "method_not_allowed",
            Self::Conflict(_) => "conflict",
            Self::LockedOut(_) => "rate_limited",
            Self::Busy => "busy",
            Self::Storage => "storage_unavailable",
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotSignedIn | Self::SignIn => StatusCode::UNAUTHORIZED,
            Self::NoOperators | Self::Forbidden | Self::OtherSite => StatusCode::FORBIDDEN,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::NoRoute | Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::LockedOut(_) | Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::Storage => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        response.content_type("application/problem+json");
        if *self == Self::NotSignedIn {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Self::LockedOut(wait) = self {
            response.insert_header((RETRY_AFTER, seconds(*wait).to_string()));
        }
        if matches!(self, Self::Busy | Self::Storage) {
            response.insert_header((RETRY_AFTER, "1"));
        }
        if let Self::Method(allowed) = self {
            response.insert_header((ALLOW, *allowed));
        }
        if matches!(self, Self::Slow | Self::TooLarge(_)) {
            // The rest of the body is not read, so the connection cannot be used again.
            response.force_close();
        }
        response.json(json!({
            "type": format!("urn:events-proxy:problem:{}", self.code()),
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "code": self.code(),
            "detail": self.to_string(),
        }))
    }
}

/// A wait in whole seconds, the last one begun counting as one.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}
