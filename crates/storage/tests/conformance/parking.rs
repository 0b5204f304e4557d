//! Laws of parked events.

use events_proxy_core::State;
use storage::{End, ParkedRow, Waiting};

use crate::ground::Ground;
use crate::sample::{self, TOPIC, commit, dead, parked, second, settle, settled, state};

/// The offsets of what is due in that second.
async fn due(ground: &Ground, now: u64) -> Vec<u64> {
    sample::due(&ground.store, now).await.iter().map(|row| row.offset).collect()
}

pub(crate) async fn a_parked_event_is_due_at_its_moment(ground: &Ground) {
    let end = settled("a", 3, parked(50));
    ground.store.commit(&commit(vec![end.clone()])).await.unwrap();
    assert_eq!(due(ground, 49).await, [0u64; 0]);
    let expected = ParkedRow {
        topic: TOPIC.to_owned(),
        partition: 3,
        offset: 3,
        record: end.record,
        attempts: end.attempts,
        forgiven: 0,
        next_attempt_at: second(50),
        consumed_at: end.consumed_at,
    };
    assert_eq!(sample::due(&ground.store, 50).await, [expected]);
    assert_eq!(state(&ground.store, "a").await, State::Parked);
}

pub(crate) async fn due_events_come_oldest_first_and_by_topic(ground: &Ground) {
    for (event, offset, until) in [("a", 1, 30), ("b", 2, 10), ("c", 3, 20), ("d", 4, 99)] {
        settle(&ground.store, event, offset, parked(until)).await;
    }
    let mut other = commit(vec![settled("e", 5, parked(1))]);
    "others".clone_into(&mut other.topic);
    ground.store.commit(&other).await.unwrap();
    assert_eq!(due(ground, 40).await, [2, 3, 1]);
    let two = ground.store.due(TOPIC, &[3], second(40), 2).await.unwrap().rows;
    assert_eq!(two.iter().map(|row| row.offset).collect::<Vec<_>>(), [2, 3]);
}

pub(crate) async fn a_parked_event_that_is_delivered_leaves_no_parked_row(ground: &Ground) {
    settle(&ground.store, "a", 1, parked(10)).await;
    settle(&ground.store, "b", 2, parked(10)).await;
    settle(&ground.store, "a", 1, End::Delivered).await;
    assert_eq!(due(ground, 99).await, [2], "and only its own");
    assert_eq!(state(&ground.store, "a").await, State::Delivered);
}

pub(crate) async fn a_parked_event_that_dies_leaves_no_parked_row(ground: &Ground) {
    settle(&ground.store, "a", 1, parked(10)).await;
    settle(&ground.store, "a", 1, dead()).await;
    assert_eq!(due(ground, 99).await, [0u64; 0]);
    assert_eq!(ground.store.dead_letters(9).await.unwrap().len(), 1);
}

pub(crate) async fn a_parked_event_that_is_parked_again_is_replaced(ground: &Ground) {
    settle(&ground.store, "a", 1, parked(10)).await;
    let mut again = settled("a", 1, parked(70));
    again.settled_at = second(60);
    again.attempts.push(crate::sample::attempt(3, events_proxy_core::Outcome::Unavailable));
    ground.store.commit(&commit(vec![again.clone()])).await.unwrap();
    assert_eq!(due(ground, 69).await, [0u64; 0]);
    let rows = sample::due(&ground.store, 70).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].attempts, again.attempts);
}

pub(crate) async fn a_delivered_event_is_neither_parked_nor_buried(ground: &Ground) {
    settle(&ground.store, "a", 1, End::Delivered).await;
    settle(&ground.store, "a", 1, parked(10)).await;
    settle(&ground.store, "a", 1, dead()).await;
    assert_eq!(due(ground, 99).await, [0u64; 0]);
    assert_eq!(ground.store.dead_letters(9).await.unwrap(), []);
    assert_eq!(state(&ground.store, "a").await, State::Delivered);
}

pub(crate) async fn a_dead_event_that_was_delivered_after_all_leaves_no_dead_row(ground: &Ground) {
    // Its owner gave it up; then the owner before heard that the target had taken its own attempt.
    settle(&ground.store, "a", 1, dead()).await;
    settle(&ground.store, "b", 2, dead()).await;
    settle(&ground.store, "a", 1, End::Delivered).await;
    // Another one, of a topic that was there before at the same place.
    settle(&ground.store, "c", 2, End::Delivered).await;
    let left = ground.store.dead_letters(9).await.unwrap();
    assert_eq!(left.iter().map(|row| row.offset).collect::<Vec<_>>(), [2], "and only its own");
    assert_eq!(state(&ground.store, "a").await, State::Delivered);
}

pub(crate) async fn an_event_delivered_elsewhere_is_no_longer_parked(ground: &Ground) {
    // The event is on the topic twice: parked from offset 1, then delivered from offset 9.
    settle(&ground.store, "a", 1, parked(10)).await;
    settle(&ground.store, "a", 9, End::Delivered).await;
    assert_eq!(due(ground, 10).await, [1], "its row goes when it is settled itself");
    settle(&ground.store, "a", 1, parked(20)).await;
    assert_eq!(due(ground, 99).await, [0u64; 0]);
}

pub(crate) async fn parked_events_are_told_to_the_owner_of_their_partition(ground: &Ground) {
    for (event, offset) in [("a", 5), ("b", 2)] {
        settle(&ground.store, event, offset, parked(10)).await;
    }
    let elsewhere = storage::Settled { partition: 4, ..settled("c", 9, parked(10)) };
    ground.store.commit(&storage::Commit { partition: 4, ..commit(vec![elsewhere]) }).await.unwrap();
    assert_eq!(due(ground, 99).await, [2, 5]);
    assert_eq!(ground.store.due(TOPIC, &[], second(99), 9).await.unwrap().rows, []);
    assert_eq!(ground.store.due(TOPIC, &[4, 5], second(99), 9).await.unwrap().rows.len(), 1);
    let waiting = ground.store.waiting(TOPIC, &[3, 4, 5]).await.unwrap();
    let expected = [(3, Waiting { events: 2, oldest: second(2) }), (4, Waiting { events: 1, oldest: second(9) })];
    assert_eq!(waiting, expected.into());
}
