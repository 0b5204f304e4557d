//! `ingest migrate` and `ingest topic`: done once, repeated, run twice at once, and told no.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio::time::Instant;

use crate::support::{PATIENCE, binary, services, until};

/// Exit code and all that was written.
type Ended = (Option<i32>, String);

/// Starts `ingest` with these settings and arguments.
fn start(settings: &[(&str, String)], args: &[&str]) -> Child {
    let mut command = Command::new(binary("ingest"));
    let pairs = settings.iter().map(|(key, value)| (*key, value.as_str()));
    command.args(args).env_clear().envs(pairs).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for its end.
async fn end(mut child: Child) -> Ended {
    let until = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < until, "it does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (status.code(), text)
}

/// Runs it to its end.
async fn run(settings: &[(&str, String)], args: &[&str]) -> Ended {
    end(start(settings, args)).await
}

/// Runs it twice at once.
async fn twice(settings: &[(&str, String)], args: &[&str]) -> [String; 2] {
    let (one, other) = (start(settings, args), start(settings, args));
    let ended = tokio::join!(end(one), end(other));
    assert_eq!((ended.0.0, ended.1.0), (Some(0), Some(0)), "{ended:?}");
    let mut told = [ended.0.1, ended.1.1];
    told.sort_unstable();
    told
}

/// The settings without one, and with another value in its place.
fn with(settings: &[(&'static str, String)], key: &'static str, value: &str) -> Vec<(&'static str, String)> {
    let others = settings.iter().filter(|(known, _)| *known != key).cloned();
    others.chain([(key, value.to_owned())]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_brought_up_to_date_once_however_often_it_is_asked_for() {
    let services = services().await;
    // Nothing of what serving needs: no key of tokens, which `production` wants of a process that serves.
    let settings = with(&services.settings(), "ENVIRONMENT_PROFILE", "production");
    let [steps, nothing] = twice(&settings, &["migrate"]).await;
    assert!(nothing.contains("up to date; nothing was changed"), "{nothing}");
    let database = sea_orm::Database::connect(services.database()).await.unwrap();
    let count = Statement::from_string(DbBackend::Postgres, "SELECT count(*) FROM seaql_migrations");
    let count: i64 = database.query_one_raw(count).await.unwrap().unwrap().try_get_by_index(0).unwrap();
    assert_eq!(steps, format!("The database is up to date; {count} steps were run.\n"));
    let (code, again) = run(&settings, &["migrate"]).await;
    assert_eq!((code, again), (Some(0), nothing));

    let refused = with(&settings, "USER_REPOSITORY_URL", &services.database().replace("it_", "not_"));
    let (code, text) = run(&refused, &["migrate"]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.starts_with("ingest migrate: ") && text.contains("does not exist"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_is_made_once_however_often_it_is_asked_for_and_never_with_other_partitions() {
    let settings = services().await.settings();
    let name = &settings.iter().find(|(key, _)| *key == "QUEUE_TOPIC").unwrap().1;
    let [found, made] = twice(&settings, &["topic"]).await;
    assert_eq!(made, format!("The topic `{name}` was made: partitions 6, copies 1.\n"));
    assert_eq!(found, format!("The topic `{name}` is there, with 6 partitions; nothing was changed.\n"));
    assert_eq!(run(&settings, &["topic"]).await, (Some(0), found));

    let (code, text) = run(&with(&settings, "QUEUE_PARTITIONS", "5"), &["topic"]).await;
    assert_eq!((code, text), (Some(1), format!("ingest topic: topic `{name}` has 6 partitions where 5 are configured\n")));

    let copies = with(&with(&settings, "QUEUE_TOPIC", &format!("{name}_copied")), "QUEUE_COPIES", "9");
    let (code, text) = run(&copies, &["topic"]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("replication"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_database_that_says_nothing_can_be_told_to_stop() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let url = format!("postgres://events@{}/events", silent.local_addr().unwrap());
    let settings = [("USER_REPOSITORY_TYPE", "Postgres".to_owned()), ("USER_REPOSITORY_URL", url)];
    let child = start(&settings, &["migrate"]);
    let mut connections = Vec::new();
    until("it connects", async || silent.accept().map(|connection| connections.push(connection)).is_ok()).await;
    chaos::process::signal(child.id(), "TERM").unwrap();
    let ended = end(child).await;
    assert_eq!(ended, (Some(1), "ingest migrate: told to stop by SIGTERM before it was done\n".to_owned()));
}

#[tokio::test]
async fn what_it_is_told_is_judged_before_anything_is_done() {
    let (code, text) = run(&[], &["--help"]).await;
    assert_eq!(code, Some(0), "{text}");
    for told in ["migrate", "topic", "EVENTS_PROXY_CONFIG", "Exit codes"] {
        assert!(text.contains(told), "`{told}` is missing in\n{text}");
    }
    for (args, told) in [(vec!["migrat"], "migrate"), (vec!["--now"], "--now"), (vec!["topic", "more"], "more")] {
        let (code, text) = run(&[], &args).await;
        assert_eq!(code, Some(64), "{text}");
        assert!(text.contains(told), "`{told}` is missing in\n{text}");
    }
    let wrong = [("QUEUE_PARTITIONS", "none".to_owned()), ("QUEUE_TYPE", "Local".to_owned()), ("QUEUE_TOPC", "events".to_owned())];
    let (code, text) = run(&wrong, &["topic"]).await;
    assert_eq!(code, Some(64), "{text}");
    for told in ["QUEUE_PARTITIONS", "QUEUE_TYPE", "QUEUE_TOPC", "queue_url"] {
        assert!(text.contains(told), "{told} is missing in\n{text}");
    }
}
