//! A partition whose commit the storage refuses, beside one whose commits it takes.

use std::time::Duration;

use broker::{Publisher, memory};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use simulators::target::Options;
use storage::Store;

use super::{Ground, record, until};
use crate::consume::Order;

/// What the storage refuses.
const REFUSE: &str = "CREATE TRIGGER refuse BEFORE INSERT ON journal WHEN NEW.event_id = 'refused' BEGIN SELECT RAISE(ABORT, 'no'); END";

/// Runs a statement beside the dispatcher.
async fn run(beside: &DatabaseConnection, sql: &str) {
    beside.execute_unprepared(sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_the_storage_refuses_holds_up_no_other_partition_and_is_tried_until_it_holds() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", directory.path().join("db").display());
    let options = storage::Options { url: url.clone(), max_connections: 2, acquire_timeout: Duration::from_secs(5) };
    let store = Store::connect(&options).await.unwrap();
    store.migrate().await.unwrap();
    let beside = Database::connect(&url).await.unwrap();
    run(&beside, REFUSE).await;
    let ground = Ground { store, topic: memory::Topic::new(2), ..Ground::new(Options::default()).await };
    ground.topic.publish(0, &["a", "refused", "b"].map(|id| record("shop", id))).await.unwrap();
    let other: Vec<_> = (0..20).map(|number| record("bank", &format!("{number}"))).collect();
    ground.topic.publish(1, &other).await.unwrap();
    let (running, _) = ground.start("one", Order::None);
    until("the other partition is settled", async || running.committed().get(&1) == Some(&20)).await;
    ground.topic.publish(1, &[record("bank", "later")]).await.unwrap();
    until("it goes on", async || running.committed().get(&1) == Some(&21)).await;
    assert!(running.committed().get(&0).is_none_or(|next| *next < 3), "a refused commit counts as stored");
    run(&beside, "DROP TRIGGER refuse").await;
    until("the refused commit holds", async || running.committed().get(&0) == Some(&3)).await;
    assert_eq!((ground.target.numbers().distinct, ground.target.numbers().duplicates), (24, 0));
    running.stop(Duration::from_secs(5)).await;
}
