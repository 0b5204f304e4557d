//! Events that are accepted: what the source is told, and what the topic gets.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Answer, Ingest, OTHER_AUTH_ID, counted, event, until};

/// A trace that a source began.
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn an_accepted_event_is_on_the_topic_as_it_was_sent() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let mut sent = event("order-1");
    sent["customer"] = json!("unknown fields are dropped");
    let answer = ingest.send(&token, &sent).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!((&answer.body["id"], &answer.body["status"]), (&json!("order-1"), &json!("accepted")));
    assert_eq!(ingest.stored().await, ["order-1"]);
    let published = ingest.published().await;
    let envelope = published.first().unwrap();
    assert_eq!((envelope.source_id.as_str(), envelope.received_at), ("source-1", ingest.now()));
    assert_eq!(serde_json::to_value(&envelope.event).unwrap(), event("order-1"));
    assert_eq!(answer.body["traceId"], envelope.trace.trace_id());
}

#[tokio::test]
async fn the_trace_of_the_source_goes_on_and_a_forged_one_is_replaced() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let forged = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
    for (id, parent) in [("first", PARENT), ("second", forged)] {
        let request = ingest.request(Method::POST, "/api/events").bearer_auth(&token).header("traceparent", parent);
        let answer = Answer::of(request.json(&event(id))).await;
        assert_eq!(answer.status, 202);
        let trace = answer.body["traceId"].as_str().unwrap();
        assert_eq!((trace.len(), trace == "0".repeat(32)), (32, false), "{trace}");
    }
}

#[tokio::test]
async fn a_trace_of_somebody_else_is_continued_and_of_two_the_first_counts() {
    let ingest = Ingest::start(&[]).await;
    let other = ingest.session(OTHER_AUTH_ID).await;
    let second = PARENT.replace("4bf92f", "abcdef");
    for token in [ingest.token().await, other["accessToken"].as_str().unwrap().to_owned()] {
        let request = ingest.request(Method::POST, "/api/events").bearer_auth(&token).header("traceparent", PARENT);
        let answer = Answer::of(request.header("traceparent", &second).json(&event("traced"))).await;
        assert_eq!((answer.status.as_u16(), answer.body["traceId"].as_str()), (202, Some("4bf92f3577b34da6a3ce929d0e0e4736")));
    }
    ingest.stored().await;
    let sources: Vec<String> = ingest.published().await.iter().map(|envelope| envelope.source_id.as_str().to_owned()).collect();
    assert_eq!(sources, ["source-1", "source-2"], "a trace is an identity");
}

#[tokio::test]
async fn both_spellings_of_a_timestamp_are_taken() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    for (id, timestamp) in [("text", json!("2026-01-31T13:00:00+01:00")), ("number", json!(1_769_860_800_000_i64))] {
        let mut sent = event(id);
        sent["timestamp"] = timestamp;
        assert_eq!(ingest.send(&token, &sent).await.status, 202, "{id}");
    }
    ingest.stored().await;
    let written: Vec<String> = ingest.published().await.iter().map(|envelope| envelope.event.timestamp.to_string()).collect();
    assert_eq!(written, ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"]);
}

#[tokio::test]
async fn the_longest_fields_are_taken() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let long = json!({ "id": "ü".repeat(128), "name": "n".repeat(1_000), "body": "🍏".repeat(10_000), "timestamp": 0 });
    let answer = ingest.send(&token, &long).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
}

#[tokio::test]
async fn the_same_id_again_is_accepted_again() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    for _ in 0..2 {
        assert_eq!(ingest.send(&token, &event("twice")).await.status, 202);
    }
}

#[tokio::test]
async fn events_are_accepted_while_the_broker_is_away_and_published_when_it_is_back() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    ingest.broker.away(true);
    for id in ["a", "b", "c"] {
        assert_eq!(ingest.send(&token, &event(id)).await.status, 202);
    }
    assert_eq!(ingest.running.numbers().spooled, 3);
    ingest.broker.away(false);
    assert_eq!(ingest.stored().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_stop_drains_the_spool_and_says_what_stays() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    assert_eq!(ingest.send(&token, &event("drained")).await.status, 202);
    let topic = ingest.topic.clone();
    assert_eq!(ingest.stop().await, 0);
    assert_eq!(broker::Subscriber::bounds(&topic, 0).await.unwrap().end, 1);

    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    ingest.broker.away(true);
    assert_eq!(ingest.send(&token, &event("kept")).await.status, 202);
    assert_eq!(ingest.stop().await, 1);
}

#[tokio::test]
async fn a_kept_connection_is_let_go_by_its_next_answer_and_nobody_is_turned_away() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let ask = async |id: &str| ingest.request(Method::POST, "/api/events").bearer_auth(&token).json(&event(id)).send().await.unwrap();
    assert!(ask("kept").await.headers().get("connection").is_none());
    let (began, running) = (Instant::now(), ingest.running.clone());
    let asking = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let last = ask("last").await;
        (last.status().as_u16(), last.headers().get("connection").cloned())
    };
    let ((status, connection), parted) = tokio::join!(asking, async {
        running.part(Duration::from_secs(60)).await;
        began.elapsed()
    });
    assert_eq!((status, connection.unwrap().as_bytes()), (202, b"close".as_slice()));
    assert!((Duration::from_millis(100)..Duration::from_millis(1_500)).contains(&parted), "it ended {parted:?} after its beginning");
    assert_eq!(ask("a new connection").await.status(), 202);
}

#[tokio::test]
async fn what_is_counted_is_what_happened() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    assert_eq!(ingest.send(&token, &event("counted")).await.status, 202);
    ingest.send(&token, &json!({})).await.is_problem(400, "invalid_fields");
    until("the event is published", async || ingest.running.numbers().published == 1).await;
    let numbers = ingest.running.numbers();
    assert_eq!((numbers.accepted, numbers.refused), (1, 1));
    for line in ["events_accepted_total{path=\"spool\"} 1", "events_refused_total{reason=\"invalid_fields\"} 1"] {
        counted(&ingest, line);
    }
}
