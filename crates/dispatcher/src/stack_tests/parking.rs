//! Parked events on a whole dispatcher: none is delivered twice, and none that does not read stands in another's way.

use std::time::Duration;

use broker::Publisher;
use chassis::clock::{Clock, SystemClock};
use chassis::lifecycle::Tasks;
use events_proxy_core::envelope::Record;
use events_proxy_core::{DeadReason, EventId, SourceId};
use simulators::target::{Failure, Options};
use storage::{Commit, End, Settled};

use super::super::start;
use super::{Ground, MILLI, ghost, record, until};
use crate::consume::Order;

/// An event of partition 0 that is parked, and due now.
fn parked(id: &str, offset: u64, record: Record) -> Settled {
    let now = SystemClock.now();
    Settled {
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
    }
}

/// Stores what is true whoever says it.
async fn settle(ground: &Ground, settled: Vec<Settled>) {
    let commit = Commit { topic: "events".to_owned(), partition: 0, progress: None, settled, undecodable: Vec::new() };
    ground.store.commit(&commit).await.unwrap();
}

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
async fn as_many_parked_events_are_under_way_as_there_are_places() {
    let ground = Ground::new(Options { latency: Duration::from_secs(300), ..Options::default() }).await;
    ground.store.migrate().await.unwrap();
    let settled = (0..450).map(|number| parked(&format!("e-{number}"), number, record("shop", &format!("e-{number}"))));
    settle(&ground, settled.collect()).await;
    let mut parts = ground.parts("one", Order::None);
    (parts.settings.in_flight_max, parts.settings.target.timeout) = (430, Duration::from_secs(300));
    let running = start(parts, &Tasks::new()).unwrap().0;
    until("all places are taken", async || running.numbers().in_flight == 430).await;
    running.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_event_that_does_not_read_any_more_is_dead_and_in_nobody_s_way() {
    let ground = Ground::new(Options::default()).await;
    ground.store.migrate().await.unwrap();
    // More than are looked at in one go, all due before the whole one.
    let mut settled: Vec<Settled> = (0..250).map(|number| parked(&format!("broken-{number}"), 900 + number, Record::default())).collect();
    settled.push(parked("whole", 2_000, record("shop", "whole")));
    settle(&ground, settled).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_event_that_another_delivers_meanwhile_is_not_sent_when_its_partition_comes_back() {
    let ground = Ground::with_partitions(2, Options { latency: MILLI * 1_800, ..Options::default() }).await;
    let mut parts = ground.parts("one", Order::None);
    (parts.settings.in_flight_max, parts.settings.terms.renew) = (1, MILLI * 100);
    let running = start(parts, &Tasks::new()).unwrap().0;
    until("both partitions are owned", async || running.committed().len() == 2).await;
    ground.topic.publish(1, &[record("shop", "slow")]).await.unwrap();
    until("the only place is taken", async || running.numbers().in_flight == 1).await;
    settle(&ground, vec![parked("waits", 900, record("shop", "waits"))]).await;
    // It is read within half a second, and waits for the place.
    tokio::time::sleep(MILLI * 700).await;
    let other = ghost();
    let mut epoch = 0;
    until("another owns its partition", async || {
        ground.store.release("events", "one", (0, 1)).await.unwrap();
        epoch = ground.store.beat(&other).await.unwrap().held.first().map_or(0, |holding| holding.epoch);
        epoch > 0
    })
    .await;
    until("it is lost", async || running.committed().len() == 1).await;
    settle(&ground, vec![Settled { end: End::Delivered, ..parked("waits", 900, record("shop", "waits")) }]).await;
    ground.store.release("events", "a ghost", (0, epoch)).await.unwrap();
    ground.store.leave("events", "a ghost").await.unwrap();
    until("it is back", async || running.committed().len() == 2).await;
    assert_eq!(running.numbers().delivered, 0, "the place was free too early to show anything");
    until("the place is free", async || running.numbers().delivered == 1).await;
    tokio::time::sleep(MILLI * 700).await;
    assert_eq!((running.numbers().in_flight, ground.target.numbers().received), (0, 1), "it was sent again");
    running.stop(Duration::from_secs(5)).await;
}
