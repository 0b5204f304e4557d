//! Stage 3 of 10 — validate: judges the event's fields, all of them at once.
//!
//! The rules are the event's own (`events_proxy_core::event`); fields that it does not know are dropped.
//! Next: `crates/ingest/src/accept.rs`.

use actix_web::{HttpResponse, ResponseError};
use events_proxy_core::Event;
use events_proxy_core::event::Invalid;

use crate::reject::Reject;

/// Reads and judges the body of a request.
pub(crate) fn validate(body: &[u8]) -> Result<Event, Reject> {
    Event::judge(body).map_err(|invalid| match invalid {
        Invalid::NotAnObject(message) => Reject::Malformed(message),
        Invalid::Fields(fields) => Reject::Fields(fields),
    })
}

/// What the API makes of a body without a request around it: the event, or the refusal as the source reads it.
///
/// # Errors
/// The problem document, when the body is no event.
pub fn answer(body: &[u8]) -> Result<Event, Box<HttpResponse>> {
    validate(body).map_err(|reject| Box::new(reject.error_response()))
}
