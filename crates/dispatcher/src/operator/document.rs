//! The OpenAPI document of the operator's routes. It describes paths and bodies; the words are those of the answers.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use crate::settings::{RATE_INTERVAL_MS, RATE_REQUESTS};

/// `GET /operator/openapi.json`; it says nothing of any event, so anybody may read it.
pub(super) async fn document() -> HttpResponse {
    HttpResponse::Ok().json(written())
}

/// The document.
fn written() -> Value {
    let reads = |summary: &str, parameters: &[&str], refusals: &[u16]| json!({ "get": { "summary": summary, "security": [{ "bearer": [] }], "parameters": parameters_of(parameters), "responses": answers(200, refusals) } });
    let search = ["id", "source", "state", "name", "reason", "from", "to", "cursor", "limit"];
    let mut replays = reads("The newest replays", &[], &[401, 503]);
    add(
        &mut replays,
        "post",
        &json!({
            "summary": "Begin a replay, or with `dryRun` count what it would choose",
            "security": [{ "bearer": [] }],
            "requestBody": { "required": true, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Order" } } } },
            "responses": answers(201, &[400, 401, 403, 503]),
        }),
    );
    let mut limit = reads("The target's limit", &[], &[401]);
    add(
        &mut limit,
        "put",
        &json!({
            "summary": "Another limit for all replicas, without a restart; it stays until another one is configured",
            "security": [{ "bearer": [] }],
            "requestBody": { "required": true, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Limit" } } } },
            "responses": answers(200, &[400, 401, 403, 409, 503]),
        }),
    );
    let mut replay = reads("One replay", &["/id"], &[401, 404, 503]);
    add(
        &mut replay,
        "delete",
        &json!({
            "summary": "Cancel a replay: what was moved goes on, the rest stays as it was",
            "security": [{ "bearer": [] }],
            "parameters": parameters_of(&["/id"]),
            "responses": answers(200, &[401, 403, 404, 409, 503]),
        }),
    );
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Events Proxy, for operators", "version": env!("CARGO_PKG_VERSION") },
        "paths": {
            "/operator/sessions": { "post": {
                "summary": "Sign in",
                "requestBody": { "required": true, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Credentials" } } } },
                "responses": answers(201, &[400, 401, 403, 429]),
            } },
            "/operator/overview": reads("The figures of all replicas", &[], &[401]),
            "/operator/partitions": reads("Who owns which partition, and its lag", &[], &[401, 503]),
            "/operator/dead": reads("Dead letters by reason", &[], &[401, 503]),
            "/operator/events": reads("Events of all sources, newest first", &search, &[400, 401, 503]),
            "/operator/events/{source}/{id}": reads("One event, with its payload if it is dead or parked", &["/source", "/id"], &[401, 404, 503]),
            "/operator/replays": replays,
            "/operator/replays/{id}": replay,
            "/operator/limit": limit,
        },
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
            "schemas": {
                "Credentials": object(&["name", "secret"], &["name", "secret"]),
                "Limit": { "type": "object", "required": ["requests", "intervalMs"], "properties": {
                    "requests": { "type": "integer", "minimum": RATE_REQUESTS.start(), "maximum": RATE_REQUESTS.end() },
                    "intervalMs": { "type": "integer", "minimum": RATE_INTERVAL_MS.start(), "maximum": RATE_INTERVAL_MS.end() },
                } },
                "Order": object(&["of", "sourceId", "eventId", "name", "reason", "from", "to", "sharePercent", "dryRun"], &[]),
                "Problem": object(&["type", "title", "code", "detail"], &["type", "code", "detail"]),
            },
        },
    })
}

/// Adds an operation to a path.
fn add(path: &mut Value, method: &str, operation: &Value) {
    if let Value::Object(path) = path {
        path.insert(method.to_owned(), operation.clone());
    }
}

/// Parameters by name; one that begins with `/` is part of the path.
fn parameters_of(names: &[&str]) -> Vec<Value> {
    let parameter = |name: &&str| {
        let (place, required) = if name.starts_with('/') { ("path", true) } else { ("query", false) };
        json!({ "name": name.trim_start_matches('/'), "in": place, "required": required, "schema": { "type": "string" } })
    };
    names.iter().map(parameter).collect()
}

/// The answer that is hoped for, and the refusals.
fn answers(good: u16, refusals: &[u16]) -> Value {
    let mut answers = serde_json::Map::new();
    answers
        .insert(good.to_string(), json!({ "description": "Done", "content": { "application/json": { "schema": { "type": "object" } } } }));
    for status in refusals {
        let problem = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
        answers.insert(status.to_string(), json!({ "description": "Refused", "content": problem }));
    }
    Value::Object(answers)
}

/// An object of text fields.
fn object(fields: &[&str], required: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        fields.iter().map(|field| ((*field).to_owned(), json!({ "type": "string" }))).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}
