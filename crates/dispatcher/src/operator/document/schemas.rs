//! The schemas of the document: what orders may say, and what is answered.

use events_proxy_core::{DeadReason, Outcome, State};
use serde_json::{Map, Value, json};

use crate::settings::{RATE_INTERVAL_MS, RATE_REQUESTS};

/// A time as it is written.
fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// A value that may be absent.
fn maybe(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

/// A time that may be absent.
fn maybe_time() -> Value {
    json!({ "type": ["string", "null"], "format": "date-time" })
}

/// A number that counts.
fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// Another schema of the document.
fn one(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// A list of another schema, in an object.
fn items(schema: &str) -> Value {
    answered(json!({ "items": { "type": "array", "items": one(schema) } }))
}

/// An object as it is answered: all fields are there.
fn answered(properties: Value) -> Value {
    let required: Vec<String> = properties.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// An object as it is ordered: it has no other fields.
fn ordered(properties: &Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// One of some words, or nothing said.
fn word(words: &[&str]) -> Value {
    let said = words.iter().map(|word| json!(word));
    json!({ "type": ["string", "null"], "enum": said.chain([json!(""), Value::Null]).collect::<Vec<_>>() })
}

/// The states of the journal.
fn states() -> [&'static str; 5] {
    State::ALL.map(State::as_str)
}

/// Why events are dead.
fn reasons() -> [&'static str; 4] {
    DeadReason::ALL.map(DeadReason::as_str)
}

/// What a parameter may say; one without text is as good as none.
fn or_empty(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "const": "" }] })
}

/// The parameters of a search.
pub(super) fn search() -> Value {
    let text = || json!({ "type": "string" });
    let one_of = |words: &[&str]| or_empty(json!({ "type": "string", "enum": words }));
    let parameters = [
        ("id", text()),
        ("source", text()),
        ("state", one_of(&states())),
        ("name", text()),
        ("reason", one_of(&reasons())),
        ("from", or_empty(time())),
        ("to", or_empty(time())),
        ("cursor", or_empty(json!({ "type": "string", "pattern": "^-?[0-9]{1,18}\\.0\\." }))),
        ("limit", or_empty(json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }))),
    ];
    let told = parameters.map(|(name, schema)| json!({ "name": name, "in": "query", "required": false, "schema": schema }));
    Value::Array(told.into())
}

/// All of them, by name.
pub(super) fn all() -> Map<String, Value> {
    let schemas = [
        (
            "Credentials",
            json!({ "type": "object", "required": ["name", "secret"], "properties": { "name": { "type": "string" }, "secret": { "type": "string" } } }),
        ),
        ("Session", answered(json!({ "token": { "type": "string" }, "expiresAt": time() }))),
        ("Limit", limit()),
        ("Order", order()),
        ("Count", answered(json!({ "dryRun": { "type": "boolean" }, "chosen": count() }))),
        ("Replay", replay()),
        ("Replays", items("Replay")),
        ("Event", event()),
        ("Events", answered(json!({ "items": { "type": "array", "items": one("Event") }, "cursor": maybe("string") }))),
        ("Partitions", answered(json!({ "topic": { "type": "string" }, "items": { "type": "array", "items": one("Partition") } }))),
        (
            "Partition",
            answered(
                json!({ "partition": count(), "owner": maybe("string"), "epoch": count(), "nextOffset": count(), "highWatermark": count() }),
            ),
        ),
        ("DeadLetters", items("Dead")),
        (
            "Dead",
            answered(json!({ "reason": { "type": "string", "enum": reasons() }, "count": count(), "firstAt": time(), "lastAt": time() })),
        ),
        ("Overview", overview()),
        ("Problem", problem()),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// The target's limit, ordered and answered.
fn limit() -> Value {
    let bounds = |range: &std::ops::RangeInclusive<u64>| json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() });
    ordered(&json!({ "requests": bounds(&RATE_REQUESTS), "intervalMs": bounds(&RATE_INTERVAL_MS) }), &["requests", "intervalMs"])
}

/// The order of a replay.
fn order() -> Value {
    let time = or_empty(maybe_time());
    let fields = json!({
        "of": word(&["dead", "parked"]),
        "sourceId": maybe("string"),
        "eventId": maybe("string"),
        "name": maybe("string"),
        "reason": word(&reasons()),
        "from": time,
        "to": time,
        "sharePercent": or_empty(json!({ "type": ["string", "null"], "pattern": "^([1-9]|[1-8][0-9]|90)$" })),
        "dryRun": maybe("string"),
    });
    ordered(&fields, &[])
}

/// A replay as it is answered.
fn replay() -> Value {
    let choice = json!({
        "of": { "type": "string", "enum": ["dead", "parked"] },
        "sourceId": maybe("string"),
        "eventId": maybe("string"),
        "name": maybe("string"),
        "reason": maybe("string"),
        "from": maybe_time(),
        "to": maybe_time(),
    });
    answered(json!({
        "id": { "type": "string", "format": "uuid" },
        "operator": { "type": "string" },
        "begunAt": time(),
        "endedAt": maybe_time(),
        "state": { "type": "string", "enum": ["running", "done", "cancelled"] },
        "choice": answered(choice),
        "sharePercent": { "type": "integer", "minimum": 1, "maximum": 90 },
        "chosen": count(),
        "moved": count(),
        "skipped": count(),
        "traceId": maybe("string"),
    }))
}

/// An event as it is answered; `payload` is there if it is kept.
fn event() -> Value {
    let attempt = json!({
        "number": { "type": "integer", "minimum": 1 },
        "startedAt": time(),
        "durationUs": count(),
        "outcome": { "type": "string", "enum": Outcome::ALL.map(Outcome::as_str) },
        "status": maybe("integer"),
        "detail": { "type": "string" },
    });
    let stages = json!({
        "receive": time(), "accept": maybe_time(), "publish": maybe_time(), "consume": maybe_time(), "settle": maybe_time(),
    });
    answered(json!({
        "sourceId": { "type": "string" },
        "id": { "type": "string" },
        "name": { "type": "string" },
        "state": { "type": "string", "enum": states() },
        "brand": maybe("string"),
        "traceId": { "type": "string" },
        "traceUrl": maybe("string"),
        "partition": maybe("integer"),
        "offset": maybe("integer"),
        "stages": answered(stages),
        "attempts": { "type": "array", "items": answered(attempt) },
        "nextAttemptAt": maybe_time(),
        "reason": maybe("string"),
        "detail": maybe("string"),
    }))
}

/// The figures.
fn overview() -> Value {
    let replica = json!({
        "inFlight": count(), "delivered": count(), "retried": count(), "limitUsed": { "type": "number" }, "targetAway": { "type": "boolean" },
    });
    answered(json!({
        "at": time(),
        "trouble": maybe("string"),
        "pending": count(),
        "backlog": count(),
        "parked": count(),
        "dead": count(),
        "unaccounted": { "type": "integer" },
        "oldestReceivedAt": maybe_time(),
        "permitted": one("Limit"),
        "permittedPerSecond": { "type": "number" },
        "drainsInSeconds": count(),
        "arrivingPerSecond": maybe("number"),
        "settlingPerSecond": maybe("number"),
        "replica": answered(replica),
    }))
}

/// A refusal.
fn problem() -> Value {
    answered(json!({
        "type": { "type": "string" },
        "title": { "type": "string" },
        "status": { "type": "integer" },
        "code": { "type": "string" },
        "detail": { "type": "string" },
    }))
}
