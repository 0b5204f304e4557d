//! What a run tells everybody, in its log, its traces and its numbers, holds nothing that is secret.

use reqwest::RequestBuilder;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use simulators::target::{Failure, Options, Target};
use tokio_util::sync::CancellationToken;

use crate::operator::Proxy;
use crate::support::{PATIENCE, Source, busy, listener, until};
use crate::traces::Collector;

/// What an event says.
const BODY: &str = "what nobody but the target may read";
/// What the target wants to hear.
const TARGETS_KEY: &str = "Bearer known-to-the-target-and-us";
/// Secrets that somebody guesses.
const GUESS: &str = "a guess that may be close";

/// Sends a request, and tells what came back.
async fn answered(request: RequestBuilder) -> (u16, Value) {
    let answer = request.timeout(PATIENCE).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_tells_in_logs_traces_and_numbers_holds_no_secret_and_no_body() {
    let machine = busy().await;
    let (directory, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let (targets, address) = listener();
    let failing =
        Options { rate_requests: 1_000, failure_share: 0.4, failures: vec![Failure::ServerError, Failure::Refused], ..Options::default() };
    let target = Target::start(failing, targets, CancellationToken::new()).unwrap();
    let key = "6b1c0f9e8d7a4b3c2d1e0f9a8b7c6d5e4f3a2b1c";
    let settings = [
        ("LOG_FILTER", "trace".to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.clone()),
        ("AUTH_ACCESS_TOKEN_SECRET", key.to_owned()),
        ("TARGET_SERVICE_AUTHORIZATION", TARGETS_KEY.to_owned()),
    ];
    let mut proxy = Proxy::start_with(directory.path(), address.port(), &settings).await;
    let (client, api) = (proxy.client.clone(), format!("http://127.0.0.1:{}/api", proxy.port));
    let source = Source::log_in(proxy.port).await;
    let mut secrets = vec![BODY, TARGETS_KEY, GUESS, key, chaos::source::SECRET].into_iter().map(str::to_owned).collect::<Vec<_>>();

    // Who may come in, who may not, and who comes back.
    let log_in =
        |secret: &str| client.post(format!("{api}/user-sessions")).json(&json!({ "authId": chaos::source::AUTH_ID, "secret": secret }));
    assert_eq!(answered(log_in(GUESS)).await.0, 401);
    let (status, session) = answered(log_in(chaos::source::SECRET)).await;
    assert_eq!(status, 201);
    let told = |session: &Value, name: &str| session[name].as_str().unwrap().to_owned();
    let spent = told(&session, "refreshToken");
    let refresh = || client.post(format!("{api}/user-sessions/refresh")).json(&json!({ "refreshToken": spent }));
    let (status, again) = answered(refresh()).await;
    assert!((200..300).contains(&status), "{status} {again}");
    assert_eq!(answered(refresh()).await.0, 401, "a token is good once");
    secrets.extend([spent.clone(), told(&session, "accessToken"), told(&again, "accessToken"), told(&again, "refreshToken")]);
    secrets.push(source.token().to_owned());
    let operators = format!("{}/operator/sessions", proxy.private);
    let mut guessing = proxy.operator.clone();
    guessing["secret"] = GUESS.into();
    assert_eq!(answered(client.post(&operators).json(&guessing)).await.0, 401);
    secrets.extend([proxy.sign_in().await, told(&proxy.operator, "secret")]);

    // Events that are taken and not, delivered, dead and tried again.
    let event = |number: u32| json!({ "id": format!("event-{number}"), "name": "told", "body": BODY, "timestamp": "2026-01-31T12:00:00Z" });
    for number in 0..40 {
        assert_eq!(source.send_event(&event(number)).await, Some(202));
    }
    let events = client.post(format!("{api}/events")).header(AUTHORIZATION, format!("Bearer {GUESS}"));
    assert_eq!(answered(events.json(&event(0))).await.0, 401);
    let nonsense = format!("{{\"id\": \"{BODY}\", \"name\": {BODY}");
    let broken = client.post(format!("{api}/events")).bearer_auth(source.token()).header("content-type", "application/json");
    assert_eq!(answered(broken.body(nonsense)).await.0, 400);
    until("events were delivered, refused and failed", async || {
        let numbers = target.numbers();
        numbers.distinct >= 10 && numbers.failed >= 10
    })
    .await;
    let mut tells = client.get(format!("{}/metrics", proxy.private)).send().await.unwrap().text().await.unwrap();
    assert!(proxy.process.end("TERM").await.success());
    tells.push_str(&proxy.process.written());
    let traces = String::from_utf8_lossy(&collector.bytes()).into_owned();
    assert!(traces.contains("event-7"), "traces tell of events");
    for told in ["\"level\":\"TRACE\"", "events_settled_total"] {
        assert!(tells.contains(told), "{told} is nowhere");
    }
    for secret in secrets {
        assert!(!tells.contains(&secret) && !traces.contains(&secret), "{secret} is told");
    }
    for hash in ["$2a$", "$2b$", "$2y$"] {
        assert!(!tells.contains(hash) && !traces.contains(hash), "a secret's hash is told");
    }
    drop(machine);
}
