//! `ingest` and `dispatcher` as separate processes that meet on a real Kafka, over a real PostgreSQL.

use std::collections::HashSet;
use std::path::Path;

use crate::support::{Process, Source, Target, busy, free_port, services, until};

/// How many events go through.
const EVENTS: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_events_go_through_kafka_and_the_target_records_each() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let services = services().await;
    let target = Target::start(directory.path(), 20_000);
    let port = free_port();
    let mut settings = services.shared();
    settings.extend([
        ("PORT", port.to_string()),
        ("TARGET_SERVICE_GRAPHQL_URL", target.url()),
        ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "1000".to_owned()),
        ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "20000".to_owned()),
    ]);
    let ingest = start("ingest", directory.path(), &settings);
    let mut dispatcher = start("dispatcher", directory.path(), &settings);

    let source = Source::log_in(port).await;
    let first = source.send_all("first", 0..EVENTS / 2, 16).await;
    dispatcher.kill();
    let second = source.send_all("second", EVENTS / 2..EVENTS, 16).await;
    let dispatcher = start("dispatcher", directory.path(), &settings);
    let accepted: HashSet<String> = first.union(&second).cloned().collect();
    assert_eq!(accepted.len(), EVENTS, "events were refused");
    target.receives(&accepted).await;

    until("the journal tells the last event's end", async || {
        let id = format!("second-{}", EVENTS - 1);
        source.look_up(&id).await.is_some_and(|found| found["state"] == "delivered")
    })
    .await;
    for mut process in [ingest, dispatcher] {
        let status = process.end("TERM").await;
        assert!(status.success(), "stopped with {status}");
    }
    drop(machine);
}

/// Starts one of the two binaries with its own admin port and spool.
fn start(name: &'static str, directory: &Path, settings: &[(&'static str, String)]) -> Process {
    let mut settings = settings.to_vec();
    settings.push(("ADMIN_PORT", free_port().to_string()));
    settings.push(("SPOOL_DIR", directory.join("spool").display().to_string()));
    Process::start(name, directory, &settings, &[])
}
