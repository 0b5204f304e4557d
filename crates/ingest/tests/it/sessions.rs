//! Log in, refresh, end.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{AUTH_ID, Answer, Ingest, SECRET, counted, event};

/// Refreshes with a token.
async fn refresh(ingest: &Ingest, session: &Value) -> Answer {
    ingest.post("/api/user-sessions/refresh", &json!({ "refreshToken": session["refreshToken"] })).await
}

#[tokio::test]
async fn a_log_in_opens_a_session_that_no_cache_keeps() {
    let ingest = Ingest::start(&[]).await;
    let answer = ingest.post("/api/user-sessions", &json!({ "authId": AUTH_ID, "secret": SECRET })).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (201, "no-store"));
    let mut fields: Vec<&str> = answer.body.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    let expected = ["accessToken", "accessTokenExpireDateTime", "id", "refreshToken", "refreshTokenExpireDateTime", "startDateTime"];
    assert_eq!(fields, expected);
}

#[tokio::test]
async fn an_unknown_account_and_a_wrong_secret_are_told_alike() {
    let ingest = Ingest::start(&[]).await;
    let unknown = ingest.post("/api/user-sessions", &json!({ "authId": "nobody", "secret": SECRET })).await;
    let wrong = ingest.post("/api/user-sessions", &json!({ "authId": AUTH_ID, "secret": "another" })).await;
    unknown.is_problem(401, "wrong_credentials");
    assert_eq!(unknown.body, wrong.body);
}

#[tokio::test]
async fn the_stored_hash_is_no_password() {
    let ingest = Ingest::start(&[]).await;
    let answer = ingest.post("/api/user-sessions", &json!({ "authId": AUTH_ID, "secret": ingest.secret_hash })).await;
    answer.is_problem(401, "wrong_credentials");
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_and_the_old_ones_end_the_session() {
    let ingest = Ingest::start(&[]).await;
    let first = ingest.session(AUTH_ID).await;
    let second = refresh(&ingest, &first).await;
    assert_eq!(second.status, 200, "{}", second.body);
    assert_eq!(second.body["id"], first["id"]);
    assert_ne!(second.body["refreshToken"], first["refreshToken"]);
    refresh(&ingest, &first).await.is_problem(401, "refresh_token_reused");
    let after = refresh(&ingest, &second.body).await;
    assert_eq!(after.status, 401, "the family of a reused token goes on: {}", after.body);
}

#[tokio::test]
async fn a_refresh_token_is_good_for_its_time_and_its_address_only() {
    let ingest = Ingest::start(&[("CLIENT_IP_TRUSTED_PROXIES", "127.0.0.1")]).await;
    let session = ingest.session(AUTH_ID).await;
    let body = json!({ "refreshToken": session["refreshToken"] });
    let elsewhere = ingest.request(Method::POST, "/api/user-sessions/refresh").header("x-forwarded-for", "203.0.113.7").json(&body);
    Answer::of(elsewhere).await.is_problem(401, "refresh_token_other_address");
    let session = ingest.session(AUTH_ID).await;
    ingest.clock.advance(Duration::from_secs(121));
    refresh(&ingest, &session).await.is_problem(401, "refresh_token_expired");
    refresh(&ingest, &json!({ "refreshToken": "made up" })).await.is_problem(401, "refresh_token_unknown");
}

#[tokio::test]
async fn without_configured_proxies_no_header_names_another_address() {
    let ingest = Ingest::start(&[]).await;
    let session = ingest.session(AUTH_ID).await;
    let body = json!({ "refreshToken": session["refreshToken"] });
    let forged = ingest.request(Method::POST, "/api/user-sessions/refresh").header("x-forwarded-for", "203.0.113.7").json(&body);
    assert_eq!(Answer::of(forged).await.status, 200);
}

#[tokio::test]
async fn an_ended_session_cannot_be_refreshed() {
    let ingest = Ingest::start(&[]).await;
    let session = ingest.session(AUTH_ID).await;
    let token = session["accessToken"].as_str().unwrap();
    let ended = Answer::of(ingest.request(Method::DELETE, "/api/user-sessions/current").bearer_auth(token)).await;
    assert_eq!(ended.status, 204);
    assert_eq!(refresh(&ingest, &session).await.status, 401);
}

#[tokio::test]
async fn an_access_token_ends_with_its_life() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    assert_eq!(ingest.send(&token, &event("in-time")).await.status, 202);
    ingest.clock.advance(Duration::from_secs(66));
    ingest.send(&token, &event("too-late")).await.is_problem(401, "access_token_expired");
    assert_eq!(ingest.stored().await, ["in-time"]);
}

#[tokio::test]
async fn malformed_credentials_are_a_problem_each() {
    let ingest = Ingest::start(&[]).await;
    for body in [json!({}), json!({ "authId": AUTH_ID }), json!([1]), json!([AUTH_ID, SECRET]), json!({ "authId": 7, "secret": SECRET })] {
        ingest.post("/api/user-sessions", &body).await.is_problem(400, "malformed_body");
    }
    let untyped = ingest.request(Method::POST, "/api/user-sessions").body("{}");
    Answer::of(untyped).await.is_problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_refresh_without_json_is_a_problem_too_and_the_token_stays_good() {
    let ingest = Ingest::start(&[]).await;
    let session = ingest.session(AUTH_ID).await;
    let token = &session["refreshToken"];
    for body in [json!({}), json!([token]), json!({ "refreshToken": [token] }), json!({ "refreshToken": null })] {
        ingest.post("/api/user-sessions/refresh", &body).await.is_problem(400, "malformed_body");
    }
    let body = json!({ "refreshToken": token }).to_string();
    let typed = ingest.request(Method::POST, "/api/user-sessions/refresh").header("content-type", "text/plain").body(body);
    Answer::of(typed).await.is_problem(415, "unsupported_media_type");
    assert_eq!(refresh(&ingest, &session).await.status, 200);
}

#[tokio::test]
async fn all_addresses_of_an_ipv6_network_are_one() {
    let ingest = Ingest::start(&[("CLIENT_IP_TRUSTED_PROXIES", "127.0.0.1"), ("AUTH_REQUESTS_PER_MINUTE", "2")]).await;
    let body = json!({ "authId": AUTH_ID, "secret": SECRET });
    let statuses = async |addresses: &[&str]| {
        let mut statuses = Vec::new();
        for address in addresses {
            let request = ingest.request(Method::POST, "/api/user-sessions").header("x-forwarded-for", *address).json(&body);
            statuses.push(Answer::of(request).await.status.as_u16());
        }
        statuses
    };
    assert_eq!(statuses(&["2001:db8:1:1::1", "2001:db8:1:1:2::1", "2001:db8:1:1:ffff::3"]).await, [201, 201, 429]);
    assert_eq!(statuses(&["2001:db8:1:2::1", "198.51.100.1", "198.51.100.2"]).await, [201, 201, 201], "others pay for it");
}

#[tokio::test]
async fn log_ins_and_refreshes_are_counted_by_how_they_ended() {
    let ingest = Ingest::start(&[("AUTH_FAILURES_MAX", "1"), ("AUTH_REQUESTS_PER_MINUTE", "6")]).await;
    let session = ingest.session(AUTH_ID).await;
    for status in [401, 429] {
        assert_eq!(ingest.post("/api/user-sessions", &json!({ "authId": "nobody", "secret": "wrong" })).await.status, status);
    }
    for status in [200, 401] {
        assert_eq!(refresh(&ingest, &session).await.status, status);
    }
    assert_eq!(refresh(&ingest, &json!({ "refreshToken": "made up" })).await.status, 401);
    assert_eq!(refresh(&ingest, &session).await.status, 429);
    assert_eq!(ingest.post("/api/user-sessions", &json!({ "authId": AUTH_ID, "secret": SECRET })).await.status, 429);
    for outcome in ["opened", "refused", "locked_out", "too_many"] {
        counted(&ingest, &format!("log_ins_total{{outcome=\"{outcome}\"}} 1"));
    }
    for outcome in ["rotated", "reused", "unknown", "too_many"] {
        counted(&ingest, &format!("refreshes_total{{outcome=\"{outcome}\"}} 1"));
    }
}
