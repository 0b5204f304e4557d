//! Parked events on a whole dispatcher: none is delivered twice, and none that does not read stands in another's way.

use std::time::Duration;

use chassis::clock::{Clock, SystemClock};
use events_proxy_core::envelope::Record;
use events_proxy_core::{DeadReason, EventId, SourceId};
use simulators::target::{Failure, Options};
use storage::{Commit, End, Settled};

use super::{Ground, MILLI, record, until};
use crate::consume::Order;

#[tokio::test(flavor = "multi_thread")]
async fn parked_events_are_not_delivered_twice_however_often_they_are_looked_for() {
    let failing = Options { failure_share: 0.3, failures: vec![Failure::ServerError], latency: MILLI * 5, ..Options::default() };
    let ground = Ground::new(failing).await;
    ground.publish("shop", 0..200).await;
    let (running, _) = ground.start("one", Order::None);
    until("everything is delivered", async || running.numbers().delivered == 200).await;
    assert_eq!((running.numbers().parked, ground.target.numbers().duplicates), (0, 0));
    running.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_event_that_does_not_read_any_more_is_dead_and_in_nobody_s_way() {
    let ground = Ground::new(Options::default()).await;
    ground.store.migrate().await.unwrap();
    let now = SystemClock.now();
    let parked = |id: &str, offset: u64, record: Record| Settled {
        source_id: SourceId::new("shop"),
        event_id: EventId::new(id),
        name: "ok".to_owned(),
        trace_id: String::new(),
        brand: None,
        received_at: now,
        consumed_at: now,
        settled_at: now,
        partition: 0,
        offset,
        attempts: Vec::new(),
        forgiven: 0,
        end: End::Parked { next_attempt_at: now },
        record,
    };
    // More than are looked at in one go, all due before the whole one.
    let mut settled: Vec<Settled> = (0..250).map(|number| parked(&format!("broken-{number}"), 900 + number, Record::default())).collect();
    settled.push(parked("whole", 2_000, record("shop", "whole")));
    let commit = Commit { topic: "events".to_owned(), partition: 0, progress: None, settled, undecodable: Vec::new() };
    ground.store.commit(&commit).await.unwrap();
    ground.publish("shop", 0..3).await;
    let (running, _) = ground.start("one", Order::None);
    until("what reads is delivered", async || running.numbers().delivered == 4).await;
    until("what does not is dead", async || ground.store.dead_letters(999).await.unwrap().len() == 250).await;
    let letters = ground.store.dead_letters(999).await.unwrap();
    assert!(letters.iter().all(|letter| letter.offset < 2_000 && letter.reason == DeadReason::Undecodable));
    let counts = ground.store.counts().await.unwrap();
    assert_eq!((counts.dead, counts.delivered, counts.parked), (250, 4, 0));
    until("nothing is parked", async || running.numbers().parked == 0).await;
    assert_eq!(ground.store.balance("events").await.unwrap().unaccounted(), 0);
    running.stop(Duration::from_secs(5)).await;
}
