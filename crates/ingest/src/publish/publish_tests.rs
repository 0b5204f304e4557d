//! What the publish stage does with a long backlog, with records that nobody takes, and with a spool that rots.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use broker::log::Options;
use chassis::clock::SystemClock;
use chassis::lifecycle::OnFailure;
use events_proxy_core::DeadReason;
use tokio::time::Instant;

use super::{CATCH_UP, Refused};
use crate::burial::Graveyard;
use crate::fake::{Bench, envelope, until};
use crate::metrics::Metrics;
use crate::settings::Durability;

fn ids(name: &str, range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|at| format!("{name}-{at}")).collect()
}

async fn bench(dir: &tempfile::TempDir) -> Bench {
    Bench::new(dir.path(), &Options::default(), Durability::Volume).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fresh_events_pass_a_long_backlog_and_neither_starves() {
    let (dir, backlog) = (tempfile::tempdir().unwrap(), CATCH_UP * 5);
    let bench = bench(&dir).await;
    bench.spool(ids("old", 0..backlog)).await;
    bench.topic.batch_ms.store(20, SeqCst);
    bench.drain(dir.path());
    until(|| bench.counts("publish_catch_ups_total 1")).await;

    let mut sent = Vec::new();
    for at in 0..20 {
        bench.spool([format!("fresh-{at}")]).await;
        sent.push(Instant::now());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.lands(ids("fresh", 0..20)).await;
    let left = backlog - u64::try_from(bench.topic.taken.lock().unwrap().iter().filter(|(id, _)| id.starts_with("old")).count()).unwrap();
    assert!(left > CATCH_UP, "the backlog was published before fresh events were: only {left} are left");
    bench.lands(ids("old", 0..backlog)).await;

    let taken = bench.topic.taken.lock().unwrap().clone();
    assert_eq!(taken.len() as u64, backlog + 20, "nothing is published twice");
    for (at, sent) in sent.iter().enumerate() {
        let landed = taken.iter().find(|(id, _)| *id == format!("fresh-{at}")).unwrap().1;
        let passed = taken.iter().filter(|(id, when)| id.starts_with("old") && when > sent && *when < landed).count() as u64;
        assert!(passed < CATCH_UP, "fresh event {at} waited for {passed} events of the backlog");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_the_middle_of_a_catch_up_repeats_little_and_loses_nothing() {
    let (dir, backlog) = (tempfile::tempdir().unwrap(), CATCH_UP * 4);
    let first = bench(&dir).await;
    first.spool(ids("old", 0..backlog)).await;
    first.topic.batch_ms.store(20, SeqCst);
    first.drain(dir.path());
    until(|| first.counts("publish_catch_ups_total 1")).await;
    first.spool(ids("fresh", 0..3_000)).await;
    first.lands(ids("fresh", 0..3_000)).await;
    // The cursors are stored every 200 ms.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(first.tasks.stop(Duration::from_secs(10)).await.is_empty());
    let before = first.topic.ids();
    drop(first);

    let second = bench(&dir).await;
    second.spool(ids("later", 0..10)).await;
    let progress = second.drain(dir.path());
    until(|| progress.unpublished(second.spool.bounds().end) == 0).await;
    let after = second.topic.ids();
    let all: HashSet<&String> = before.iter().chain(&after).collect();
    assert_eq!(all.len() as u64, backlog + 3_000 + 10);
    assert!(!after.iter().any(|id| id.starts_with("fresh")), "what had passed the backlog was published again");
    assert!(all.len() + 20_000 > before.len() + after.len(), "too much was published again");
}

#[tokio::test]
async fn a_record_that_the_topic_refuses_is_dead_with_payload_and_reason_and_all_others_flow() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(&dir).await;
    bench.topic.bytes_max.store(100_000, SeqCst);
    bench.spool(ids("good", 0..700).into_iter().chain(["poison".to_owned()]).chain(ids("more", 0..700))).await;
    let progress = bench.drain(dir.path());
    until(|| progress.unpublished(1_401) == 0).await;
    assert_eq!(bench.topic.ids().len(), 1_400, "each once");
    let mut dead = Vec::new();
    while dead.is_empty() {
        dead = bench.store.dead_letters(10).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((dead.len(), dead[0].reason), (1, DeadReason::Unpublishable));
    assert!(dead[0].detail.contains("InvalidRecord"), "{}", dead[0].detail);
    assert_eq!(dead[0].event_id.as_ref().unwrap().as_str(), "poison");
    assert!(String::from_utf8_lossy(&dead[0].record.payload).contains("two apples"));
    assert!(dead[0].record.headers.get("refused-because").is_none());
}

#[tokio::test]
async fn a_record_that_is_refused_again_after_a_crash_has_one_dead_row() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(&dir).await;
    let refused = Refused::open(dir.path(), bench.metrics.clone()).unwrap();
    let record = |id: &str| envelope(id).encode().unwrap();
    for (id, offset) in [("poison", 7), ("poison", 7), ("other", 8)] {
        refused.keep(&record(id), (offset, "no")).await;
    }
    drop(refused);
    bench.drain(dir.path());
    let mut dead = Vec::new();
    // The second burial of one comes before the other's.
    while dead.len() < 2 {
        dead = bench.store.dead_letters(10).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut rows: Vec<_> = dead.iter().map(|row| (row.offset, &row.record)).collect();
    rows.sort_by_key(|(offset, _)| *offset);
    assert_eq!(rows, [(7, &record("poison")), (8, &record("other"))]);
    until(|| bench.counts("events_unpublishable_waiting 0")).await;
}

#[tokio::test]
async fn a_record_larger_than_the_topic_takes_is_dead_alone() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(&dir).await;
    let long = "x".repeat(100);
    bench.spool(ids("good", 0..50).into_iter().chain([long.clone()]).chain(ids("more", 0..50))).await;
    let bytes = envelope("good-10").encode().unwrap().bytes();
    bench.topic.bytes_max.store(u64::try_from(bytes).unwrap() + 20, SeqCst);
    let progress = bench.drain(dir.path());
    until(|| progress.unpublished(101) == 0).await;
    let taken = bench.topic.ids();
    assert!(taken.len() == 100 && !taken.contains(&long), "{} were taken", taken.len());
    assert!(bench.counts("events_unpublishable_total 1"));
}

#[tokio::test]
async fn a_record_of_the_spool_that_rots_is_kept_as_dead_with_its_bytes_and_all_others_flow() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(&dir).await;
    bench.spool(ids("good", 0..100)).await;
    let path = dir.path().join("00000000000000000000.log");
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(7).position(|window| window == b"good-50").unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"XXXX", u64::try_from(at).unwrap()).unwrap();

    let progress = bench.drain(dir.path());
    until(|| progress.unpublished(100) == 0).await;
    let mut expected: HashSet<String> = ids("good", 0..100).into_iter().collect();
    expected.remove("good-50");
    assert_eq!(bench.topic.ids().into_iter().collect::<HashSet<_>>(), expected);
    let mut dead = Vec::new();
    while dead.is_empty() {
        dead = bench.store.dead_letters(10).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((dead.len(), dead[0].reason), (1, DeadReason::Undecodable));
    assert!(String::from_utf8_lossy(&dead[0].record.payload).contains("XXXX-50"), "its bytes are kept");
    assert!(dead[0].detail.contains("checksum"), "{}", dead[0].detail);
}

#[tokio::test]
async fn a_refused_event_that_rots_before_it_is_buried_is_counted_as_lost_and_the_others_are_dead() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(&dir).await;
    let metrics = Metrics::new(&bench.registry);
    let refused = Refused::open(dir.path(), metrics.clone()).unwrap();
    for (at, id) in (0..).zip(ids("poison", 0..3)) {
        refused.keep(&envelope(&id).encode().unwrap(), (at, "it is too large")).await;
    }
    assert_eq!(refused.waiting(), 3);
    let path = dir.path().join("refused").join("00000000000000000000.log");
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|window| window == b"poison-2").unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"XXXX", u64::try_from(at).unwrap()).unwrap();

    let graveyard = Graveyard { refused: refused.clone(), store: bench.store.clone(), clock: Arc::new(SystemClock), metrics };
    bench.tasks.spawn("bury", OnFailure::StopProcess, graveyard.dig());
    until(|| bench.counts("events_unpublishable_lost_total 1")).await;
    until(|| refused.waiting() == 0).await; // or each start would tell of it again
    let mut dead = Vec::new();
    while dead.len() < 2 {
        dead = bench.store.dead_letters(10).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(dead.iter().all(|letter| letter.reason == DeadReason::Unpublishable), "{dead:?}");
}
