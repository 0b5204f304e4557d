//! A request's body: an event within its bounds, or a problem that names what is wrong.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::http::header::CONTENT_TYPE;
use events_proxy_core::Event;
use events_proxy_core::event::{BODY_CHARS_MAX, NAME_CHARS_MAX, NAME_CHARS_MIN, Timestamp};
use events_proxy_core::identity::ID_CHARS_MAX;
use serde::Deserialize;
use serde_json::{Map, Number, Value, json};

/// The epoch milliseconds of the years 0 to 9999.
const MILLIS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// The body of `POST /api/events`.
///
/// # Panics
/// When a law is broken.
pub fn event(body: &[u8]) {
    match ingest::validate::answer(body) {
        Ok(event) => {
            keeps_bounds(&event);
            survives_writing(&event);
            let sent = fields(body).expect("law: only what can be read is taken");
            assert_eq!(sent.as_object().map(wrong_fields), Some(BTreeSet::new()), "an event was taken that is none");
            let text = |field: &str| sent.get(field).and_then(Value::as_str);
            assert_eq!((text("id"), text("name"), text("body")), (Some(event.id.as_str()), Some(&*event.name), Some(&*event.body)));
        }
        Err(refusal) => is_told(body, *refusal),
    }
}

/// Whoever wrote an event, it is in its bounds.
pub(crate) fn keeps_bounds(event: &Event) {
    let chars = |text: &str| text.chars().count();
    assert!((1..=ID_CHARS_MAX).contains(&chars(event.id.as_str())), "the id's length");
    assert!(!event.id.as_str().chars().any(char::is_control), "the id holds a control character");
    assert!((NAME_CHARS_MIN..=NAME_CHARS_MAX).contains(&chars(&event.name)), "the name's length");
    assert!((1..=BODY_CHARS_MAX).contains(&chars(&event.body)), "the body's length");
}

/// What is written of an event reads as the same event, and is written the same.
fn survives_writing(event: &Event) {
    let written = serde_json::to_vec(event).expect("law: an event can be written");
    let read = Event::judge(&written).expect("law: what we write of an event is an event");
    assert_eq!(&read, event, "an event is read differently from how it was written");
    assert_eq!(serde_json::to_vec(&read).expect("law: an event can be written"), written);
}

/// A refusal is a problem document with a stable code, and lists exactly the fields that are wrong.
fn is_told(body: &[u8], refusal: HttpResponse) {
    assert_eq!(refusal.status().as_u16(), 400);
    assert_eq!(refusal.headers().get(CONTENT_TYPE).map(|kind| kind.as_bytes()), Some(b"application/problem+json".as_slice()));
    let document = refusal.into_body().try_into_bytes().expect("law: a problem document is here as a whole");
    let document: Value = serde_json::from_slice(&document).expect("law: a problem document is JSON");
    let errors: Vec<Value> = document.get("errors").and_then(Value::as_array).cloned().unwrap_or_default();
    match document.get("code").and_then(Value::as_str) {
        Some("malformed_body") => assert!(errors.is_empty(), "a body that is no object has no wrong fields"),
        Some("invalid_fields") => {
            let sent = fields(body).expect("law: fields are told only of what can be read");
            let told: BTreeSet<_> = errors.iter().filter_map(|error| error.get("field")?.as_str()).collect();
            assert_eq!(sent.as_object().map(wrong_fields), Some(told), "other fields are told than are wrong");
            assert!(!errors.is_empty() && errors.iter().all(|error| error.get("message").is_some_and(Value::is_string)));
        }
        other => unreachable!("law: a body is refused with one of two codes, not {other:?}"),
    }
}

/// What was sent; where that does not read as a whole, what is left without the fields that are no event's, for nobody reads those.
fn fields(body: &[u8]) -> Option<Value> {
    #[derive(Deserialize)]
    struct Known {
        id: Option<Value>,
        name: Option<Value>,
        body: Option<Value>,
        timestamp: Option<Value>,
    }
    let known = |Known { id, name, body, timestamp }| json!({ "id": id, "name": name, "body": body, "timestamp": timestamp });
    serde_json::from_slice(body).ok().or_else(|| serde_json::from_slice(body).ok().map(known))
}

/// A whole number, however it is written: `12`, `12.0` or `1.2e1`.
fn whole(number: &Number) -> Option<i64> {
    let written_so = || number.as_f64().filter(|number| number.fract() == 0.0)?.to_string().parse().ok();
    number.as_i64().or_else(written_so)
}

/// The fields of an object that are no event's, judged once more in other words.
fn wrong_fields(sent: &Map<String, Value>) -> BTreeSet<&'static str> {
    let text = |field: &str, least: usize, most: usize| {
        sent.get(field).and_then(Value::as_str).is_some_and(|text| (least..=most).contains(&text.chars().count()))
    };
    let printable = sent.get("id").and_then(Value::as_str).is_some_and(|id| !id.chars().any(char::is_control));
    let time = match sent.get("timestamp") {
        Some(Value::String(text)) => Timestamp::parse(text).is_some(),
        Some(Value::Number(millis)) => whole(millis).is_some_and(|millis| MILLIS.contains(&millis)),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => false,
    };
    let judged = [
        ("id", text("id", 1, ID_CHARS_MAX) && printable),
        ("name", text("name", NAME_CHARS_MIN, NAME_CHARS_MAX)),
        ("body", text("body", 1, BODY_CHARS_MAX)),
        ("timestamp", time),
    ];
    judged.into_iter().filter(|(_, good)| !good).map(|(field, _)| field).collect()
}
