//! `events-proxy` alone: killed in the middle, stopped as asked, and never a lost event.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Process, Source, Target, accounts, alone, busy, embedded, free_port, until};

/// The settings of `events-proxy` with an open limiter, delivering to `target`.
fn settings(port: u16, target: &Target) -> Vec<(&'static str, String)> {
    vec![
        ("PORT", port.to_string()),
        ("ADMIN_PORT", free_port().to_string()),
        ("PROXY_SERVICE_TEST_USERS_DATA", accounts()),
        ("AUTH_ACCESS_TOKEN_EXPIRES_IN_SEC", "600".to_owned()),
        ("TARGET_SERVICE_GRAPHQL_URL", target.url()),
        ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "1000".to_owned()),
        ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "2000".to_owned()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_accepted_before_a_kill_reaches_the_target_after_the_restart() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let target = Target::start(directory.path(), 2000);
    let port = free_port();
    let settings = settings(port, &target);
    let mut accepted = HashSet::new();
    for life in 0..3 {
        let mut proxy = embedded(directory.path(), &settings);
        let source = Source::log_in(port).await;
        let sending = tokio::task::JoinSet::from_iter([{
            let source = source.clone();
            async move { source.send_all(&format!("life{life}"), 0..3_000, 16).await }
        }]);
        tokio::time::sleep(Duration::from_millis(700)).await;
        proxy.kill();
        accepted.extend(sending.join_all().await.into_iter().flatten());
    }
    assert!(accepted.len() > 100, "only {} events were accepted before the kills", accepted.len());
    let proxy = embedded(directory.path(), &settings);
    target.receives(&accepted).await;
    drop(proxy);
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_the_next_start_does_not_wait_for_the_lease_of_the_former_life() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let target = Target::start(directory.path(), 2000);
    let port = free_port();
    let settings = settings(port, &target);
    let mut proxy = embedded(directory.path(), &settings);
    let source = Source::log_in(port).await;
    assert_eq!(source.send("before", None).await, Some(202));
    until("the first event is there", async || target.distinct() == 1).await;
    proxy.kill();
    let began = Instant::now();
    let proxy = embedded(directory.path(), &settings);
    let source = Source::log_in(port).await;
    assert_eq!(source.send("after", None).await, Some(202));
    until("the second event is there", async || target.distinct() == 2).await;
    // The lease of the former life lasts ten seconds.
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    drop(proxy);
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_forgets_goes_on_where_a_storage_that_does_not_knows_it_ended() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let target = Target::start(directory.path(), 2000);
    let port = free_port();
    let mut settings = settings(port, &target);
    settings.push(("QUEUE_TYPE", "InMemory".to_owned()));
    let mut sent = HashSet::new();
    for life in ["first", "second"] {
        let mut proxy = embedded(directory.path(), &settings);
        sent.extend(Source::log_in(port).await.send_all(life, 0..40, 4).await);
        target.receives(&sent).await;
        assert!(proxy.end("TERM").await.success());
    }
    assert_eq!(sent.len(), 80);
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_lives_together_send_no_more_than_the_limit() {
    const INTERVAL: Duration = Duration::from_secs(4);
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let target = Target::start(directory.path(), 2000);
    let port = free_port();
    let mut settings = settings(port, &target);
    settings.retain(|(key, _)| !key.starts_with("TARGET_SERVICE_RATE_LIMIT"));
    settings.push(("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", INTERVAL.as_millis().to_string()));
    settings.push(("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "1".to_owned()));
    let mut proxy = embedded(directory.path(), &settings);
    assert_eq!(Source::log_in(port).await.send_all("paced", 0..5, 1).await.len(), 5);
    until("the first event is there", async || target.received() == 1).await;
    let first = Instant::now();
    proxy.kill();
    let proxy = embedded(directory.path(), &settings);
    until("the second request is there", async || target.received() == 2).await;
    // Each was seen a little after it came.
    assert!(first.elapsed() > INTERVAL - Duration::from_millis(500), "{:?}", first.elapsed());
    drop(proxy);
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_as_asked_says_what_stays_and_the_next_start_delivers_it() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let target = Target::start(directory.path(), 2000);
    let port = free_port();
    let mut settings = settings(port, &target);
    settings.retain(|(key, _)| *key != "TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL");
    let mut slow = settings.clone();
    slow.push(("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "1".to_owned()));
    let mut proxy = embedded(directory.path(), &slow);
    let accepted = Source::log_in(port).await.send_all("stay", 0..50, 4).await;
    assert_eq!(accepted.len(), 50);
    let status = proxy.end("TERM").await;
    assert!(status.success(), "stopped with {status}");
    assert!(proxy.written().contains("pending"), "does not say what stays");

    settings.push(("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "2000".to_owned()));
    let proxy = embedded(directory.path(), &settings);
    target.receives(&accepted).await;
    drop(proxy);
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_never_sees_more_than_its_limit_and_a_backlog_uses_nearly_all_of_it() {
    let machine = alone().await;
    let directory = tempfile::tempdir().unwrap();
    let target = Target::start(directory.path(), 100);
    let port = free_port();
    let mut settings = settings(port, &target);
    settings.retain(|(key, _)| *key != "TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL");
    settings.push(("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "100".to_owned()));
    let proxy = embedded(directory.path(), &settings);
    let source = Source::log_in(port).await;
    let accepted = source.send_all("paced", 0..1_200, 8).await;
    until("the first hundred are through", async || target.distinct() >= 100).await;
    let (from, before) = (Instant::now(), target.distinct());
    tokio::time::sleep(Duration::from_secs(6)).await;
    let delivered = target.distinct() - before;
    let allowed = from.elapsed().as_secs_f64() * 100.0;
    let share = f64::from(u32::try_from(delivered).unwrap()) / allowed;
    assert!(target.worst_window() <= 100, "{} requests in one window", target.worst_window());
    assert_eq!(target.throttled(), 0, "the target had to refuse requests");
    assert!(share >= 0.95, "only {:.1} % of the limit was used", share * 100.0);
    target.receives(&accepted).await;
    drop(proxy);
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_tells_each_stage_an_event_went_through() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let target = Target::start(directory.path(), 2000);
    let port = free_port();
    let proxy = embedded(directory.path(), &settings(port, &target));
    let source = Source::log_in(port).await;
    assert_eq!(source.send("looked-up", None).await, Some(202));
    let mut found = Value::Null;
    until("the journal tells that the event was delivered", async || {
        found = source.look_up("looked-up").await.unwrap_or_default();
        found["state"] == "delivered"
    })
    .await;
    assert_eq!(found["attempts"].as_array().unwrap().len(), 1, "{found}");
    drop(proxy);
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_again_is_accepted_again_and_delivered_once() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let target = Target::start(directory.path(), 2000);
    let port = free_port();
    let settings = settings(port, &target);
    let mut proxy = embedded(directory.path(), &settings);
    let source = Source::log_in(port).await;
    let (one, other) = tokio::join!(source.send("again", None), source.send("again", None));
    assert_eq!((one, other), (Some(202), Some(202)), "both at the same time");
    target.receives(&["again".to_owned()].into()).await;
    assert_eq!(source.send("again", None).await, Some(202), "after its delivery");
    let other = json!({ "id": "again", "name": "another one", "body": "three pears", "timestamp": 0 });
    assert_eq!(source.send_event(&other).await, Some(202), "with another body");
    assert!(proxy.end("TERM").await.success());
    let proxy = embedded(directory.path(), &settings);
    let source = Source::log_in(port).await;
    assert_eq!(source.send("again", None).await, Some(202), "after a restart");
    let last = source.send_all("last", 0..20, 1).await;
    target.receives(&last).await;
    let again = target.records().iter().filter(|record| record["id"] == "again").count();
    assert_eq!((again, target.received()), (1, 21), "an event went to the target twice");
    drop(proxy);
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_runs_with_both_simulators() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let (port, target_port) = (free_port(), free_port());
    let settings = [
        ("PORT", port.to_string()),
        ("ADMIN_PORT", free_port().to_string()),
        ("TARGET_SERVICE_GRAPHQL_URL", format!("http://127.0.0.1:{target_port}/graphql")),
        ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "100".to_owned()),
        ("SOURCE_SERVICE_SEND_EVENTS_INTERVAL_MS", "50".to_owned()),
    ];
    let data = directory.path().join("data");
    let mut proxy = Process::start("events-proxy", directory.path(), &settings, &["--data-dir", data.to_str().unwrap()]);
    chassis::tls::install();
    let numbers = format!("http://127.0.0.1:{target_port}/numbers");
    until("the simulated target took ten events of the simulated source", async || {
        let Ok(answer) = reqwest::get(&numbers).await else { return false };
        let numbers: Value = answer.json().await.unwrap();
        numbers["distinct"].as_u64().unwrap() >= 10
    })
    .await;
    assert!(proxy.end("INT").await.success());
    drop(machine);
}
