//! Whatever is wrong with a request has its own stable code, and stores nothing.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::raw::{answer, head};
use crate::support::{Answer, Ingest, event};

/// Sends bytes as they are, with these headers.
async fn raw(ingest: &Ingest, token: &str, kind: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = ingest.request(Method::POST, "/api/events").bearer_auth(token).header("content-type", kind);
    Answer::of(request.body(body)).await
}

/// The names of the fields that an answer calls wrong.
fn wrong_fields(answer: &Answer) -> Vec<&str> {
    let mut fields: Vec<&str> = answer.body["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    fields
}

#[tokio::test]
async fn every_wrong_field_is_told_at_once() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let wrong = json!({ "id": "", "name": "x", "body": "", "timestamp": "yesterday" });
    let answer = ingest.send(&token, &wrong).await;
    answer.is_problem(400, "invalid_fields");
    assert_eq!(wrong_fields(&answer), ["body", "id", "name", "timestamp"]);
    let answer = ingest.send(&token, &json!({})).await;
    assert_eq!(wrong_fields(&answer), ["body", "id", "name", "timestamp"]);
    assert!(ingest.stored().await.is_empty());
}

#[tokio::test]
async fn each_bound_of_a_field_is_kept() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    for (field, value) in [
        ("id", json!("x".repeat(129))),
        ("id", json!("line\nbreak")),
        ("id", json!("nul\u{0}")),
        ("id", json!(7)),
        ("name", json!("x".repeat(1_001))),
        ("name", Value::Null),
        ("body", json!("x".repeat(10_001))),
        ("body", json!({ "nested": true })),
        ("timestamp", json!("2026-02-30T00:00:00Z")),
        ("timestamp", json!("0000-01-01T00:00:00+01:00")),
        ("timestamp", json!(1e300)),
        ("timestamp", json!(true)),
    ] {
        let mut sent = event("judged");
        sent[field] = value;
        let answer = ingest.send(&token, &sent).await;
        answer.is_problem(400, "invalid_fields");
        assert_eq!(wrong_fields(&answer), [field]);
    }
    assert!(ingest.stored().await.is_empty());
}

#[tokio::test]
async fn what_is_no_json_object_is_malformed() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let deep = "[".repeat(100_000);
    let twice = r#"{"id":"a","id":"b","name":"ok","body":"x","timestamp":0}"#;
    for body in ["", "{", "[]", "null", "\"text\"", "{\"id\":}", twice, deep.as_str()] {
        raw(&ingest, &token, "application/json", body.to_owned()).await.is_problem(400, "malformed_body");
    }
    raw(&ingest, &token, "application/json", vec![b'"', 0xff, 0xfe, b'"']).await.is_problem(400, "malformed_body");
    assert!(ingest.stored().await.is_empty());
}

#[tokio::test]
async fn a_body_must_be_declared_as_json() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let body = event("typed").to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "nonsense"] {
        raw(&ingest, &token, kind, body.clone()).await.is_problem(415, "unsupported_media_type");
    }
    for kind in ["application/json; charset=utf-8", "application/cloudevents+json"] {
        assert_eq!(raw(&ingest, &token, kind, body.clone()).await.status, 202, "{kind}");
    }
}

#[tokio::test]
async fn a_body_over_the_bound_is_refused_declared_or_not() {
    let ingest = Ingest::start(&[("ACCEPT_BODY_BYTES_MAX", "2048")]).await;
    let token = ingest.token().await;
    raw(&ingest, &token, "application/json", "x".repeat(2_049)).await.is_problem(413, "body_too_large");
    let head = head(&token, "Transfer-Encoding: chunked\r\n");
    let answer = answer(&ingest, format!("{head}1000\r\n{}\r\n0\r\n\r\n", "x".repeat(4_096))).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(ingest.stored().await.is_empty());
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_within_the_deadline() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let began = tokio::time::Instant::now();
    let answer = answer(&ingest, head(&token, "Content-Length: 100\r\n") + "{").await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"), "{answer}");
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn who_has_no_good_token_is_told_so() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let none = Answer::of(ingest.request(Method::POST, "/api/events").json(&event("x"))).await;
    none.is_problem(401, "access_token_missing");
    assert_eq!(none.header("www-authenticate"), "Bearer");
    for scheme in ["Basic dXNlcjpwYXNz", "Bearer", token.as_str()] {
        let request = ingest.request(Method::POST, "/api/events").header("authorization", scheme).json(&event("x"));
        Answer::of(request).await.is_problem(401, "access_token_missing");
    }
    let (rest, _) = token.rsplit_once('.').unwrap();
    for forged in [format!("{rest}.AAAA"), "x".repeat(5_000), format!("eyJhbGciOiJub25lIn0.{}.", rest.split('.').nth(1).unwrap())] {
        ingest.send(&forged, &event("x")).await.is_problem(401, "access_token_invalid");
    }
    assert!(ingest.stored().await.is_empty());
}

#[tokio::test]
async fn a_source_over_its_quota_is_told_when_to_come_back() {
    let ingest = Ingest::start(&[("RATE_LIMIT_REQUESTS_PER_INTERVAL", "2"), ("RATE_LIMIT_INTERVAL_MS", "60000")]).await;
    let token = ingest.token().await;
    let first = ingest.send(&token, &event("1")).await;
    assert_eq!((first.header("ratelimit-limit"), first.header("ratelimit-remaining")), ("2", "1"));
    assert_eq!(ingest.send(&token, &event("2")).await.status, 202);
    let refused = ingest.send(&token, &event("3")).await;
    refused.is_problem(429, "rate_limited");
    assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    let other = ingest.session(crate::support::OTHER_AUTH_ID).await;
    assert_eq!(ingest.send(other["accessToken"].as_str().unwrap(), &event("1")).await.status, 202, "another source pays for it");
}
