//! What happens while the database is away, silent or busy: an error within a known time, never a wait without end.

use std::net::TcpListener;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Database};
use storage::{Error, Options, Store};
use tokio::time::Instant;

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

#[tokio::test]
async fn another_process_that_writes_for_long_is_told_and_the_store_recovers() {
    let ground = Ground::file().await;
    let store = Store::connect(&Options { acquire_timeout: ACQUIRE, ..options(&ground.options.url) }).await.unwrap();
    let mut one = sea_orm::ConnectOptions::new(&ground.options.url);
    one.max_connections(1);
    let other = Database::connect(one).await.unwrap();
    other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    let (took, error) = asked(&store).await;
    assert!(matches!(error, Error::Contended(_)), "{error:?}");
    assert!(took < ACQUIRE * 8, "{took:?}");
    assert!(store.counts().await.is_ok(), "readers do not wait for writers");
    other.execute_unprepared("COMMIT").await.unwrap();
    settle(&store, "a", 1, storage::End::Delivered).await;
    assert_eq!(state(&store, "a").await, events_proxy_core::State::Delivered);
}
