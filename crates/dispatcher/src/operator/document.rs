//! The OpenAPI document of the operator's routes. `infra/check/http` holds it against what the process answers.

mod schemas;

use actix_web::HttpResponse;
use serde_json::{Map, Value, json};

/// `GET /operator/openapi.json`; it says nothing of any event, so anybody may read it.
pub(super) async fn document() -> HttpResponse {
    HttpResponse::Ok().json(written())
}

/// Refusals of a call that has a body.
const OF_BODY: [u16; 4] = [400, 408, 413, 415];

/// The document.
fn written() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Events Proxy, for operators", "version": env!("CARGO_PKG_VERSION") },
        "paths": {
            "/operator/sessions": { "post": {
                "summary": "Sign in",
                "requestBody": body("Credentials"),
                "responses": answers((201, "Session"), &[&OF_BODY, &[401, 403, 429]]),
            } },
            "/operator/overview": { "get": call("The figures of all replicas", (200, "Overview"), &[]) },
            "/operator/partitions": { "get": call("Who owns which partition, and its lag", (200, "Partitions"), &[&[503]]) },
            "/operator/dead": { "get": call("Dead letters by reason", (200, "DeadLetters"), &[&[503]]) },
            "/operator/events": { "get": with(call("Events of all sources, newest first", (200, "Events"), &[&[400, 503]]), "parameters", schemas::search()) },
            "/operator/events/{source}/{id}": { "get": with(
                call("One event, with its payload if it is dead or parked", (200, "Event"), &[&[400, 404, 503]]),
                "parameters",
                json!([in_path("source", "demo"), in_path("id", "order-1")]),
            ) },
            "/operator/replays": {
                "get": call("The newest replays", (200, "Replays"), &[&[503]]),
                "post": begin(),
            },
            "/operator/replays/{id}": {
                "parameters": [in_path("id", "01a219ab-e7de-702a-a169-ef945e5096ac")],
                "get": call("One replay", (200, "Replay"), &[&[400, 404, 503]]),
                "delete": call("Cancel a replay: what was moved goes on, the rest stays as it was", (200, "Replay"), &[&[400, 403, 404, 409, 503]]),
            },
            "/operator/limit": {
                "get": call("The target's limit", (200, "Limit"), &[]),
                "put": with(
                    call(
                        "Another limit for all replicas, without a restart; it stays until another one is configured",
                        (200, "Limit"),
                        &[&OF_BODY, &[403, 409, 503]],
                    ),
                    "requestBody",
                    body("Limit"),
                ),
            },
        },
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
            "schemas": schemas::all(),
        },
    })
}

/// The beginning of a replay, which answers otherwise where it only counts.
fn begin() -> Value {
    let mut call = with(
        call("Begin a replay, or with `dryRun` count what it would choose", (201, "Replay"), &[&OF_BODY, &[403, 503]]),
        "requestBody",
        body("Order"),
    );
    if let Some(responses) = call.get_mut("responses") {
        *responses = with(responses.take(), "200", answer("Counted", "application/json", "Count"));
    }
    call
}

/// A call of who is signed in.
fn call(summary: &str, good: (u16, &str), refusals: &[&[u16]]) -> Value {
    let refusals: Vec<&[u16]> = [&[401_u16] as &[u16]].into_iter().chain(refusals.iter().copied()).collect();
    json!({ "summary": summary, "security": [{ "bearer": [] }], "responses": answers(good, &refusals) })
}

/// An object with one field more.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    if let Value::Object(fields) = &mut object {
        fields.insert(name.to_owned(), value);
    }
    object
}

/// A body of this schema.
fn body(schema: &str) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } } })
}

/// A part of a path.
fn in_path(name: &str, example: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "example": example, "schema": { "type": "string" } })
}

/// The answer that is hoped for, and the refusals.
fn answers((good, schema): (u16, &str), refusals: &[&[u16]]) -> Value {
    let mut answers = Map::new();
    answers.insert(good.to_string(), answer("Done", "application/json", schema));
    for status in refusals.iter().copied().flatten() {
        let refusal = answer("Refused", "application/problem+json", "Problem");
        let header = |name: &str, kind: &str| json!({ name: { "schema": { "type": kind } } });
        let refusal = match status {
            429 | 503 => with(refusal, "headers", header("Retry-After", "integer")),
            _ => refusal,
        };
        answers.insert(status.to_string(), refusal);
    }
    Value::Object(answers)
}

/// An answer of this type and schema.
fn answer(description: &str, kind: &str, schema: &str) -> Value {
    json!({ "description": description, "content": { kind: { "schema": { "$ref": format!("#/components/schemas/{schema}") } } } })
}
