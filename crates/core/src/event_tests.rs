//! What counts as an event, as tables and properties.

use proptest::prelude::*;

use super::{BODY_CHARS_MAX, Event, FieldError, Invalid, Timestamp};
use crate::identity::ID_CHARS_MAX;

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
fn a_time_that_leaves_the_years_0_to_9999_in_utc_is_a_wrong_field() {
    for (time, good) in [
        ("0000-01-01T00:00:00Z", true),
        ("0000-01-01T00:00:00-01:00", true),
        ("0000-01-01T00:59:59.999999999+01:00", false),
        ("0000-01-01T01:00:00+01:00", true),
        ("9999-12-31T23:59:59.999999999Z", true),
        ("9999-12-31T23:00:00-01:00", false),
    ] {
        let sent = body("\"i\"", "\"nn\"", "\"b\"", &format!("\"{time}\""));
        match good {
            true => assert!(Event::judge(&sent).is_ok(), "{time}"),
            false => assert_eq!(wrong_fields(&sent), ["timestamp"], "{time}"),
        }
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
fn a_mistake_is_told_in_words_that_help_to_mend_it() {
    let told = |bytes: &[u8]| Event::judge(bytes).unwrap_err().to_string();
    assert_eq!(
        told(br#"{"name":7,"body":"","timestamp":"yesterday"}"#),
        "`id` is missing, `name` must be a string, `timestamp` must be an RFC 3339 date and time, or epoch milliseconds, \
         `body` length is lower than 1"
    );
    assert!(told(br#"{"id":"a","name":"nn","body":"b"}"#).starts_with("`timestamp` is missing"));
    assert!(told(&body("\"a\\u0007\"", "\"nn\"", "\"b\"", "1")).starts_with("`id` must hold printable characters only"));
    let wrong = serde_json::from_str::<Timestamp>("true").unwrap_err().to_string();
    assert!(wrong.contains("expected an RFC 3339 date and time, or epoch milliseconds"), "{wrong}");
}

#[test]
fn what_is_no_object_says_so() {
    for bytes in [
        &b""[..],
        b"[1]",
        br#" ["a","nn","b",1]"#,
        b"{",
        b"null",
        b"\xff\xfe",
        br#"{"id":"a","id":"b","name":"nn","body":"b","timestamp":1}"#,
    ] {
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
    let told = format!("{event:?}");
    assert!(told.contains("\"i\"") && !told.contains("s3cret"), "{told}");
}

proptest! {
    #[test]
    fn judging_never_fails_to_answer(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        drop(Event::judge(&bytes));
    }

    #[test]
    fn whatever_time_is_read_can_be_written(
        year in prop_oneof![Just(0), Just(9_999), 0..=9_999],
        (month, day) in prop_oneof![Just((1, 1)), Just((12, 31)), (1..=12, 1..=28)],
        (hour, minute, second) in (0..24, 0..60, 0..60),
        offset in (prop_oneof![Just('+'), Just('-')], 0..24, 0..60),
    ) {
        let (sign, hours, minutes) = offset;
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{sign}{hours:02}:{minutes:02}");
        if let Some(timestamp) = Timestamp::parse(&text) {
            let written = serde_json::to_string(&timestamp).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timestamp>(&written).unwrap(), timestamp, "{}", text);
        }
    }

    #[test]
    fn a_timestamp_survives_its_own_spelling(millis in -62_167_219_200_000i64..253_402_300_799_999) {
        let timestamp = Timestamp::from_epoch_millis(millis).unwrap();
        prop_assert_eq!(Timestamp::parse(&timestamp.to_string()), Some(timestamp));
    }
}

#[test]
fn a_whole_number_is_a_timestamp_however_it_is_written() {
    let read = |text: &str| serde_json::from_str::<Timestamp>(text).ok();
    assert!(read("1769860800000").is_some());
    for written in ["1769860800000.0", "1.7698608e12", "17698608e5"] {
        assert_eq!(read(written), read("1769860800000"), "{written}");
    }
    for written in ["0.5", "1769860800000.5", "1e300", "-1e18"] {
        assert_eq!(read(written), None, "{written}");
    }
}
