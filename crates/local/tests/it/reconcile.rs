//! Every event is accounted for while the path is whole, and one that is taken away behind its back is counted, told and named.

use std::path::Path;
use std::process::Command;

use sea_orm::{ConnectionTrait, Database};
use simulators::target::{Failure, Options, Target};
use tokio_util::sync::CancellationToken;

use crate::support::{Source, accounts, busy, embedded, free_port, listener, until};

/// Runs `events-proxy reconcile` on a data directory; tells whether it ended with 0, and what it wrote.
fn reconcile(data: &Path) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_events-proxy"));
    let output = command.arg("reconcile").arg("--data-dir").arg(data).env_clear().output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// What is unaccounted for at the spool and at the topic.
async fn unaccounted(admin_port: u16) -> [Option<String>; 2] {
    let text = reqwest::get(format!("http://127.0.0.1:{admin_port}/metrics")).await.unwrap().text().await.unwrap();
    ["spool", "topic"].map(|at| {
        let series = format!("events_unaccounted{{at=\"{at}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)).map(str::to_owned)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_taken_away_is_counted_and_named() {
    let _machine = busy().await;
    chassis::tls::install();
    let directory = tempfile::tempdir().unwrap();
    let (target_listener, target_address) = listener();
    let refusing = Options { rate_requests: 1_000, failure_share: 0.5, failures: vec![Failure::Refused], ..Options::default() };
    let _target = Target::start(refusing, target_listener, CancellationToken::new()).unwrap();
    let (data, port, admin_port) = (directory.path().join("data"), free_port(), free_port());
    let settings = [
        ("PORT", port.to_string()),
        ("ADMIN_PORT", admin_port.to_string()),
        ("PROXY_SERVICE_TEST_USERS_DATA", accounts()),
        ("TARGET_SERVICE_GRAPHQL_URL", format!("http://{target_address}/graphql")),
        ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "1000".to_owned()),
        ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "500".to_owned()),
    ];
    let process = embedded(directory.path(), &settings);
    let source = Source::log_in(port).await;
    let accepted = source.send_all("kept", 0..40, 4).await;
    assert_eq!((accepted.len(), source.send("kept-0", None).await), (40, Some(202)));
    until("all of them have ended", async || {
        let (_, told) = reconcile(&data);
        told.lines().any(|line| line.starts_with("passed") && line.contains(" 41 "))
    })
    .await;
    let (whole, told) = reconcile(&data);
    assert!(whole && told.lines().any(|line| line.starts_with("repeated") && line.contains(" 1 ")), "{told}");
    assert_eq!(unaccounted(admin_port).await, ["0", "0"].map(|none| Some(none.to_owned())), "{told}");

    let database = Database::connect(format!("sqlite://{}", data.join("events-proxy.sqlite").display())).await.unwrap();
    let row = database.query_one_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, "SELECT event_id FROM dead LIMIT 1"));
    let taken: String = row.await.unwrap().expect("half of forty events died").try_get_by_index(0).unwrap();
    database.execute_unprepared(&format!("DELETE FROM dead WHERE event_id = '{taken}'")).await.unwrap();
    let (whole, told) = reconcile(&data);
    assert!(!whole && told.contains("dead, but its row is gone") && told.contains(&format!("  {taken}  ")), "{told}");
    until("the metric tells of it", async || unaccounted(admin_port).await[1].as_deref() == Some("1")).await;
    assert!(process.written().contains("events are unaccounted for"));
}
