//! How an operator's request is refused: RFC 9457 problem documents with a stable code each.

use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
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
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// It cannot be done in the state that things are in.
    #[error("{0}")]
    Conflict(String),
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
            Self::Missing(_) => "not_found",
            Self::Conflict(_) => "conflict",
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
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
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
        if matches!(self, Self::Busy | Self::Storage) {
            response.insert_header((RETRY_AFTER, "1"));
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
