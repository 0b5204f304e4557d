//! The mutation, typed by the target's schema, and how its answer is read.

use std::time::Duration;

use cynic::{GraphQlResponse, MutationBuilder};
use events_proxy_core::Event;
use serde::Serialize;
use serde_json::Value;

use crate::classify::{Body, Error};

/// How much of an answer that is no GraphQL, or of an id that is not the event's, is kept, in characters.
const OTHER_CHARS_MAX: usize = 200;

/// The target's types, as its schema file tells them.
#[cynic::schema("target")]
#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unnameable_types,
    clippy::missing_docs_in_private_items,
    reason = "made by cynic from the schema file"
)]
mod schema {}

/// An RFC 3339 date and time.
#[derive(cynic::Scalar, Debug, Clone)]
struct DateTime(String);

/// What the mutation takes.
#[derive(cynic::QueryVariables, Debug)]
struct Variables<'a> {
    /// The event.
    input: ProcessEventInput<'a>,
}

/// An event as the target takes it.
#[derive(cynic::InputObject, Debug)]
struct ProcessEventInput<'a> {
    /// Its id.
    id: &'a str,
    /// Its name.
    name: &'a str,
    /// Its body.
    body: &'a str,
    /// When it happened.
    timestamp: DateTime,
    /// Its brand.
    brand: &'a str,
}

/// The mutation.
#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Mutation", variables = "Variables")]
struct ProcessEvent {
    /// Its one field.
    #[arguments(input: $input)]
    process_event: ProcessedEvent,
}

/// What the target answers.
#[derive(cynic::QueryFragment, Debug)]
struct ProcessedEvent {
    /// The event's id.
    id: String,
}

/// The mutation, written once: only its variables differ from call to call.
#[derive(Debug)]
pub(super) struct Mutation(String);

/// A call as it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Call<'a> {
    /// The mutation.
    query: &'a str,
    /// The event.
    variables: Variables<'a>,
    /// The mutation's name.
    operation_name: &'static str,
}

impl Mutation {
    /// Writes the mutation.
    pub(super) fn new() -> Self {
        let input = ProcessEventInput { id: "", name: "", body: "", timestamp: DateTime(String::new()), brand: "" };
        Self(ProcessEvent::build(Variables { input }).query)
    }

    /// Writes the body of a call.
    pub(super) fn body(&self, event: &Event, brand: &str) -> Result<Vec<u8>, serde_json::Error> {
        let timestamp = DateTime(event.timestamp.to_string());
        let input = ProcessEventInput { id: event.id.as_str(), name: &event.name, body: &event.body, timestamp, brand };
        serde_json::to_vec(&Call { query: &self.0, variables: Variables { input }, operation_name: "ProcessEvent" })
    }
}

/// Reads the body of an answer to the event of this id.
pub(super) fn read(bytes: &[u8], id: &str) -> Body {
    // Serde also reads a struct from a list of its fields' values; an answer is none.
    let listed = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    match serde_json::from_slice::<GraphQlResponse<ProcessEvent, Value>>(bytes) {
        Ok(GraphQlResponse { data: Some(data), errors }) if !listed && errors.as_ref().is_none_or(Vec::is_empty) => data.of(id),
        _ => odd(bytes, id),
    }
}

impl ProcessEvent {
    /// Says whether this is the data of the event of this id.
    fn of(self, id: &str) -> Body {
        let told = self.process_event.id;
        if told == id { Body::Data } else { Body::OtherEvent(told.chars().take(OTHER_CHARS_MAX).collect()) }
    }
}

/// Reads the body of an answer that is no plain success: as leniently as it takes to find its errors.
fn odd(bytes: &[u8], id: &str) -> Body {
    let other = || Body::Other(String::from_utf8_lossy(bytes).chars().take(OTHER_CHARS_MAX).collect());
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(bytes) else { return other() };
    let data = answer.remove("data").and_then(|data| serde_json::from_value::<ProcessEvent>(data).ok());
    match answer.remove("errors") {
        Some(Value::Array(errors)) if !errors.is_empty() => {
            Body::Errors { errors: errors.iter().map(error).collect(), with_data: data.is_some() }
        }
        _ => data.map_or_else(other, |data| data.of(id)),
    }
}

/// Reads an error: servers agree on its message, and on little in its extensions.
fn error(error: &Value) -> Error {
    let message = error.get("message").or(Some(error)).and_then(Value::as_str).unwrap_or("an error without a message").to_owned();
    let Some(extensions) = error.get("extensions") else { return Error { message, ..Error::default() } };
    let texts = ["code", "errorType", "classification"].into_iter().filter_map(|key| extensions.get(key)?.as_str());
    let numbers = ["/http/status", "/status", "/statusCode", "/code"].into_iter();
    let seconds = extensions.get("retryAfter").and_then(Value::as_f64);
    Error {
        code: texts.map(|code| code.trim().to_uppercase().replace(['-', ' '], "_")).find(|code| !code.is_empty()),
        status: numbers.filter_map(|place| number(extensions.pointer(place)?)).next(),
        retry_after: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        message,
    }
}

/// An HTTP status, be it a number or a text.
fn number(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|number| u16::try_from(number).ok()).or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
#[path = "mutation_tests.rs"]
mod tests;
