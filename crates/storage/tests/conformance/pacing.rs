//! The laws of a target's limit and its slots.

use std::time::Duration;

use storage::{Asked, Limit, Reserved, Store};
use tokio::task::JoinSet;

use crate::ground::Ground;

/// A second and its guard.
const SECOND: Limit = Limit { requests: 10, interval: Duration::from_secs(1), guard: Duration::from_millis(20) };
/// The distance of that limit's slots, in nanoseconds.
const DISTANCE: u64 = 102_000_000;

/// Asks for slots up to ten seconds ahead.
async fn reserve(store: &Store, slots: u32) -> Reserved {
    let asked = Asked { slots, ahead: Duration::from_secs(10), pushed: Duration::ZERO };
    store.reserve("target", asked).await.unwrap().unwrap()
}

/// Puts the limit in place.
async fn limited(ground: &Ground) -> &Store {
    ground.store.configure_limit("target", SECOND).await.unwrap();
    &ground.store
}

pub(crate) async fn a_configured_limit_is_found_and_a_changed_one_stays_until_another_is_configured(ground: &Ground) {
    let store = limited(ground).await;
    assert_eq!(store.limit("target").await.unwrap(), Some(SECOND));
    let changed = Limit { requests: 25, ..SECOND };
    assert!(store.change_limit("target", changed).await.unwrap());
    store.configure_limit("target", SECOND).await.unwrap();
    assert_eq!(store.limit("target").await.unwrap(), Some(changed), "a restart undoes no change");
    let other = Limit { interval: Duration::from_secs(2), ..SECOND };
    store.configure_limit("target", other).await.unwrap();
    assert_eq!(store.limit("target").await.unwrap(), Some(other));
}

pub(crate) async fn a_target_without_a_limit_has_none(ground: &Ground) {
    limited(ground).await;
    assert_eq!(ground.store.limit("another").await.unwrap(), None);
    assert!(!ground.store.change_limit("another", SECOND).await.unwrap());
}

pub(crate) async fn slots_follow_each_other_at_the_limits_distance(ground: &Ground) {
    let store = limited(ground).await;
    let (first, second) = (reserve(store, 3).await, reserve(store, 2).await);
    assert_eq!((first.slots, second.slots, first.limit), (3, 2, SECOND));
    assert_eq!(first.first, first.now);
    assert_eq!(second.first, first.first + 3 * DISTANCE);
}

pub(crate) async fn no_slot_is_given_out_twice_whoever_asks(ground: &Ground) {
    limited(ground).await;
    let mut asking = JoinSet::new();
    for _ in 0..4 {
        let store = ground.another().await;
        asking.spawn(async move {
            let mut slots = Vec::new();
            for size in [1, 3, 2, 5, 1] {
                let reserved = reserve(&store, size).await;
                slots.extend((0..u64::from(reserved.slots)).map(|number| reserved.first + number * DISTANCE));
            }
            slots
        });
    }
    let mut slots = asking.join_all().await.concat();
    slots.sort_unstable();
    assert!(slots.windows(2).all(|pair| pair[1] - pair[0] >= DISTANCE), "{slots:?}");
    assert_eq!(slots.len(), 4 * 12);
}

pub(crate) async fn nothing_is_given_out_further_ahead_than_asked(ground: &Ground) {
    let store = limited(ground).await;
    let asked = Asked { slots: 100, ahead: Duration::from_millis(200), pushed: Duration::ZERO };
    let near = store.reserve("target", asked).await.unwrap().unwrap();
    assert_eq!(near.slots, 2, "now and 102 ms from now");
    let none = store.reserve("target", Asked { ahead: Duration::ZERO, ..asked }).await.unwrap().unwrap();
    assert_eq!((none.slots, none.first), (0, near.first + 2 * DISTANCE));
}

pub(crate) async fn an_idle_time_saves_no_slots_up(ground: &Ground) {
    let store = limited(ground).await;
    reserve(store, 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let later = reserve(store, 5).await;
    assert_eq!(later.first, later.now);
}

pub(crate) async fn a_pause_holds_for_everybody(ground: &Ground) {
    let store = limited(ground).await;
    store.pause_slots("target", Duration::from_secs(5)).await.unwrap();
    store.pause_slots("target", Duration::from_secs(1)).await.unwrap();
    let reserved = reserve(&ground.another().await, 1).await;
    assert_eq!(reserved.first, reserved.paused_until);
    assert!(reserved.first - reserved.now > 4_000_000_000, "{} ns", reserved.first - reserved.now);
}

pub(crate) async fn where_the_databases_clock_is_set_back_slots_go_on_beyond_those_given_out(ground: &Ground) {
    let store = limited(ground).await;
    let near = Asked { slots: 5, ahead: Duration::from_millis(200), pushed: Duration::ZERO };
    store.reserve("target", near).await.unwrap().unwrap();
    store.pause_slots("target", Duration::from_secs(1)).await.unwrap();
    // What a clock that is set back by an hour makes of the row.
    ground.run("UPDATE pace_slot SET next_slot = next_slot + 3600000000000, paused_until = 0").await;
    let none = store.reserve("target", near).await.unwrap().unwrap();
    assert_eq!((none.slots, none.first), (0, none.now + 200_000_000 + 1_020_000_000), "one interval and its guard from the last one");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let next = store.reserve("target", near).await.unwrap().unwrap();
    assert!(next.slots > 0 && next.first == none.first, "{next:?}");
    ground.run("UPDATE pace_slot SET next_slot = next_slot + 3600000000000, paused_until = next_slot + 3600000000000").await;
    let paused = store.reserve("target", near).await.unwrap().unwrap();
    assert_eq!((paused.slots, paused.first, paused.paused_until), (0, paused.now + 300_000_000_000, paused.now + 300_000_000_000));
    let again = store.reserve("target", near).await.unwrap().unwrap();
    assert_eq!(again.first, paused.first, "the pause does not move on");
}

pub(crate) async fn a_push_counts_once_however_often_it_is_asked_for(ground: &Ground) {
    let store = limited(ground).await;
    let before = reserve(store, 20).await;
    let pushed = Duration::from_millis(30);
    for _ in 0..3 {
        let none = store.reserve("target", Asked { slots: 0, ahead: Duration::ZERO, pushed }).await.unwrap().unwrap();
        assert_eq!((none.slots, none.pushed), (0, pushed));
    }
    assert_eq!(reserve(store, 1).await.first, before.first + 20 * DISTANCE + 30_000_000);
}

pub(crate) async fn a_faster_limit_does_not_wait_out_the_slower_one(ground: &Ground) {
    let slow = Limit { requests: 1, interval: Duration::from_secs(86_400), guard: Duration::from_millis(20) };
    ground.store.configure_limit("target", slow).await.unwrap();
    let first = reserve(&ground.store, 1).await;
    assert_eq!(first.slots, 1);
    for _ in 0..3 {
        assert!(ground.store.change_limit("target", SECOND).await.unwrap());
        assert!(ground.store.change_limit("target", slow).await.unwrap());
    }
    assert!(ground.store.change_limit("target", SECOND).await.unwrap());
    let next = reserve(&ground.store, 1).await;
    assert!(next.slots == 1 && next.first >= first.first + DISTANCE, "{next:?}");
    assert!(next.first - first.first < DISTANCE + 1_000_000_000, "{next:?}");
}
