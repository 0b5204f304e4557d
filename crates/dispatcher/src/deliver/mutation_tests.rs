//! What is sent, and how odd answers are read.

use std::time::Duration;

use events_proxy_core::Event;
use serde_json::json;

use super::{Body, Error, Mutation};

/// What an answer to the event `e-1` says.
fn read(bytes: &[u8]) -> Body {
    super::read(bytes, "e-1")
}

/// What an answer with this error, and no data, says.
fn only_error(error: serde_json::Value) -> Error {
    let body = read(json!({ "data": null, "errors": [error] }).to_string().as_bytes());
    let Body::Errors { mut errors, with_data: false } = body else { panic!("read as {body:?}") };
    assert_eq!(errors.len(), 1);
    errors.remove(0)
}

#[test]
fn the_mutation_is_the_one_of_the_contract() {
    let event = Event::judge(br#"{"id":"e-1","name":"order","body":"two","timestamp":1767225600000}"#).unwrap();
    let sent: serde_json::Value = serde_json::from_slice(&Mutation::new().body(&event, "acme").unwrap()).unwrap();
    let input = json!({ "id": "e-1", "name": "order", "body": "two", "timestamp": "2026-01-01T00:00:00Z", "brand": "acme" });
    assert_eq!(sent["variables"]["input"], input);
    assert_eq!(sent["operationName"], "ProcessEvent");
    let query: String = sent["query"].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(query, "mutation ProcessEvent($input: ProcessEventInput!) { processEvent(input: $input) { id } }");
}

#[test]
fn data_without_errors_is_data_however_the_absence_of_errors_is_told() {
    for errors in ["", r#","errors":null"#, r#","errors":[]"#, r#","extensions":{"cost":1}"#] {
        assert_eq!(read(format!(r#"{{"data":{{"processEvent":{{"id":"e-1"}}}}{errors}}}"#).as_bytes()), Body::Data, "{errors}");
    }
}

#[test]
fn data_of_another_event_is_told_apart_and_its_id_kept_in_bounds() {
    for other in ["e-2", "", "E-1", " e-1", "e-1\u{200b}"] {
        for errors in [json!(null), json!([]), json!("none")] {
            let answer = json!({ "data": { "processEvent": { "id": other } }, "errors": errors }).to_string();
            assert_eq!(read(answer.as_bytes()), Body::OtherEvent(other.to_owned()), "{answer}");
        }
    }
    let long = json!({ "data": { "processEvent": { "id": "é".repeat(20_000) } } }).to_string();
    assert_eq!(read(long.as_bytes()), Body::OtherEvent("é".repeat(200)));
}

#[test]
fn errors_are_found_whatever_the_data_looks_like() {
    for (data, with_data) in [
        ("null", false),
        (r#"{"processEvent":null}"#, false),
        ("{}", false),
        ("7", false),
        (r#"{"processEvent":{"id":"e-1"}}"#, true),
        (r#"{"processEvent":{"id":"e-2"}}"#, true),
    ] {
        let answer = format!(r#"{{"data":{data},"errors":[{{"message":"no","extensions":{{"code":"THROTTLED","x":1}}}}]}}"#);
        let error = Error { code: Some("THROTTLED".to_owned()), message: "no".to_owned(), ..Error::default() };
        assert_eq!(read(answer.as_bytes()), Body::Errors { errors: vec![error], with_data }, "{data}");
    }
}

#[test]
fn what_is_no_graphql_is_kept_as_it_begins() {
    let bodies: [&[u8]; 11] = [
        b"",
        b"{",
        b"<html>bad gateway</html>",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        br#"{"data":null}"#,
        br#"{"data":{"processEvent":null}}"#,
        br#"[{"processEvent":{"id":"a"}},[]]"#,
        br#" [{"processEvent":{"id":"a"}},null]"#,
    ];
    for body in bodies {
        assert!(matches!(read(body), Body::Other(_)), "{}", String::from_utf8_lossy(body));
    }
    assert_eq!(read("é".repeat(50_000).as_bytes()), Body::Other("é".repeat(200)));
}

#[test]
fn codes_statuses_and_waits_are_found_where_servers_put_them() {
    let code = |extensions| only_error(json!({ "message": "no", "extensions": extensions })).code;
    assert_eq!(code(json!({ "code": "rate-limited" })).as_deref(), Some("RATE_LIMITED"));
    assert_eq!(code(json!({ "errorType": "UNAVAILABLE" })).as_deref(), Some("UNAVAILABLE"));
    assert_eq!(code(json!({ "classification": "Too Many Requests" })).as_deref(), Some("TOO_MANY_REQUESTS"));
    assert_eq!(code(json!({ "code": 429 })), None);
    let status = |extensions| only_error(json!({ "message": "no", "extensions": extensions })).status;
    assert_eq!(status(json!({ "code": 429 })), Some(429));
    assert_eq!(status(json!({ "code": "X", "http": { "status": 503 } })), Some(503));
    assert_eq!(status(json!({ "statusCode": "503" })), Some(503));
    let wait = only_error(json!({ "message": "no", "extensions": { "code": "THROTTLED", "retryAfter": 1.5 } })).retry_after;
    assert_eq!(wait, Some(Duration::from_millis(1_500)));
}

#[test]
fn an_error_in_an_odd_shape_is_an_error_all_the_same() {
    assert_eq!(only_error(json!("no")).message, "no");
    assert_eq!(only_error(json!({})).message, "an error without a message");
    assert_eq!(only_error(json!({ "message": "no", "extensions": 7 })), Error { message: "no".to_owned(), ..Error::default() });
}
