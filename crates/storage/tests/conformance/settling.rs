//! Laws of commits: offsets, ends, dead letters.

use std::time::Duration;

use events_proxy_core::envelope::Record;
use events_proxy_core::{DeadReason, SourceId, State};
use storage::{Commit, DeadKind, DeadRow, End, Passed, Progress, Settled, Undecodable};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::ground::Ground;
use crate::sample::{TOPIC, beat, commit, dead, due, id, offsets, own, parked, published, row, second, settle, settled, shop, state, to};

pub(crate) async fn offsets_are_kept_and_never_go_back(ground: &Ground) {
    let at = |topic: &str, partition, next| Commit { topic: topic.to_owned(), partition, progress: to(next), ..commit(Vec::new()) };
    own(&ground.store, TOPIC).await;
    own(&ground.store, "others").await;
    assert_eq!(offsets(&ground.store, TOPIC).await, []);
    for next in 1..=5 {
        ground.store.commit(&at(TOPIC, 0, next)).await.unwrap();
        assert_eq!(offsets(&ground.store, TOPIC).await, [(0, next)]);
    }
    for (topic, partition, next) in [(TOPIC, 0, 3), (TOPIC, 23, 9_000_000_000), ("others", 0, 8), (TOPIC, 7, 0)] {
        ground.store.commit(&at(topic, partition, next)).await.unwrap();
    }
    assert_eq!(offsets(&ground.store, TOPIC).await, [(0, 5), (23, 9_000_000_000)]);
    assert_eq!(offsets(&ground.store, "others").await, [(0, 8)]);
}

pub(crate) async fn a_commit_without_offset_leaves_it(ground: &Ground) {
    own(&ground.store, TOPIC).await;
    ground.store.commit(&Commit { progress: to(4), ..commit(vec![settled("a", 3, parked(5))]) }).await.unwrap();
    let still = to(0).map(|progress| Progress { next_offset: None, ..progress });
    ground.store.commit(&Commit { progress: still, ..commit(vec![settled("a", 3, End::Delivered)]) }).await.unwrap();
    assert_eq!(offsets(&ground.store, TOPIC).await, [(3, 4)]);
    assert_eq!(state(&ground.store, "a").await, State::Delivered);
}

pub(crate) async fn a_dead_event_keeps_payload_attempts_and_reason(ground: &Ground) {
    let end = settled("a", 3, dead());
    ground.store.commit(&commit(vec![end.clone()])).await.unwrap();
    let expected = DeadRow {
        topic: TOPIC.to_owned(),
        partition: 3,
        offset: 3,
        kind: DeadKind::Refused,
        reason: DeadReason::Refused,
        detail: "the target said no".to_owned(),
        source_id: Some(shop()),
        event_id: Some(id("a")),
        name: Some(end.name),
        trace_id: Some(end.trace_id),
        brand: end.brand,
        received_at: Some(end.received_at),
        consumed_at: Some(end.consumed_at),
        died_at: end.settled_at,
        attempts: end.attempts.clone(),
        record: end.record,
    };
    assert_eq!(ground.store.dead_letters(10).await.unwrap(), [expected]);
    let row = row(&ground.store, "a").await;
    assert_eq!((row.state, row.attempts), (State::Dead, end.attempts));
    assert_eq!((row.dead_reason, row.dead_detail.as_deref()), (Some(DeadReason::Refused), Some("the target said no")));
}

pub(crate) async fn a_record_that_is_no_event_becomes_a_dead_letter_without_ids(ground: &Ground) {
    let record = Record { key: vec![0], payload: vec![0xff, 0], headers: [("x\0", [0])].into_iter().collect() };
    let undecodable =
        Undecodable { partition: 3, offset: 8, record: record.clone(), detail: "no header".to_owned(), at: second(1), was_parked: false };
    own(&ground.store, TOPIC).await;
    let commit = Commit { progress: to(9), undecodable: vec![undecodable.clone(), undecodable], ..commit(Vec::new()) };
    ground.store.commit(&commit).await.unwrap();
    let letters = ground.store.dead_letters(10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].kind, letters[0].reason, letters[0].record.clone()), (DeadKind::Undeliverable, DeadReason::Undecodable, record));
    assert_eq!((&letters[0].source_id, &letters[0].event_id, &letters[0].name, letters[0].received_at), (&None, &None, &None, None));
    assert_eq!((letters[0].offset, letters[0].died_at), (8, second(1)));
    assert_eq!(ground.store.counts().await.unwrap().dead, 0, "the journal has events only");
}

pub(crate) async fn dead_letters_come_newest_first(ground: &Ground) {
    for (event, offset) in [("b", 2), ("c", 3), ("a", 1)] {
        settle(&ground.store, event, offset, dead()).await;
    }
    let offsets = |letters: Vec<DeadRow>| letters.iter().map(|letter| letter.offset).collect::<Vec<_>>();
    assert_eq!(offsets(ground.store.dead_letters(10).await.unwrap()), [3, 2, 1]);
    assert_eq!(offsets(ground.store.dead_letters(2).await.unwrap()), [3, 2]);
    assert_eq!(offsets(ground.store.dead_letters(0).await.unwrap()), [0; 0]);
}

pub(crate) async fn settled_events_are_told_from_others(ground: &Ground) {
    ground.store.journal_published(&[published("published", 1)]).await.unwrap();
    for (event, offset, end) in [("delivered", 2, End::Delivered), ("dead", 3, dead()), ("parked", 4, parked(9))] {
        settle(&ground.store, event, offset, end).await;
    }
    let mut keys: Vec<_> = (0..1_100).map(|n| (shop(), id(&format!("unknown {n}")))).collect();
    keys.extend(["published", "delivered", "dead", "parked", "delivered"].map(|event| (shop(), id(event))));
    keys.push((SourceId::new("bank"), id("delivered")));
    let settled = ground.store.settled_among(&keys).await.unwrap();
    assert_eq!(settled, [(shop(), id("delivered")), (shop(), id("dead")), (shop(), id("parked"))].into());
    assert!(ground.store.settled_among(&[]).await.unwrap().is_empty());
}

pub(crate) async fn a_commit_repeated_changes_nothing(ground: &Ground) {
    let ends = vec![settled("a", 1, End::Delivered), settled("b", 2, dead()), settled("c", 3, parked(9))];
    own(&ground.store, TOPIC).await;
    let commit = Commit { progress: to(4), ..commit(ends) };
    ground.store.commit(&commit).await.unwrap();
    let before = (row(&ground.store, "a").await, row(&ground.store, "b").await, row(&ground.store, "c").await);
    ground.store.commit(&commit).await.unwrap();
    assert_eq!((row(&ground.store, "a").await, row(&ground.store, "b").await, row(&ground.store, "c").await), before);
    assert_eq!(ground.store.dead_letters(10).await.unwrap().len(), 1);
    assert_eq!(due(&ground.store, 9).await.len(), 1);
}

pub(crate) async fn an_event_twice_in_one_commit_takes_its_highest_state(ground: &Ground) {
    let ends = vec![settled("a", 1, parked(9)), settled("a", 2, End::Delivered), settled("a", 3, dead())];
    ground.store.commit(&commit(ends)).await.unwrap();
    assert_eq!(state(&ground.store, "a").await, State::Delivered);
    assert_eq!(due(&ground.store, 99).await, []);
    assert_eq!(ground.store.dead_letters(10).await.unwrap(), []);
}

pub(crate) async fn commits_and_news_of_the_same_events_at_once_all_succeed(ground: &Ground) {
    own(&ground.store, TOPIC).await;
    let mut writers = JoinSet::new();
    for writer in 0..6u64 {
        let store = ground.store.clone();
        // Each tells of the same events, beginning with another one.
        let events: Vec<u64> = (0..200).map(|n| (n * 7 + writer * 31) % 200).collect();
        writers.spawn(async move {
            for _ in 0..4 {
                if writer % 2 == 0 {
                    let news: Vec<_> = events.iter().map(|n| published(&format!("e{n}"), *n)).collect();
                    store.journal_published(&news).await.unwrap();
                } else {
                    let ends = events.iter().map(|n| settled(&format!("e{n}"), *n, if writer == 1 { parked(*n) } else { End::Delivered }));
                    store.commit(&Commit { progress: to(writer), ..commit(ends.collect()) }).await.unwrap();
                }
            }
        });
    }
    writers.join_all().await;
    assert_eq!(ground.store.counts().await.unwrap().delivered, 200);
    assert_eq!(due(&ground.store, 999).await, []);
    assert_eq!(row(&ground.store, "e0").await.published_at, Some(second(2)));
}

pub(crate) async fn partitions_that_share_a_transaction_are_fenced_one_by_one(ground: &Ground) {
    let of = |partition: u32, epoch, event: &str, end| {
        let settled = Settled { partition, ..settled(event, 4, end) };
        let progress = to(5).map(|progress| Progress { epoch, ..progress });
        Commit { partition, progress, ..commit(vec![settled]) }
    };
    own(&ground.store, TOPIC).await;
    let passed = Passed { delivered: 4, dead: 1, ..Passed::default() };
    let counted = to(5).map(|progress| Progress { passed, ..progress });
    let fact = Commit { partition: 2, progress: None, ..commit(vec![settled("fact", 9, End::Delivered)]) };
    let commits = [
        of(7, 1, "ours", End::Delivered),
        of(9, 2, "theirs", dead()),
        Commit { progress: counted, ..of(0, 1, "parked", parked(9)) },
        fact,
        of(7, 0, "of the life before", End::Delivered),
    ];
    let commits: Vec<&Commit> = commits.iter().collect();
    for _again in 0..2 {
        assert_eq!(ground.store.commit_together(&commits).await.unwrap(), [true, false, true, true, false]);
    }
    assert_eq!(offsets(&ground.store, TOPIC).await, [(0, 5), (7, 5)]);
    let keys = ["ours", "theirs", "parked", "fact", "of the life before"].map(|event| (shop(), id(event)));
    let known = ground.store.settled_among(&keys).await.unwrap();
    assert_eq!(known, ["ours", "parked", "fact"].map(|event| (shop(), id(event))).into());
    let (letters, waiting) = (ground.store.dead_letters(10).await.unwrap(), ground.store.waiting(TOPIC, &[0, 7, 9]).await.unwrap());
    assert_eq!((letters.len(), waiting.keys().copied().collect::<Vec<_>>()), (0, vec![0]));
    assert!(ground.store.commit_together(&[]).await.unwrap().is_empty());
}

pub(crate) async fn a_beat_and_commits_of_many_partitions_do_not_wait_for_each_other(ground: &Ground) {
    own(&ground.store, TOPIC).await;
    let mut writers = JoinSet::new();
    for writer in 0..3u32 {
        let store = ground.store.clone();
        writers.spawn(async move {
            for round in 1..100 {
                if writer == 0 {
                    store.beat(&beat("me")).await.unwrap();
                    continue;
                }
                let places = (0..24).map(|n| (n * 7 + writer * 5) % 24);
                let commits: Vec<_> = places.map(|partition| Commit { partition, progress: to(round), ..commit(Vec::new()) }).collect();
                let written = store.commit_together(&commits.iter().collect::<Vec<_>>()).await.unwrap();
                assert!(written.iter().all(|written| *written));
            }
        });
    }
    let began = Instant::now();
    writers.join_all().await;
    // PostgreSQL looks for a deadlock after a second, and here there would be one in most rounds.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}
