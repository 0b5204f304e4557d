//! The mutation, typed by the target's schema, and how its answer is read.

use cynic::{GraphQlResponse, MutationBuilder};
use events_proxy_core::Event;
use serde::Deserialize;

use crate::classify::{Body, Error};

/// How much of an answer that is no GraphQL is kept, in characters.
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
struct Variables {
    /// The event.
    input: ProcessEventInput,
}

/// An event as the target takes it.
#[derive(cynic::InputObject, Debug)]
struct ProcessEventInput {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// Its body.
    body: String,
    /// When it happened.
    timestamp: DateTime,
    /// Its brand.
    brand: String,
}

/// The mutation.
#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Mutation", variables = "Variables")]
struct ProcessEvent {
    /// Its one field.
    #[arguments(input: $input)]
    #[allow(dead_code, reason = "that it is there is all we ask")]
    process_event: ProcessedEvent,
}

/// What the target answers.
#[derive(cynic::QueryFragment, Debug)]
struct ProcessedEvent {
    /// The event's id.
    #[allow(dead_code, reason = "that it is there is all we ask")]
    id: String,
}

/// What the target adds to an error.
#[derive(Debug, Deserialize)]
struct Extensions {
    /// A word for programs.
    code: Option<String>,
}

/// Writes the body of a call.
pub(super) fn body(event: &Event, brand: &str) -> Result<Vec<u8>, serde_json::Error> {
    let input = ProcessEventInput {
        id: event.id.as_str().to_owned(),
        name: event.name.clone(),
        body: event.body.clone(),
        timestamp: DateTime(event.timestamp.to_string()),
        brand: brand.to_owned(),
    };
    serde_json::to_vec(&ProcessEvent::build(Variables { input }))
}

/// Reads the body of an answer.
pub(super) fn read(bytes: &[u8]) -> Body {
    let Ok(response) = serde_json::from_slice::<GraphQlResponse<ProcessEvent, serde_json::Value>>(bytes) else {
        return Body::Other(String::from_utf8_lossy(bytes).chars().take(OTHER_CHARS_MAX).collect());
    };
    match (response.errors, response.data) {
        (Some(errors), _) => {
            Body::Errors(errors.into_iter().map(|error| Error { code: error.extensions.and_then(code), message: error.message }).collect())
        }
        (None, Some(_)) => Body::Data,
        (None, None) => Body::Other("neither data nor errors".to_owned()),
    }
}

/// The code of an error's extensions.
fn code(extensions: serde_json::Value) -> Option<String> {
    serde_json::from_value::<Extensions>(extensions).ok()?.code
}

#[cfg(test)]
mod tests {
    use events_proxy_core::Event;

    use super::{Body, Error, body, read};

    #[test]
    fn the_mutation_is_the_one_of_the_contract() {
        let event = Event::judge(br#"{"id":"e-1","name":"order","body":"two","timestamp":1767225600000}"#).unwrap();
        let sent: serde_json::Value = serde_json::from_slice(&body(&event, "acme").unwrap()).unwrap();
        let input =
            serde_json::json!({ "id": "e-1", "name": "order", "body": "two", "timestamp": "2026-01-01T00:00:00Z", "brand": "acme" });
        assert_eq!(sent["variables"]["input"], input);
        let query: String = sent["query"].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(query, "mutation ProcessEvent($input: ProcessEventInput!) { processEvent(input: $input) { id } }");
    }

    #[test]
    fn data_errors_and_anything_else_are_told_apart() {
        assert_eq!(read(br#"{"data":{"processEvent":{"id":"e-1"}}}"#), Body::Data);
        let errors = read(br#"{"data":null,"errors":[{"message":"no","extensions":{"code":"THROTTLED","x":1}}]}"#);
        assert_eq!(errors, Body::Errors(vec![Error { code: Some("THROTTLED".to_owned()), message: "no".to_owned() }]));
        assert!(matches!(read(br#"{"data":{"processEvent":null}}"#), Body::Other(_)));
        assert!(matches!(read(b"<html>bad gateway</html>"), Body::Other(_)));
        assert!(matches!(read(b"{}"), Body::Other(_)));
    }
}
