//! Stage 2 of 10 — authenticate: verifies the caller's access token, without any I/O.
//!
//! Next: `crates/ingest/src/validate.rs`.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use auth::access::{Caller, Known};
use events_proxy_core::Moment;

use crate::reject::Reject;

/// Tells who calls.
pub(crate) fn authenticate(request: &HttpRequest, keys: &Known, now: Moment) -> Result<Caller, Reject> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or(Reject::Unauthenticated)?;
    let (scheme, token) = header.split_once(' ').ok_or(Reject::Unauthenticated)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Reject::Unauthenticated);
    }
    keys.verify(token.trim(), now).map_err(Reject::Token)
}
