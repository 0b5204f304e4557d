//! Both simulators as programs of their own: settings from the environment, files, signals, exit codes.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::api::Served;
use crate::http::{client, mutation, post, value};

/// Starts a program with nothing but these settings in its environment.
fn program(path: &str, settings: &[(&str, &str)]) -> Child {
    let mut command = Command::new(path);
    command.env_clear().envs(settings.iter().copied()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

/// Asks a program to end.
async fn terminate(child: &Child) {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
}

/// Waits for a program's end and reads its log: one JSON object per line.
async fn end(child: Child) -> (Option<i32>, Vec<Value>) {
    let output = timeout(Duration::from_secs(10), child.wait_with_output()).await.unwrap().unwrap();
    let log = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), log.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The lines of a record file.
fn record(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_serves_as_its_environment_says_and_ends_cleanly_when_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("processed");
    let free = crate::http::listener().local_addr().unwrap();
    let settings = [
        ("PORT", &*free.port().to_string()),
        ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "60000"),
        ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "2"),
        ("TARGET_RECORD_FILE", file.to_str().unwrap()),
    ];
    let target = program(env!("CARGO_BIN_EXE_target"), &settings);
    let client = client();
    for _ in 0..500 {
        if client.get(format!("http://{free}/health")).send().await.is_ok_and(|answer| answer.status() == 200) {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    let mut statuses = Vec::new();
    for id in ["1", "2", "3"] {
        statuses.push(post(&client, free, &mutation(id), None).await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 429]);
    let numbers = value(client.get(format!("http://{free}/numbers")).send().await.unwrap()).await;
    assert_eq!((&numbers["distinct"], &numbers["throttled"], &numbers["worstArrivals"]), (&2.into(), &1.into(), &3.into()));
    terminate(&target).await;
    let (code, log) = end(target).await;
    assert_eq!(code, Some(0));
    assert!(log.iter().any(|line| line["message"] == "target listens" && line["address"] == free.to_string()));
    assert_eq!(record(&file).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_sends_as_many_events_as_told_and_writes_down_which() {
    let served = Served::start(Duration::from_secs(60));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("accepted");
    let url = served.url();
    let settings = [
        ("API_URL", url.as_str()),
        ("SOURCE_SERVICE_TEST_USER_CREDENTIALS", r#"{"authId":"shop","secret":"s3cret"}"#),
        ("SOURCE_SERVICE_SEND_EVENTS_INTERVAL_MS", "0"),
        ("SOURCE_COUNT", "100"),
        ("SOURCE_CONCURRENCY", "4"),
        ("SOURCE_RECORD_FILE", file.to_str().unwrap()),
    ];
    let (code, log) = end(program(env!("CARGO_BIN_EXE_source"), &settings)).await;
    assert_eq!((code, served.api.events().len(), record(&file).len()), (Some(0), 100, 100));
    assert!(!format!("{log:?}").contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_ends_cleanly_when_told_and_its_record_is_whole() {
    let served = Served::start(Duration::from_secs(60));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("accepted");
    let url = served.url();
    let settings = [
        ("API_URL", url.as_str()),
        ("SOURCE_SERVICE_TEST_USER_CREDENTIALS", r#"{"authId":"shop","secret":"s3cret"}"#),
        ("SOURCE_SERVICE_SEND_EVENTS_INTERVAL_MS", "2"),
        ("SOURCE_RECORD_FILE", file.to_str().unwrap()),
    ];
    let source = program(env!("CARGO_BIN_EXE_source"), &settings);
    crate::http::until("some events", || served.api.events().len() > 100).await;
    terminate(&source).await;
    let (code, _) = end(source).await;
    assert_eq!((code, record(&file).len()), (Some(0), served.api.events().len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_and_refused_credentials_have_exit_codes_of_their_own() {
    let (code, log) = end(program(env!("CARGO_BIN_EXE_source"), &[("API_URL", "nowhere"), ("SOURCE_CONCURRENCY", "x")])).await;
    assert_eq!((code, log.len()), (Some(64), 3));
    let (code, log) = end(program(env!("CARGO_BIN_EXE_target"), &[("PORT", "x"), ("TARGET_FAILURES", "x")])).await;
    assert_eq!((code, log.len()), (Some(64), 2));
    let served = Served::start(Duration::from_secs(60));
    let url = served.url();
    let credentials = ("SOURCE_SERVICE_TEST_USER_CREDENTIALS", r#"{"authId":"shop","secret":"hunter2"}"#);
    let (code, log) = end(program(env!("CARGO_BIN_EXE_source"), &[("API_URL", url.as_str()), credentials])).await;
    assert_eq!(code, Some(1));
    assert!(!format!("{log:?}").contains("hunter2"));
}
