//! What counts as an event, as tables and properties.

use proptest::prelude::*;

use super::{BODY_CHARS_MAX, Event, FieldError, ID_CHARS_MAX, Invalid, Timestamp};

/// A body with the given raw JSON values.
fn body(id: &str, name: &str, text: &str, timestamp: &str) -> Vec<u8> {
    format!(r#"{{"id":{id},"name":{name},"body":{text},"timestamp":{timestamp}}}"#).into_bytes()
}

/// The fields a judgement complains of, sorted.
fn wrong_fields(bytes: &[u8]) -> Vec<String> {
    let Err(Invalid::Fields(errors)) = Event::judge(bytes) else { panic!("expected field errors") };
    let mut fields: Vec<String> = errors.into_iter().map(|FieldError { field, .. }| field).collect();
    fields.sort();
    fields
}

#[test]
fn a_well_formed_event_passes_and_unknown_fields_are_dropped() {
    let event = Event::judge(br#"{"id":"a-1","name":"paid","body":"x","timestamp":"2024-05-01T10:00:00+02:00","extra":{"a":1}}"#).unwrap();
    assert_eq!(event.id.as_str(), "a-1");
    assert_eq!(event.timestamp.to_string(), "2024-05-01T08:00:00Z");
}

#[test]
fn both_spellings_of_a_timestamp_mean_the_same() {
    for spelling in ["\"2023-11-14T22:13:20.123Z\"", "1700000000123", "\"1700000000123\""] {
        let event = Event::judge(&body("\"i\"", "\"nn\"", "\"b\"", spelling)).unwrap();
        assert_eq!(event.timestamp.to_string(), "2023-11-14T22:13:20.123Z", "{spelling}");
    }
}

#[test]
fn every_mistake_is_listed_at_once() {
    assert_eq!(wrong_fields(b"{}"), ["body", "id", "name", "timestamp"]);
    assert_eq!(wrong_fields(&body("7", "\"x\"", "\"\"", "\"yesterday\"")), ["body", "id", "name", "timestamp"]);
    assert_eq!(wrong_fields(&body("\"\\u0007\"", "\"nn\"", "\"b\"", "true")), ["id", "timestamp"]);
    assert_eq!(wrong_fields(&body("\"i\"", "\"nn\"", "\"b\"", "9223372036854775807")), ["timestamp"]);
}

#[test]
fn what_is_no_object_says_so() {
    for bytes in [&b""[..], b"[1]", b"{", b"null", b"\xff\xfe", br#"{"id":"a","id":"b","name":"nn","body":"b","timestamp":1}"#] {
        assert!(matches!(Event::judge(bytes), Err(Invalid::NotAnObject(_))), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn bounds_count_characters_not_bytes() {
    let id = format!("\"{}\"", "ä".repeat(ID_CHARS_MAX));
    let text = format!("\"{}\"", "語".repeat(BODY_CHARS_MAX));
    assert!(Event::judge(&body(&id, "\"nn\"", &text, "1")).is_ok());
    let text = format!("\"{}\"", "語".repeat(BODY_CHARS_MAX + 1));
    assert_eq!(wrong_fields(&body(&id, "\"nn\"", &text, "1")), ["body"]);
}

#[test]
fn the_body_never_reaches_a_log_by_debug() {
    let event = Event::judge(&body("\"i\"", "\"nn\"", "\"s3cret\"", "1")).unwrap();
    assert!(!format!("{event:?}").contains("s3cret"));
}

proptest! {
    #[test]
    fn judging_never_fails_to_answer(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        drop(Event::judge(&bytes));
    }

    #[test]
    fn a_timestamp_survives_its_own_spelling(millis in -62_167_219_200_000i64..253_402_300_799_999) {
        let timestamp = Timestamp::from_epoch_millis(millis).unwrap();
        prop_assert_eq!(Timestamp::parse(&timestamp.to_string()), Some(timestamp));
    }
}
