//! Where is an event: a source sees its own, and nobody else's.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, Ingest, OTHER_AUTH_ID, event, until};

/// Asks for a path with a token.
async fn get(ingest: &Ingest, token: &str, path: &str) -> Answer {
    Answer::of(ingest.request(Method::GET, path).bearer_auth(token)).await
}

/// Sends events and waits until the journal knows all of them.
async fn sent(ids: &[&str]) -> (Ingest, String) {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    for id in ids {
        assert_eq!(ingest.send(&token, &event(id)).await.status, 202);
        ingest.clock.advance(Duration::from_secs(1));
    }
    let last = format!("/api/events/{}", ids.last().unwrap());
    until("the journal knows the events", async || get(&ingest, &token, &last).await.status == 200).await;
    (ingest, token)
}

#[tokio::test]
async fn a_published_event_is_told_with_its_stages() {
    let (ingest, token) = sent(&["known"]).await;
    let answer = get(&ingest, &token, "/api/events/known").await;
    assert_eq!(answer.body["state"], "published", "{}", answer.body);
    assert!(answer.body["stages"]["receive"].is_string() && answer.body["stages"]["publish"].is_string());
    assert_eq!(answer.body["stages"]["settle"], Value::Null);
}

#[tokio::test]
async fn an_event_that_went_straight_to_the_topic_is_found_too() {
    let ingest = Ingest::start(&[("ACCEPT_DURABILITY", "broker"), ("QUEUE_TYPE", "Kafka")]).await;
    let token = ingest.token().await;
    assert_eq!(ingest.send(&token, &event("straight")).await.status, 202);
    let found = async || get(&ingest, &token, "/api/events/straight").await;
    until("the journal knows the event", async || found().await.status == 200).await;
    let answer = found().await;
    assert_eq!(answer.body["state"], "published", "{}", answer.body);
    assert!(answer.body["stages"]["publish"].is_string(), "{}", answer.body);
}

#[tokio::test]
async fn another_source_sees_nothing_of_it() {
    let (ingest, _) = sent(&["mine"]).await;
    let other = ingest.session(OTHER_AUTH_ID).await;
    let other = other["accessToken"].as_str().unwrap();
    get(&ingest, other, "/api/events/mine").await.is_problem(404, "event_not_found");
    let page = get(&ingest, other, "/api/events").await;
    assert!(page.body["items"].as_array().unwrap().is_empty());
    Answer::of(ingest.request(Method::GET, "/api/events/mine")).await.is_problem(401, "access_token_missing");
}

#[tokio::test]
async fn pages_come_newest_first_and_follow_their_cursor() {
    let (ingest, token) = sent(&["a", "b", "c"]).await;
    until("all three are known", async || get(&ingest, &token, "/api/events").await.body["items"].as_array().unwrap().len() == 3).await;
    let mut path = "/api/events?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = get(&ingest, &token, &path).await.body;
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["cursor"].as_str() else { break };
        path = format!("/api/events?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["c", "b", "a"]);
    let named = get(&ingest, &token, "/api/events?name=unheard+of").await;
    assert!(named.status == 200 && named.body["items"].as_array().unwrap().is_empty(), "{}", named.body);
}

#[tokio::test]
async fn wrong_parameters_are_told_all_at_once() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let answer = get(&ingest, &token, "/api/events?state=lost&reason=bad+luck&from=noon&limit=0&cursor=x&color=red").await;
    answer.is_problem(400, "invalid_fields");
    assert_eq!(answer.body["errors"].as_array().unwrap().len(), 6, "{}", answer.body);
}

#[tokio::test]
async fn a_look_up_that_misses_says_how_far_behind_the_journal_is() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    ingest.broker.away(true);
    assert_eq!(ingest.send(&token, &event("waiting")).await.status, 202);
    let answer = get(&ingest, &token, "/api/events/waiting").await;
    answer.is_problem(404, "event_not_found");
    assert!(answer.body["detail"].as_str().unwrap().contains("1 accepted events"), "{}", answer.body);
}

#[tokio::test]
async fn of_a_parameter_that_comes_twice_the_last_counts() {
    let (ingest, token) = sent(&["a", "b"]).await;
    for (query, events) in [("limit=1&limit=2", 2), ("limit=2&limit=1", 1)] {
        let page = get(&ingest, &token, &format!("/api/events?{query}")).await;
        assert_eq!(page.body["items"].as_array().unwrap().len(), events, "{query}: {}", page.body);
    }
}

#[tokio::test]
async fn a_made_up_cursor_leads_to_ones_own_events_alone() {
    let (ingest, token) = sent(&["mine"]).await;
    let other = ingest.session(OTHER_AUTH_ID).await;
    for (token, events) in [(token.as_str(), 1), (other["accessToken"].as_str().unwrap(), 0)] {
        let page = get(&ingest, token, "/api/events?cursor=9000000000000000.made-up").await;
        assert_eq!((page.status.as_u16(), page.body["items"].as_array().unwrap().len()), (200, events), "{}", page.body);
    }
    let page = get(&ingest, &token, "/api/events?cursor=-1.mine").await;
    assert!(page.status == 200 && page.body["items"].as_array().unwrap().is_empty(), "{}", page.body);
}

#[tokio::test]
async fn a_path_that_is_no_text_names_no_event() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    for path in ["/api/events/%ff%fe", "/api/events/%00", "/api/events/a%00b", "/api/events/%c3%28", "/api/events/%zz"] {
        get(&ingest, &token, path).await.is_problem(404, "event_not_found");
    }
}

#[tokio::test]
async fn look_ups_have_a_quota_of_their_own() {
    let ingest = Ingest::start(&[("LOOK_UP_RATE_LIMIT_REQUESTS_PER_INTERVAL", "2"), ("LOOK_UP_RATE_LIMIT_INTERVAL_MS", "60000")]).await;
    let token = ingest.token().await;
    let first = get(&ingest, &token, "/api/events").await;
    assert_eq!((first.status.as_u16(), first.header("ratelimit-limit"), first.header("ratelimit-remaining")), (200, "2", "1"));
    get(&ingest, &token, "/api/events/unknown").await.is_problem(404, "event_not_found");
    for path in ["/api/events", "/api/events/unknown"] {
        let refused = get(&ingest, &token, path).await;
        refused.is_problem(429, "rate_limited");
        assert_eq!((refused.header("ratelimit-limit"), refused.header("ratelimit-remaining")), ("2", "0"));
        assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    }
    assert_eq!(ingest.send(&token, &event("sent")).await.status, 202, "events have another quota");
    let other = ingest.session(OTHER_AUTH_ID).await;
    assert_eq!(get(&ingest, other["accessToken"].as_str().unwrap(), "/api/events").await.status, 200, "another source pays for it");
}
