//! The GraphQL schema: what the target understands, and the bounds it puts on an event.

use std::sync::OnceLock;

use async_graphql::{
    Context, EmptySubscription, ErrorExtensions, InputObject, InputValueError, InputValueResult, Object, Scalar, ScalarType, Schema,
    SimpleObject, Value,
};
use serde::Serialize;
use std::sync::Arc;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ledger::{Ledger, Outcome};
use crate::record::Recorder;

/// The executable schema.
pub(super) type Executable = Schema<Query, Mutation, EmptySubscription>;

/// What the schema shares with the rest of the target.
#[derive(Debug)]
pub(super) struct Back {
    /// Which events were processed.
    pub(super) ledger: Arc<Ledger>,
    /// Where processed events are written down.
    pub(super) recorder: Option<Recorder>,
}

/// The HTTP request around a GraphQL request.
#[derive(Debug)]
pub(super) struct Call {
    /// Its `Idempotency-Key`.
    pub(super) key: Option<String>,
    /// The trace id of its `traceparent`.
    pub(super) trace_id: Option<String>,
    /// When it arrived, in microseconds since the Unix epoch.
    pub(super) at_micros: i64,
    /// The id of its event and what came of it, once there is one.
    pub(super) event: OnceLock<(String, Outcome)>,
}

/// A line of the record file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    /// The event.
    id: &'a str,
    /// The brand it was given.
    brand: &'a str,
    /// The trace it belongs to.
    trace_id: Option<&'a str>,
    /// The key it came with.
    idempotency_key: Option<&'a str>,
    /// When the request arrived that it was processed with, in microseconds since the Unix epoch.
    arrived_at_micros: i64,
}

/// A date and time in RFC 3339.
#[derive(Debug)]
pub(super) struct DateTime(OffsetDateTime);

/// A date and time in RFC 3339, like `2026-01-31T12:00:00.5Z`.
#[Scalar(name = "DateTime")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => OffsetDateTime::parse(text, &Rfc3339).map(Self).map_err(InputValueError::custom),
            Value::Null | Value::Number(_) | Value::Boolean(_) | Value::Binary(_) | Value::Enum(_) | Value::List(_) | Value::Object(_) => {
                Err(InputValueError::expected_type(value))
            }
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.format(&Rfc3339).unwrap_or_default())
    }
}

/// An event to be processed.
#[derive(Debug, InputObject)]
pub(super) struct ProcessEventInput {
    /// The id that its source gave it.
    #[graphql(validator(chars_min_length = 1, chars_max_length = 128))]
    id: String,
    /// What happened.
    #[graphql(validator(chars_min_length = 2, chars_max_length = 1_000))]
    name: String,
    /// The particulars.
    #[graphql(validator(chars_min_length = 1, chars_max_length = 10_000))]
    body: String,
    /// When it happened.
    timestamp: DateTime,
    /// The brand it belongs to.
    #[graphql(validator(chars_min_length = 1, chars_max_length = 100))]
    brand: String,
}

/// An event that was processed.
#[derive(Debug, SimpleObject)]
pub(super) struct ProcessedEvent {
    /// The id that its source gave it.
    id: String,
}

/// What can be asked.
#[derive(Debug)]
pub(super) struct Query;

#[Object]
impl Query {
    /// Says `ok`.
    async fn health(&self) -> &'static str {
        "ok"
    }

    /// How many events were processed, repeats included.
    async fn processed(&self, context: &Context<'_>) -> async_graphql::Result<u64> {
        Ok(context.data::<Back>()?.ledger.numbers().processed)
    }
}

/// What can be done.
#[derive(Debug)]
pub(super) struct Mutation;

#[Object]
impl Mutation {
    /// Processes an event, once: its `Idempotency-Key`, else its id, tells whether it was processed before.
    async fn process_event(&self, context: &Context<'_>, input: ProcessEventInput) -> async_graphql::Result<ProcessedEvent> {
        let (back, call) = (context.data::<Back>()?, context.data::<Arc<Call>>()?);
        if call.event.get().is_some() {
            // Else one request with many aliases would slip many events past the limit.
            return Err(bad_input("one event per request"));
        }
        let room = match &back.recorder {
            Some(recorder) => Some(recorder.room().await),
            None => None,
        };
        // From here on nothing waits: a client that leaves cannot leave an event half processed.
        let new = back.ledger.process(call.key.as_deref().unwrap_or(&input.id));
        if let (true, Some(room)) = (new, room) {
            room.append(&Entry {
                id: &input.id,
                brand: &input.brand,
                trace_id: call.trace_id.as_deref(),
                idempotency_key: call.key.as_deref(),
                arrived_at_micros: call.at_micros,
            });
        }
        let outcome = if new { Outcome::Processed } else { Outcome::Duplicate };
        call.event.get_or_init(|| (input.id.clone(), outcome));
        tracing::debug!(event.id = input.id, event.name = input.name, timestamp = ?input.timestamp, bytes = input.body.len(), new, "event");
        Ok(ProcessedEvent { id: input.id })
    }
}

/// An error that trying again does not mend.
fn bad_input(message: &str) -> async_graphql::Error {
    async_graphql::Error::new(message).extend_with(|_, extensions| extensions.set("code", "BAD_USER_INPUT"))
}

/// Builds the schema.
pub(super) fn build(back: Back) -> Executable {
    Schema::build(Query, Mutation, EmptySubscription).data(back).finish()
}

/// The schema in GraphQL's own language.
#[must_use]
pub fn sdl() -> String {
    Schema::build(Query, Mutation, EmptySubscription).finish().sdl()
}
