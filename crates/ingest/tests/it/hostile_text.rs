//! Bodies and ids that are meant to be read as something else: what is taken is kept as it is, and stays its source's own.

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Ingest, OTHER_AUTH_ID, event, until};

/// Sends text as the body of an event.
async fn sent(ingest: &Ingest, token: &str, body: String) -> Answer {
    let request = ingest.request(Method::POST, "/api/events").bearer_auth(token).header("content-type", "application/json");
    Answer::of(request.body(body)).await
}

/// An id as one part of a path.
fn in_path(id: &str) -> String {
    id.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn nothing_stands_around_the_object_and_all_of_its_text_is_whole() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let good = event("good").to_string();
    let half = good.replace("two apples", "\\ud83c");
    for body in [format!("{good}x"), format!("{good}{good}"), format!("{good},"), format!("\u{feff}{good}"), half] {
        sent(&ingest, &token, body).await.is_problem(400, "malformed_body");
    }
    assert!(ingest.stored().await.is_empty());
}

#[tokio::test]
async fn a_field_that_no_event_has_is_dropped_however_deep_and_large_it_is() {
    let ingest = Ingest::start(&[("ACCEPT_TIMEOUT_MS", "5000")]).await;
    let token = ingest.token().await;
    let depth = 50_000;
    for (id, extra) in [
        ("deep", format!("{}{}", "[".repeat(depth), "]".repeat(depth))),
        ("long", "9".repeat(100_000)),
        ("huge", "-1e999999".to_owned()),
        ("twice", r#"{"a":1,"a":2},"extra":3"#.to_owned()),
    ] {
        let body = event(id).to_string().replacen('{', &format!("{{\"extra\":{extra},"), 1);
        let answer = sent(&ingest, &token, body).await;
        assert_eq!(answer.status, 202, "{id}: {}", answer.body);
    }
    assert_eq!(ingest.stored().await.len(), 4);
}

#[tokio::test]
async fn a_number_beyond_all_times_is_no_timestamp() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    for number in ["1e999999", "-1e400", "99999999999999999999", "253402300800000", "-62167219200001", "0.5"] {
        let body = event("late").to_string().replace("\"2026-01-31T12:00:00Z\"", number);
        assert_eq!(sent(&ingest, &token, body).await.status, 400, "{number}");
    }
    assert!(ingest.stored().await.is_empty());
}

#[tokio::test]
async fn an_id_that_looks_like_another_one_is_another_one() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    // Plain, with a zero-width space, with a Cyrillic о, with a combining mark, and with a fullwidth letter.
    let ids = ["order", "order\u{200b}", "\u{43e}rder", "o\u{308}rder", "\u{ff4f}rder"];
    for id in ids {
        assert_eq!(ingest.send(&token, &event(id)).await.status, 202, "{id}");
    }
    assert_eq!(ingest.stored().await, ids);
}

#[tokio::test]
async fn two_sources_with_one_id_have_an_event_each() {
    let ingest = Ingest::start(&[]).await;
    let other = ingest.session(OTHER_AUTH_ID).await;
    let tokens = [ingest.token().await, other["accessToken"].as_str().unwrap().to_owned()];
    for (token, name) in tokens.iter().zip(["of the first", "of the second"]) {
        let mut sent = event("shared");
        sent["name"] = json!(name);
        assert_eq!(ingest.send(token, &sent).await.status, 202);
    }
    for (token, name) in tokens.iter().zip(["of the first", "of the second"]) {
        let known = async || Answer::of(ingest.request(Method::GET, "/api/events/shared").bearer_auth(token)).await.body["name"] == name;
        until("the journal knows it", known).await;
    }
    assert_eq!(ingest.stored().await, ["shared", "shared"]);
}

#[tokio::test]
async fn text_that_is_sql_is_a_value() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let hostile = "'; DROP TABLE journal; DELETE FROM account; -- \" ` ) OR 1=1";
    let sent = json!({ "id": hostile, "name": hostile, "body": hostile, "timestamp": 0 });
    assert_eq!(ingest.send(&token, &sent).await.status, 202);
    assert_eq!(ingest.send(&token, &event("beside")).await.status, 202);
    let path = format!("/api/events/{}", in_path(hostile));
    let find = async |path: &str| Answer::of(ingest.request(Method::GET, path).bearer_auth(&token)).await;
    until("the journal knows it", async || find(&path).await.body["id"] == hostile).await;
    let page = find(&format!("/api/events?name={}", in_path(hostile))).await;
    let ids: Vec<&str> = page.body["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [hostile], "{}", page.body);
    let guess = json!({ "authId": "shop' OR '1'='1", "secret": hostile });
    ingest.post("/api/user-sessions", &guess).await.is_problem(401, "wrong_credentials");
    ingest.token().await;
}
