//! What happens while the database is away, silent or busy: an error within a known time, never a wait without end.

use std::error::Error as _;
use std::net::TcpListener;
use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use storage::{Error, Options, Search, Store};
use tokio::time::Instant;

use crate::cable::Cable;
use crate::ground::{Ground, options};
use crate::sample::{published, settle, state};

/// How long the stores of these tests wait for a connection.
const ACQUIRE: Duration = Duration::from_millis(500);

/// Asks the store something and says how long the answer took.
async fn asked(store: &Store) -> (Duration, Error) {
    let start = Instant::now();
    let error = store.journal_published(&[published("a", 1)]).await.unwrap_err();
    (start.elapsed(), error)
}

async fn at_port(port: u16) -> Store {
    let url = format!("postgres://nobody@127.0.0.1:{port}/nothing");
    Store::connect(&Options { url, max_connections: 2, acquire_timeout: ACQUIRE }).await.unwrap()
}

#[tokio::test]
async fn an_absent_postgresql_is_told_in_time() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = at_port(port).await;
    for _ in 0..3 {
        let (took, error) = asked(&store).await;
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        assert!(took < ACQUIRE * 2, "{took:?}");
    }
    assert!(matches!(store.ping().await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn a_postgresql_that_never_answers_is_told_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let store = at_port(silent.local_addr().unwrap().port()).await;
    let (took, error) = asked(&store).await;
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(took < ACQUIRE * 2, "{took:?}");
}

/// A store of one connection over a cable to the ground's PostgreSQL.
async fn over_cable(ground: &Ground) -> (Store, Cable) {
    let server = PgConnectOptions::from_str(&ground.options.url).unwrap();
    let cable = Cable::to(server.get_host().to_owned(), server.get_port()).await;
    let url = format!("{}&host=127.0.0.1&port={}", ground.options.url, cable.port);
    (Store::connect(&Options { url, max_connections: 1, acquire_timeout: ACQUIRE }).await.unwrap(), cable)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_that_was_cut_is_replaced_within_the_call() {
    let ground = Ground::server().await;
    let (store, cable) = over_cable(&ground).await;
    store.ping().await.unwrap();
    // The connection is back in the pool by then.
    tokio::time::sleep(ACQUIRE / 2).await;
    cable.cut();
    store.journal_published(&[published("a", 1)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_cut_at_work_gives_its_place_and_its_locks_back() {
    let ground = Ground::server().await;
    let (store, cable) = over_cable(&ground).await;
    // A statement that was prepared before waits for the lock as a whole, not at its preparation.
    store.journal_published(&[published("before", 0)]).await.unwrap();
    let mut one = sea_orm::ConnectOptions::new(&ground.options.url);
    one.max_connections(1);
    let other = Database::connect(one).await.unwrap();
    other.execute_unprepared("BEGIN; LOCK TABLE journal").await.unwrap();
    let rows = [published("a", 1)];
    let caller = tokio::time::timeout(ACQUIRE, store.journal_published(&rows));
    let cutting = async {
        tokio::time::sleep(ACQUIRE / 2).await;
        cable.cut();
    };
    assert!(tokio::join!(caller, cutting).0.is_err(), "the caller lost patience while its statement waited for the lock");
    other.execute_unprepared("ROLLBACK").await.unwrap();
    let start = Instant::now();
    while store.ping().await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(5), "the only connection is held by a cable that was cut");
    }
    // What was cut has its transaction open on the server and holds the row; the server ends it before others give up.
    ground.store.journal_published(&rows).await.unwrap();
    assert!(start.elapsed() > Duration::from_secs(3), "the row was held, else this test shows nothing");
}

#[tokio::test]
async fn a_search_that_takes_too_long_is_given_up_by_postgresql() {
    let ground = Ground::server().await;
    let mut one = sea_orm::ConnectOptions::new(&ground.options.url);
    one.max_connections(1);
    let other = Database::connect(one).await.unwrap();
    other.execute_unprepared("BEGIN; LOCK TABLE journal").await.unwrap();
    let start = Instant::now();
    let error = ground.store.search(&Search { limit: 1, ..Search::default() }).await.unwrap_err();
    let took = start.elapsed();
    assert!(error.source().unwrap().to_string().contains("statement timeout"), "{error:?}");
    assert!(took > Duration::from_secs(9) && took < Duration::from_secs(15), "{took:?}");
}

/// A store of little patience on the ground's file, and another process in the middle of a write.
async fn beside_a_writer(ground: &Ground) -> (Store, DatabaseConnection) {
    let store = Store::connect(&Options { acquire_timeout: ACQUIRE, ..options(&ground.options.url) }).await.unwrap();
    let mut one = sea_orm::ConnectOptions::new(&ground.options.url);
    one.max_connections(1);
    let other = Database::connect(one).await.unwrap();
    other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    (store, other)
}

#[tokio::test]
async fn another_process_that_writes_for_a_while_is_waited_for() {
    let ground = Ground::file().await;
    let (store, other) = beside_a_writer(&ground).await;
    let rows = [published("a", 1)];
    let ending = async {
        tokio::time::sleep(ACQUIRE * 3 / 2).await;
        other.execute_unprepared("COMMIT").await.unwrap();
    };
    assert!(tokio::join!(store.journal_published(&rows), ending).0.is_ok());
}

#[tokio::test]
async fn another_process_that_writes_for_long_is_told_and_the_store_recovers() {
    let ground = Ground::file().await;
    let (store, other) = beside_a_writer(&ground).await;
    let (took, error) = asked(&store).await;
    assert!(matches!(error, Error::Contended(_)), "{error:?}");
    assert!(took < ACQUIRE * 8, "{took:?}");
    assert!(store.counts().await.is_ok(), "readers do not wait for writers");
    other.execute_unprepared("COMMIT").await.unwrap();
    settle(&store, "a", 1, storage::End::Delivered).await;
    assert_eq!(state(&store, "a").await, events_proxy_core::State::Delivered);
}
