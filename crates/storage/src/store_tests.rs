//! URLs, files, what connections keep to themselves, and which transactions last.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement};

use super::{Error, Options, Store, Transact, is_guarded};
use crate::PublishedRow;

fn options(url: &str) -> Options {
    Options { url: url.to_owned(), max_connections: 1, acquire_timeout: Duration::from_millis(300) }
}

/// A store in a file of a directory.
async fn in_file(dir: &tempfile::TempDir) -> Store {
    Store::connect(&options(&format!("sqlite://{}/events.sqlite?mode=rwc", dir.path().display()))).await.unwrap()
}

#[tokio::test]
async fn a_url_of_another_kind_is_refused_without_its_text() {
    for url in ["mysql://me:hush@there/db", "hush", "", "postgres://me:hush@there:port/db", "sqlite:x?mode=hush"] {
        let error = Store::connect(&options(url)).await.unwrap_err();
        assert!(matches!(error, Error::Url(_)), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("hush"));
    }
}

#[tokio::test]
async fn nobody_but_our_user_may_read_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = in_file(&dir).await;
    store.migrate().await.unwrap();
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap()).collect();
    let modes: Vec<_> = files.iter().map(|file| file.metadata().unwrap().permissions().mode() & 0o777).collect();
    assert!(files.len() >= 2 && modes.iter().all(|mode| *mode == 0o600), "{files:?} {modes:?}");
}

const _: () = assert!(!<[PublishedRow]>::LASTS, "news alone may be lost");

/// Tells how a transaction is synchronous: 1 is NORMAL, whose commits need no fsync, 2 is FULL.
struct Probe<const LASTS: bool>;

impl<const LASTS: bool> Transact for Probe<LASTS> {
    type Outcome = i32;

    const LASTS: bool = LASTS;

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<i32, DbErr> {
        let told = transaction.query_one_raw(Statement::from_string(DbBackend::Sqlite, "PRAGMA synchronous")).await?;
        told.unwrap().try_get_by_index(0)
    }
}

#[tokio::test]
async fn what_may_be_lost_alone_needs_no_fsync_and_all_wait_for_their_turn() {
    let dir = tempfile::tempdir().unwrap();
    let store = in_file(&dir).await;
    assert_eq!((store.write(&Probe::<true>).await.unwrap(), store.write(&Probe::<false>).await.unwrap()), (2, 1));
    let held = store.turn.as_ref().unwrap().lock().await;
    for error in [store.write(&Probe::<false>).await.unwrap_err(), store.write(&Probe::<true>).await.unwrap_err()] {
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    }
    drop(held);
    assert_eq!(store.write(&Probe::<true>).await.unwrap(), 2);
}

#[test]
fn a_server_elsewhere_is_guarded_by_a_certificate_that_is_checked() {
    for (url, guarded) in [
        ("postgres://me@db.example/events", false),
        ("postgres://me@db.example/events?sslmode=prefer", false),
        ("postgres://me@db.example/events?sslmode=require", false),
        ("postgres://me@db.example/events?sslmode=verify-full&sslmode=disable", false),
        ("postgres://me@localhost/events?host=db.example", false),
        ("postgres://me@localhost.example/events", false),
        ("postgres://me@10.0.0.1/events", false),
        ("postgres://me@db.example/events?sslmode=verify-ca", true),
        ("postgres://me@db.example/events?sslmode=verify-full", true),
        ("postgresql://me@db.example/events?ssl-mode=verify-full", true),
        ("postgres://me@127.0.0.1/events", true),
        ("postgres://me@[::1]:5432/events", true),
        ("postgres://me@localhost/events", true),
        ("postgres://me@%2Frun%2Fpostgresql/events", true),
        ("sqlite://events.sqlite", true),
    ] {
        assert_eq!(is_guarded(url), guarded, "{url}");
    }
}

#[tokio::test]
async fn its_calls_may_move_between_threads() {
    fn movable(_: &impl Send) {}
    let store = Store::connect(&options("sqlite::memory:")).await.unwrap();
    movable(&store.migrate());
    movable(&store.partitions("events"));
    movable(&store.journal_published(&[]));
}

#[test]
fn options_never_show_the_password() {
    assert!(!format!("{:?}", options("postgres://me:hush@there/db")).contains("hush"));
}
