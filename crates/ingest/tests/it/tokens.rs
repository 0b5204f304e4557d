//! Whose token counts: one that is ours, for this API, in the first `Authorization` header.

use std::net::TcpListener;
use std::time::Duration;

use auth::operator::Operators;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;

use crate::support::{AUTH_ID, Answer, Ingest, KEY, event};

#[tokio::test]
async fn an_operators_token_is_none_of_a_source() {
    let ingest = Ingest::start(&[("AUTH_ACCESS_TOKEN_SECRET", KEY)]).await;
    ingest.send(&ingest.forged(KEY, Operators::AUDIENCE), &event("ordered")).await.is_problem(401, "access_token_invalid");
    assert_eq!(ingest.send(&ingest.forged(KEY, "events-proxy"), &event("sent")).await.status, 202, "the test makes no good tokens");
    assert_eq!(ingest.stored().await, ["sent"]);
}

#[tokio::test]
async fn a_token_of_bytes_that_are_no_text_is_none() {
    let ingest = Ingest::start(&[]).await;
    for bytes in [b"Bearer \xff\xfe".as_slice(), "Bearer é".as_bytes()] {
        let header = HeaderValue::from_bytes(bytes).unwrap();
        let request = ingest.request(Method::POST, "/api/events").header("authorization", header).json(&event("x"));
        Answer::of(request).await.is_problem(401, "access_token_missing");
    }
    assert!(ingest.stored().await.is_empty());
}

#[tokio::test]
async fn of_two_authorization_headers_the_first_counts() {
    let ingest = Ingest::start(&[]).await;
    let good = format!("Bearer {}", ingest.token().await);
    for (first, second, status) in [(good.as_str(), "Bearer bad", 202), ("Bearer bad", good.as_str(), 401)] {
        let request = ingest.request(Method::POST, "/api/events").header("authorization", first).header("authorization", second);
        assert_eq!(Answer::of(request.json(&event("one"))).await.status, status, "{first}, {second}");
    }
    assert_eq!(ingest.stored().await, ["one"]);
}

#[tokio::test]
async fn a_session_is_ended_by_its_own_good_token_alone() {
    let ingest = Ingest::start(&[("AUTH_REFRESH_TOKEN_EXPIRES_IN_SEC", "600")]).await;
    let session = ingest.session(AUTH_ID).await;
    let end = async |token: Option<&str>| {
        let request = ingest.request(Method::DELETE, "/api/user-sessions/current");
        Answer::of(if let Some(token) = token { request.bearer_auth(token) } else { request }).await
    };
    end(None).await.is_problem(401, "access_token_missing");
    end(Some("made-up")).await.is_problem(401, "access_token_invalid");
    ingest.clock.advance(Duration::from_secs(66));
    end(session["accessToken"].as_str()).await.is_problem(401, "access_token_expired");
    let refreshed = ingest.post("/api/user-sessions/refresh", &json!({ "refreshToken": session["refreshToken"] })).await;
    assert_eq!(refreshed.status, 200, "the session is over: {}", refreshed.body);
}

#[tokio::test]
async fn an_ended_session_ends_its_access_token_too_where_that_is_looked_at() {
    for (every, status) in [("1", 401), ("0", 202)] {
        let ingest = Ingest::start(&[("AUTH_SESSION_CHECK_INTERVAL_SEC", every)]).await;
        let (token, other) = (ingest.token().await, ingest.token().await);
        assert_eq!(ingest.send(&token, &event("before")).await.status, 202);
        let ended = Answer::of(ingest.request(Method::DELETE, "/api/user-sessions/current").bearer_auth(&token)).await;
        assert_eq!(ended.status, 204, "{}", ended.body);
        tokio::time::sleep(Duration::from_secs(3)).await;
        let answer = ingest.send(&token, &event("after")).await;
        assert_eq!(answer.status, status, "{every}: {}", answer.body);
        if status == 401 {
            answer.is_problem(401, "access_token_invalid");
        }
        assert_eq!(ingest.send(&other, &event("of another session")).await.status, 202);
    }
}

#[tokio::test]
async fn while_the_storage_is_away_a_token_that_has_expired_still_sends_events_and_nothing_else() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = || format!("postgres://nobody@127.0.0.1:{}/none?sslmode=disable", silent.local_addr().unwrap().port());
    let minute = [("AUTH_ACCESS_TOKEN_SECRET", KEY), ("AUTH_ACCESS_TOKEN_OUTAGE_GRACE_SEC", "60")];
    let never = [("AUTH_ACCESS_TOKEN_SECRET", KEY), ("AUTH_ACCESS_TOKEN_OUTAGE_GRACE_SEC", "0")];
    let (ingest, strict) = (Ingest::with_storage(away(), &minute).await, Ingest::with_storage(away(), &never).await);
    let there = Ingest::start(&minute).await;
    let token = ingest.forged(KEY, "events-proxy");
    for ingest in [&ingest, &strict, &there] {
        ingest.clock.advance(Duration::from_secs(66));
    }
    let known = tokio::time::Instant::now();
    while ingest.send(&token, &event("kept")).await.status != 202 {
        assert!(known.elapsed() < Duration::from_secs(20), "events are refused for as long as the storage is away");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Answer::of(ingest.request(Method::GET, "/api/events").bearer_auth(&token)).await.is_problem(401, "access_token_expired");
    let other = ingest.forged(&KEY.replace('k', "x").to_uppercase(), "events-proxy");
    ingest.clock.advance(Duration::from_secs(58));
    assert_eq!(ingest.send(&token, &event("kept too")).await.status, 202);
    ingest.send(&other, &event("forged")).await.is_problem(401, "access_token_invalid");
    ingest.clock.advance(Duration::from_secs(1));
    ingest.send(&token, &event("too late")).await.is_problem(401, "access_token_expired");
    for ingest in [&strict, &there] {
        ingest.send(&token, &event("refused")).await.is_problem(401, "access_token_expired");
    }
}
