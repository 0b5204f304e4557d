//! Every request is answered in time, whoever else is silent.

use std::net::TcpListener;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{AUTH_ID, Answer, Ingest, KEY, SECRET, counted, event};

/// How long an answer may take here: the deadline, and what a busy machine adds to it. The storage is waited for much longer.
const IN_TIME: std::ops::Range<Duration> = Duration::from_millis(390)..Duration::from_millis(1_500);

#[tokio::test]
async fn whatever_needs_a_storage_that_is_silent_is_answered_at_the_deadline() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://nobody@127.0.0.1:{}/none?sslmode=disable", silent.local_addr().unwrap().port());
    let ingest = Ingest::with_storage(url, &[("AUTH_ACCESS_TOKEN_SECRET", KEY)]).await;
    let token = ingest.forged(KEY, "events-proxy");
    let log_in = json!({ "authId": AUTH_ID, "secret": SECRET });
    let unknown = json!({ "authId": "nobody", "secret": SECRET });
    let refresh = json!({ "refreshToken": "x".repeat(64) });
    let request = |method, path| ingest.request(method, path).bearer_auth(&token);
    let mut told = Vec::new();
    for request in [
        request(Method::POST, "/api/user-sessions").json(&log_in),
        request(Method::POST, "/api/user-sessions").json(&unknown),
        request(Method::POST, "/api/user-sessions/refresh").json(&refresh),
        request(Method::DELETE, "/api/user-sessions/current"),
        request(Method::GET, "/api/events"),
        request(Method::GET, "/api/events/any"),
    ] {
        let began = Instant::now();
        let answer = Answer::of(request).await;
        answer.is_problem(503, "answer_timeout");
        assert!(IN_TIME.contains(&began.elapsed()), "{:?}", began.elapsed());
        assert_eq!(answer.header("retry-after"), "1");
        told.push(answer.body);
    }
    assert_eq!(told[0], told[1], "an unknown account is told apart");
    assert_eq!(ingest.send(&token, &event("beside")).await.status, 202, "events wait for nobody");
    counted(&ingest, "log_ins_total{outcome=\"given_up\"} 2");
    counted(&ingest, "refreshes_total{outcome=\"given_up\"} 1");
}

#[tokio::test]
async fn a_log_in_that_computes_too_long_is_given_up_and_is_no_failure() {
    // One of this cost takes longer than the deadline on any machine.
    let hash = "$2b$16$abcdefghijklmnopqrstuu5LbyRbNzZqNhLLz9vGqPfv7jMh9dFYm";
    let accounts = json!([
        { "id": "source-1", "authId": AUTH_ID, "secret": hash },
        { "id": "source-2", "authId": crate::support::OTHER_AUTH_ID, "secret": hash },
    ]);
    let settings = [("PROXY_SERVICE_TEST_USERS_DATA", accounts.to_string()), ("AUTH_FAILURES_MAX", "1".to_owned())];
    let ingest = Ingest::start(&settings.each_ref().map(|(key, value)| (*key, value.as_str()))).await;
    let guess = async |account: &str| ingest.post("/api/user-sessions", &json!({ "authId": account, "secret": "a guess" })).await;
    let began = Instant::now();
    guess(AUTH_ID).await.is_problem(503, "answer_timeout");
    assert!(IN_TIME.contains(&began.elapsed()), "{:?}", began.elapsed());
    // It is still computed: whoever comes next waits for a turn that would come too late.
    for account in ["nobody", AUTH_ID] {
        guess(account).await.is_problem(429, "rate_limited");
    }
    counted(&ingest, "log_ins_total{outcome=\"given_up\"} 1");
    counted(&ingest, "log_ins_total{outcome=\"busy\"} 2");
}
