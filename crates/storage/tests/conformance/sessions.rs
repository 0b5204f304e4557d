//! Laws of sessions and their refresh tokens.

use std::time::Duration;

use events_proxy_core::Moment;
use storage::{NewSession, Rotated, RotatedSession, Rotation};
use tokio::task::JoinSet;

use crate::ground::Ground;
use crate::sample::{second, shop};

/// How long a token is good, in seconds.
const LIFETIME: u64 = 100;

pub(crate) fn opening(id: &str, token: u8) -> NewSession {
    NewSession {
        id: id.to_owned(),
        account_id: shop(),
        ip: "10.0.0.1".to_owned(),
        started_at: second(0),
        token_hash: [token; 32],
        token_expires_at: second(LIFETIME),
    }
}

pub(crate) fn rotation(spent: u8, next: u8, now: Moment) -> Rotation {
    let next_expires_at = now.plus(Duration::from_secs(LIFETIME));
    Rotation { spent_hash: [spent; 32], next_hash: [next; 32], ip: "10.0.0.1".to_owned(), now, next_expires_at }
}

fn done() -> Rotated {
    Rotated::Done(RotatedSession { id: "s".to_owned(), account_id: shop(), started_at: second(0) })
}

/// Opens session `s` with token 1.
async fn open(ground: &Ground) {
    ground.store.open_session(&opening("s", 1)).await.unwrap();
}

/// Rotates in that second.
async fn rotate(ground: &Ground, spent: u8, next: u8, at: u64) -> Rotated {
    ground.store.rotate(&rotation(spent, next, second(at))).await.unwrap()
}

pub(crate) async fn a_token_is_exchanged_once_for_its_successor(ground: &Ground) {
    open(ground).await;
    assert_eq!(rotate(ground, 1, 2, 10).await, done());
    assert_eq!(rotate(ground, 2, 3, 20).await, done());
    assert_eq!(rotate(ground, 3, 4, 110).await, done(), "the successor's time counts from its own birth");
}

pub(crate) async fn a_token_that_was_never_issued_is_unknown(ground: &Ground) {
    open(ground).await;
    assert_eq!(rotate(ground, 9, 2, 10).await, Rotated::Unknown);
    assert_eq!(rotate(ground, 2, 3, 10).await, Rotated::Unknown, "its successor was not stored");
}

pub(crate) async fn an_expired_token_stays_as_it_was(ground: &Ground) {
    open(ground).await;
    assert_eq!(rotate(ground, 1, 2, LIFETIME).await, Rotated::Expired);
    assert_eq!(rotate(ground, 1, 2, LIFETIME - 1).await, done());
}

pub(crate) async fn a_spent_token_ends_the_whole_session(ground: &Ground) {
    open(ground).await;
    assert_eq!(rotate(ground, 1, 2, 10).await, done());
    assert_eq!(rotate(ground, 1, 3, 11).await, Rotated::Reused);
    assert_eq!(rotate(ground, 2, 4, 12).await, Rotated::Reused, "the successor went with its session");
    assert_eq!(rotate(ground, 3, 4, 13).await, Rotated::Unknown);
    ground.store.open_session(&opening("other", 7)).await.unwrap();
    assert!(matches!(rotate(ground, 7, 8, 14).await, Rotated::Done(session) if session.id == "other"));
}

pub(crate) async fn the_tokens_of_an_ended_session_count_as_reused(ground: &Ground) {
    open(ground).await;
    ground.store.end_session("s", second(5)).await.unwrap();
    ground.store.end_session("s", second(6)).await.unwrap();
    ground.store.end_session("nobody", second(6)).await.unwrap();
    assert_eq!(rotate(ground, 1, 2, 10).await, Rotated::Reused);
}

pub(crate) async fn a_token_from_another_address_stays_unspent(ground: &Ground) {
    open(ground).await;
    let elsewhere = Rotation { ip: "10.0.0.2".to_owned(), ..rotation(1, 2, second(10)) };
    assert_eq!(ground.store.rotate(&elsewhere).await.unwrap(), Rotated::OtherAddress);
    assert_eq!(rotate(ground, 1, 2, 10).await, done());
}

pub(crate) async fn of_many_rotations_at_once_exactly_one_is_done(ground: &Ground) {
    open(ground).await;
    let mut rotations = JoinSet::new();
    for next in 2..52 {
        let store = ground.store.clone();
        rotations.spawn(async move { store.rotate(&rotation(1, next, second(10))).await.unwrap() });
    }
    let outcomes = rotations.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == done()).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Rotated::Reused).count(), 49, "{outcomes:?}");
    for next in 2..52 {
        assert_ne!(rotate(ground, next, 99, 11).await, done(), "the session was ended by the reuse");
    }
}

pub(crate) async fn sessions_that_were_ended_are_told_since_a_moment(ground: &Ground) {
    let ended = async |since| ground.store.ended_sessions(second(since)).await.unwrap();
    for (id, token, at) in [("s", 1, 10), ("t", 2, 20), ("open", 3, 0)] {
        ground.store.open_session(&opening(id, token)).await.unwrap();
        if at > 0 {
            ground.store.end_session(id, second(at)).await.unwrap();
        }
    }
    assert_eq!(ended(10).await, ["t", "s"]);
    assert_eq!((ended(11).await, ended(21).await), (vec!["t".to_owned()], Vec::new()));
    assert_eq!(
        rotate(ground, 3, 4, 30).await,
        Rotated::Done(RotatedSession { id: "open".to_owned(), account_id: shop(), started_at: second(0) })
    );
    assert_eq!(rotate(ground, 3, 5, 40).await, Rotated::Reused);
    assert_eq!(ended(40).await, ["open"], "the reuse has ended it");
}

pub(crate) async fn opening_a_session_again_changes_nothing(ground: &Ground) {
    open(ground).await;
    assert_eq!(rotate(ground, 1, 2, 10).await, done());
    open(ground).await;
    assert_eq!(rotate(ground, 2, 3, 10).await, done());
    assert_eq!(rotate(ground, 1, 4, 10).await, Rotated::Reused);
}

pub(crate) async fn what_is_long_over_is_forgotten(ground: &Ground) {
    /// More than the day for which expired tokens are remembered.
    const DAYS: u64 = 2 * 24 * 60 * 60;
    open(ground).await;
    assert_eq!(rotate(ground, 1, 2, 10).await, done());
    let late = NewSession { started_at: second(DAYS), token_expires_at: second(DAYS + LIFETIME), ..opening("late", 5) };
    ground.store.open_session(&late).await.unwrap();
    assert_eq!(rotate(ground, 2, 3, 20).await, Rotated::Unknown);
    assert_eq!(rotate(ground, 1, 3, 20).await, Rotated::Unknown);
    assert!(matches!(rotate(ground, 5, 6, DAYS).await, Rotated::Done(_)));
    assert!(matches!(rotate(ground, 6, 7, DAYS).await, Rotated::Done(_)));
}
