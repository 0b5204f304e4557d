//! Turns, pauses and what is not asked, without a database.

use std::sync::Arc;
use std::time::Duration;

use chassis::lifecycle::Tasks;
use chassis::metrics::Registry;
use storage::{Asked, Limit, Options, Reserved, Store};
use tokio::time::Instant;

use super::super::{Pace, limit};
use super::{Lately, Means, PAUSE, Shared, Turn, longer, turns_of};
use crate::metrics::slots::Slots;

/// So many requests in so many milliseconds.
fn of(requests: u32, millis: u64) -> Limit {
    limit(requests, Duration::from_millis(millis)).unwrap()
}

#[test]
fn as_many_have_their_turn_as_slots_come_due_between_two_looks_at_the_clock() {
    for (requests, millis, turns) in [(1, 3_000, 1), (1_000, 1_000, 1), (5_000, 1_000, 5), (1_000, 100, 10), (1_000_000, 1, 1_000)] {
        assert_eq!(turns_of(of(requests, millis)), turns, "{requests} in {millis} ms");
    }
}

/// The pace of a process whose database nobody serves.
async fn unserved(registry: &Registry) -> Shared {
    let url = "postgres://localhost:1/none".to_owned();
    let store = Store::connect(&Options { url, max_connections: 1, acquire_timeout: Duration::from_millis(50) }).await.unwrap();
    let means = Means { store, target: "target".to_owned(), limit: of(10, 1_000), slots: Slots::new(registry) };
    Shared::start(means, &Tasks::new())
}

#[test]
fn the_pause_after_failures_doubles_up_to_a_second() {
    let mut pauses = vec![PAUSE.0];
    pauses.extend(std::iter::repeat_n((), 6).scan(PAUSE.0, |pause, ()| {
        *pause = longer(*pause);
        Some(*pause)
    }));
    assert_eq!(pauses, [50, 100, 200, 400, 800, 1_000, 1_000].map(Duration::from_millis));
}

#[tokio::test]
async fn the_database_is_asked_for_nothing_before_an_attempt_waits() {
    let registry = Registry::new();
    let shared = unserved(&registry).await;
    let failed = || {
        registry
            .render()
            .lines()
            .any(|line| line.starts_with("pace_reservations_total") && line.contains("failed") && !line.ends_with(" 0"))
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!failed(), "{}", registry.render());
    let seen = async {
        while !failed() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = shared.slot() => panic!("a slot without the database"),
        () = seen => {}
    }
}

#[tokio::test]
async fn another_limit_has_its_own_turns_and_one_of_as_many_keeps_the_queue() {
    let shared = unserved(&Registry::new()).await;
    let queue = || Arc::clone(&shared.state().queue);
    let hear_of = |limit| {
        let asked = Asked { slots: 0, ahead: Duration::ZERO, pushed: Duration::ZERO };
        let reserved = Reserved { now: 1, first: 1, slots: 0, pushed: Duration::ZERO, paused_until: 0, limit };
        shared.take_up(0, 0, asked, &reserved);
    };
    let first = queue();
    hear_of(of(20, 1_000));
    assert!(Arc::ptr_eq(&first, &queue()), "20 a second have one turn as well as 10");
    hear_of(of(5_000, 1_000));
    assert_eq!((first.available_permits(), queue().available_permits()), (1, 5));
}

#[tokio::test]
async fn a_pause_comes_before_all_slots_in_hand_and_ends_at_its_moment() {
    let shared = unserved(&Registry::new()).await;
    assert!(matches!(shared.take(), Turn::Wait), "no slot is in hand");
    let until = Instant::now() + Duration::from_secs(60);
    shared.state().not_before = until;
    assert!(matches!(shared.take(), Turn::At(due) if due == until), "a pause lasts");
    shared.state().not_before = shared.0.origin;
    assert!(matches!(shared.take(), Turn::Wait), "a pause is over");
}

#[tokio::test]
async fn a_moment_and_its_time_are_each_others() {
    let shared = unserved(&Registry::new()).await;
    let origin = shared.0.origin;
    for (time, moment) in [(0, origin), (1, origin + Duration::from_nanos(1)), (3_600_000_000_000, origin + Duration::from_secs(3_600))] {
        assert_eq!((shared.moment(time), shared.time(moment)), (moment, time));
    }
}

#[tokio::test]
async fn the_share_that_is_used_is_that_of_the_slots_given_out() {
    let shared = unserved(&Registry::new()).await;
    assert_eq!(shared.used(), 0.0);
    shared.state().lately = Lately::new(1_000, Duration::from_secs(1));
    for _ in 0..50 {
        shared.state().lately.note(Instant::now());
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    // Half of the first tenth of a second, or of several where this machine is slow.
    let used = shared.used();
    assert!(used > 0.0 && used < 1.0, "{used}");
}
