//! The body of an operator's request: a JSON object, declared as such, within a size. The listener gives it a time.
//!
//! What may be ordered only by who is signed in is read after it is known who that is.

use std::io::ErrorKind;

use actix_web::error::PayloadError;
use actix_web::web::Payload;
use actix_web::{HttpMessage, HttpRequest};
use serde::de::DeserializeOwned;

use super::Problem;

/// The largest body: an order is a few short fields.
const BYTES_MAX: usize = 65_536;

/// Reads a body.
pub(super) async fn object<T: DeserializeOwned>(request: &HttpRequest, payload: Payload) -> Result<T, Problem> {
    let declared = request.mime_type().ok().flatten();
    if !declared.is_some_and(|kind| kind.subtype() == "json" || kind.suffix().is_some_and(|suffix| suffix == "json")) {
        return Err(Problem::NotJson);
    }
    let read = payload.to_bytes_limited(BYTES_MAX).await.map_err(|_| Problem::TooLarge(BYTES_MAX))?;
    let body = read.map_err(|error| match error.as_error() {
        Some(PayloadError::Io(error)) if error.kind() == ErrorKind::TimedOut => Problem::Slow,
        _ => Problem::Malformed(error.to_string()),
    })?;
    // A list of the right length would do for serde, its values taken as the fields in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::Malformed("the body is not a JSON object".to_owned()));
    }
    serde_json::from_slice(&body).map_err(|error| Problem::Malformed(format!("the body is not what this call takes: {error}")))
}
