//! Stage 2 of 10 — authenticate: verifies the caller's access token, without any I/O.
//!
//! While the storage is away nobody can get another token: for events, and for a while, one that has expired is good then.
//! Next: `crates/ingest/src/validate.rs`.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use auth::access::{Caller, Known, Rejected};
use events_proxy_core::Moment;

use crate::reject::Reject;

/// Tells who calls.
pub(crate) fn authenticate(request: &HttpRequest, keys: &Known, now: Moment) -> Result<Caller, Reject> {
    keys.verify(token(request)?, now).map_err(Reject::Token)
}

/// Tells who sends an event, and whether the token is good only because nobody can get another one.
pub(crate) fn authenticate_sender(request: &HttpRequest, keys: &Known, now: Moment, grace: Duration) -> Result<(Caller, bool), Reject> {
    let token = token(request)?;
    match keys.verify(token, now) {
        Err(Rejected::Expired) if grace > Duration::ZERO => keys.verify_late(token, now, grace).map(|caller| (caller, true)),
        judged => judged.map(|caller| (caller, false)),
    }
    .map_err(Reject::Token)
}

/// The token that comes with a request.
fn token(request: &HttpRequest) -> Result<&str, Reject> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or(Reject::Unauthenticated)?;
    let (scheme, token) = header.split_once(' ').ok_or(Reject::Unauthenticated)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Reject::Unauthenticated);
    }
    Ok(token.trim())
}
