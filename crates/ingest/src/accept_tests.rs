//! What a 202 needs in each setting, and what happens when a way is shut.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use broker::log::Options;
use chassis::clock::{Clock, ManualClock, SystemClock};
use events_proxy_core::Moment;
use tokio::time::Instant;

use super::{Accept, Budget};
use crate::fake::{Bench, envelope, until};
use crate::settings::Durability;

const DEADLINE: Duration = Duration::from_millis(400);

/// A spool that takes nothing.
fn full() -> Options {
    Options { capacity_bytes: 1, ..Options::default() }
}

async fn bench(options: &Options, durability: Durability) -> (tempfile::TempDir, Bench) {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path(), options, durability).await;
    (dir, bench)
}

#[tokio::test]
async fn volume_needs_the_fsync_alone_and_never_asks_the_topic() {
    let (_dir, bench) = bench(&Options::default(), Durability::Volume).await;
    bench.topic.hangs.store(true, SeqCst);
    bench.accept(Durability::Volume).accept(&envelope("a"), Budget::new(DEADLINE)).await.unwrap();
    assert_eq!(bench.spool.bounds().end, 1);
    assert!(bench.counts("events_accepted_total{path=\"spool\"} 1"));
}

#[tokio::test]
async fn a_spool_that_is_full_is_gone_around_and_the_topic_has_the_event_before_the_202() {
    for durability in [Durability::Volume, Durability::Both, Durability::Broker] {
        let (_dir, bench) = bench(&full(), durability).await;
        bench.accept(durability).accept(&envelope("a"), Budget::new(DEADLINE)).await.unwrap();
        assert_eq!(bench.topic.ids(), ["a"]);
        assert!(bench.counts("events_accepted_total{path=\"broker\"} 1"));
        assert!(bench.counts("spool_failures_total{kind=\"full\"} 1"));
    }
}

#[tokio::test]
async fn a_wall_clock_that_jumps_costs_no_event_no_order_and_no_time() {
    let (dir, bench) = bench(&Options::default(), Durability::Volume).await;
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let accept = Accept { clock: Arc::<ManualClock>::clone(&clock), ..bench.accept(Durability::Volume) };
    let progress = bench.drain(dir.path());
    let moments = [i64::MAX, 0, SystemClock.now().as_micros(), -1, i64::MIN];
    for (at, moment) in (1_u64..).zip(moments) {
        clock.set(Moment::from_micros(moment));
        accept.accept(&envelope(&at.to_string()), Budget::new(DEADLINE)).await.unwrap();
        until(|| progress.unpublished(at) == 0).await;
    }
    assert_eq!(bench.topic.ids(), ["1", "2", "3", "4", "5"]);
    assert!(bench.counts("events_accepted_total{path=\"spool\"} 5"), "{}", bench.registry.render());
    assert!(bench.counts("accepted_late_total 0"), "{}", bench.registry.render());
}

#[tokio::test]
async fn when_both_ways_are_shut_the_refusal_comes_at_the_deadline() {
    let (_dir, bench) = bench(&full(), Durability::Volume).await;
    tokio::time::pause();
    bench.topic.hangs.store(true, SeqCst);
    let began = Instant::now();
    assert!(bench.accept(Durability::Volume).accept(&envelope("a"), Budget::new(DEADLINE)).await.is_err());
    let took = began.elapsed();
    assert!((DEADLINE..DEADLINE + Duration::from_millis(5)).contains(&took), "{took:?}");
}

/// Time is paused: it jumps to the spool's deadline while the writer, which knows of no pause, waits with its next batch.
#[tokio::test]
async fn a_late_append_that_lands_after_all_is_not_published_again() {
    let slow = Options { gather: Duration::from_secs(1), ..Options::default() };
    let (dir, bench) = bench(&slow, Durability::Volume).await;
    bench.spool(["before".to_owned()]).await;
    tokio::time::pause();
    let accept = bench.accept(Durability::Volume);
    accept.accept(&envelope("overtaken"), Budget::new(DEADLINE)).await.unwrap();
    assert!(bench.counts("spool_failures_total{kind=\"late\"} 1"), "{}", bench.registry.render());
    tokio::time::resume();
    until(|| bench.spool.bounds().end == 2).await;
    bench.spool(["after".to_owned()]).await;
    let progress = bench.drain(dir.path());
    until(|| progress.unpublished(3) == 0).await;
    assert_eq!(bench.topic.ids(), ["overtaken", "before", "after"]);
    assert!(bench.counts("events_overtaken_total 1"));
}

#[tokio::test]
async fn both_waits_for_the_topic_which_makes_no_second_copy() {
    let (dir, bench) = bench(&Options::default(), Durability::Both).await;
    bench.drain(dir.path());
    bench.accept(Durability::Both).accept(&envelope("a"), Budget::new(Duration::from_secs(20))).await.unwrap();
    assert_eq!(bench.topic.ids(), ["a"]);
    assert!(bench.counts("events_accepted_total{path=\"both\"} 1"));
    assert!(bench.counts("accept_waits_total{outcome=\"acked\"} 1"));
}

#[tokio::test]
async fn both_waits_softly_and_not_at_all_while_the_topic_is_in_trouble() {
    let (dir, bench) = bench(&Options::default(), Durability::Both).await;
    bench.topic.hangs.store(true, SeqCst);
    bench.drain(dir.path());
    let accept = bench.accept(Durability::Both);
    let began = Instant::now();
    accept.accept(&envelope("a"), Budget::new(DEADLINE)).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(140), "it did not wait: {:?}", began.elapsed());
    assert!(bench.counts("accept_waits_total{outcome=\"late\"} 1"));
    accept.accept(&envelope("a"), Budget::new(DEADLINE)).await.unwrap();
    assert!(bench.counts("accept_waits_total{outcome=\"skipped\"} 1"));
    assert!(bench.counts("events_accepted_total{path=\"spool\"} 2"));
}

#[tokio::test]
async fn broker_refuses_what_the_topic_does_not_acknowledge_and_delivers_it_all_the_same() {
    let (dir, bench) = bench(&Options::default(), Durability::Broker).await;
    bench.topic.fails.store(true, SeqCst);
    bench.drain(dir.path());
    let accept = bench.accept(Durability::Broker);
    assert!(accept.accept(&envelope("a"), Budget::new(DEADLINE)).await.is_err());
    bench.topic.fails.store(false, SeqCst);
    bench.lands(["a".to_owned()]).await;
    accept.accept(&envelope("b"), Budget::new(Duration::from_secs(20))).await.unwrap();
    assert_eq!(bench.topic.ids(), ["a", "b"]);
}

#[tokio::test]
async fn a_topic_that_fails_for_a_moment_is_asked_again_within_the_deadline() {
    let (_dir, bench) = bench(&full(), Durability::Volume).await;
    bench.topic.fails.store(true, SeqCst);
    let accept = bench.accept(Durability::Volume);
    let (event, heal) = (envelope("a"), async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        bench.topic.fails.store(false, SeqCst);
    });
    let (accepted, ()) = tokio::join!(accept.accept(&event, Budget::new(Duration::from_secs(20))), heal);
    accepted.unwrap();
    assert_eq!(bench.topic.ids(), ["a"]);
}

/// The clock is moved to the spool's deadline before the disk can be done; from then on it stands still until it is looked at.
#[tokio::test]
async fn a_spool_that_is_late_still_counts_while_the_topic_is_away() {
    let (_dir, bench) = bench(&Options::default(), Durability::Volume).await;
    bench.topic.hangs.store(true, SeqCst);
    let accept = bench.accept(Durability::Volume);
    let event = envelope("a");
    tokio::time::pause();
    let late = async {
        tokio::time::advance(DEADLINE / 2).await;
        while !bench.counts("spool_failures_total{kind=\"late\"} 1") {
            tokio::task::yield_now().await;
        }
        tokio::time::resume();
    };
    let (accepted, ()) = tokio::join!(biased; accept.accept(&event, Budget::new(DEADLINE)), late);
    accepted.unwrap();
    assert!(bench.counts("events_accepted_total{path=\"spool\"} 1"));
}
