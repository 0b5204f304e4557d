//! Both simulators alone, as `events-proxy source` and `events-proxy target`: settings from the environment, files, signals, exit codes.

use std::collections::HashSet;
use std::path::Path;

use reqwest::Client;
use serde_json::{Value, json};

use crate::support::{Process, Source, Target, accounts, busy, embedded, free_port, simulator, until};

/// A secret that no log may tell.
const WRONG: &str = "hunter2";

/// Starts a target and what a source sends to, the whole product, and waits until that lets one in.
async fn api(directory: &Path) -> (Target, Process, String) {
    let (target, port) = (Target::start(directory, 2_000), free_port());
    let settings = [
        ("PORT", port.to_string()),
        ("ADMIN_PORT", free_port().to_string()),
        ("PROXY_SERVICE_TEST_USERS_DATA", accounts()),
        ("TARGET_SERVICE_GRAPHQL_URL", target.url()),
        ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "1000".to_owned()),
        ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "2000".to_owned()),
        // No deadline is the subject here.
        ("ACCEPT_TIMEOUT_MS", "5000".to_owned()),
    ];
    let product = embedded(directory, &settings);
    Source::log_in(port).await;
    (target, product, format!("http://127.0.0.1:{port}/api"))
}

/// The settings of a source that sends to `api` and writes down what was accepted.
fn source(api: &str, secret: &str, record: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("API_URL", api.to_owned()),
        ("SOURCE_SERVICE_TEST_USER_CREDENTIALS", json!({ "authId": chaos::source::AUTH_ID, "secret": secret }).to_string()),
        ("SOURCE_GIVE_UP_MS", "10000".to_owned()),
        ("SOURCE_RECORD_FILE", record.display().to_string()),
    ]
}

/// What a process logged: one JSON object per line.
fn log(process: &Process) -> Vec<Value> {
    process.written().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The line of a log with this message.
fn line(process: &Process, message: &str) -> Value {
    log(process).into_iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("`{message}` was not logged"))
}

/// The events of a record file.
fn record(path: &Path) -> HashSet<String> {
    let lines = std::fs::read_to_string(path).unwrap();
    lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_serves_as_its_environment_says_and_ends_cleanly_when_told() {
    let directory = tempfile::tempdir().unwrap();
    let (file, port) = (directory.path().join("processed"), free_port());
    let settings = [
        ("PORT", port.to_string()),
        ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "60000".to_owned()),
        ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "2".to_owned()),
        ("TARGET_RECORD_FILE", file.display().to_string()),
    ];
    let mut target = simulator("target", directory.path(), &settings);
    chassis::tls::install();
    let (client, url) = (Client::builder().build().unwrap(), format!("http://127.0.0.1:{port}"));
    until("the target is healthy", async || client.get(format!("{url}/health")).send().await.is_ok_and(|answer| answer.status() == 200))
        .await;
    let mut statuses = Vec::new();
    for id in ["1", "2", "3"] {
        let input = json!({ "id": id, "name": "order.paid", "body": "{}", "timestamp": "2026-01-31T12:00:00.5Z", "brand": "testBrand" });
        let query = "mutation ProcessEvent($input: ProcessEventInput!) { processEvent(input: $input) { id } }";
        let request = client.post(format!("{url}/graphql")).json(&json!({ "query": query, "variables": { "input": input } }));
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 429]);
    let numbers: Value = client.get(format!("{url}/numbers")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&numbers["distinct"], &numbers["throttled"], &numbers["worstArrivals"]), (&2.into(), &1.into(), &3.into()));
    assert_eq!(target.end("TERM").await.code(), Some(0));
    assert_eq!(line(&target, "target listens")["address"], format!("127.0.0.1:{port}"));
    assert_eq!(record(&file), HashSet::from(["1".to_owned(), "2".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_sends_as_many_events_as_told_and_writes_down_which() {
    let _machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let (target, _product, api) = api(directory.path()).await;
    let file = directory.path().join("accepted");
    let mut settings = source(&api, chaos::source::SECRET, &file);
    settings.extend([
        ("SOURCE_SERVICE_SEND_EVENTS_INTERVAL_MS", "0".to_owned()),
        ("SOURCE_COUNT", "100".to_owned()),
        ("SOURCE_CONCURRENCY", "4".to_owned()),
    ]);
    let mut source = simulator("source", directory.path(), &settings);
    assert_eq!(source.ended().await.code(), Some(0));
    let accepted = record(&file);
    assert_eq!((accepted.len(), &line(&source, "source ends")["sent"]), (100, &100.into()));
    target.receives(&accepted).await;
    assert_eq!(target.distinct(), 100);
    assert!(!source.written().contains(chaos::source::SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_ends_cleanly_when_told_and_its_record_is_whole() {
    let _machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let (target, _product, api) = api(directory.path()).await;
    let file = directory.path().join("accepted");
    let mut settings = source(&api, chaos::source::SECRET, &file);
    settings.push(("SOURCE_SERVICE_SEND_EVENTS_INTERVAL_MS", "2".to_owned()));
    let mut source = simulator("source", directory.path(), &settings);
    until("the target has some events", async || target.distinct() > 100).await;
    assert_eq!(source.end("TERM").await.code(), Some(0));
    let accepted = record(&file);
    assert_eq!(line(&source, "source ends")["sent"], accepted.len());
    target.receives(&accepted).await;
    assert_eq!(target.distinct(), u64::try_from(accepted.len()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_and_refused_credentials_have_exit_codes_of_their_own() {
    let _machine = busy().await;
    let (directory, mistaken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = |text: &str| text.to_owned();
    for (name, settings, mistakes) in [
        ("source", [("API_URL", one("nowhere")), ("SOURCE_CONCURRENCY", one("x"))], 3),
        ("target", [("PORT", one("x")), ("TARGET_FAILURES", one("x"))], 2),
    ] {
        let mut process = simulator(name, mistaken.path(), &settings);
        assert_eq!((process.ended().await.code(), log(&process).len()), (Some(64), mistakes), "{}", process.written());
    }
    let (_target, _product, api) = api(directory.path()).await;
    let settings = source(&api, WRONG, &directory.path().join("accepted"));
    let mut refused = simulator("source", directory.path(), &settings);
    assert_eq!(refused.ended().await.code(), Some(1));
    assert!(!refused.written().contains(WRONG));
}
