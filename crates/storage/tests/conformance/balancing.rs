//! Laws of the balance: what offsets pass has an end, and what has an end has its row.

use events_proxy_core::envelope::Record;
use storage::{Astray, Balance, Commit, End, Expired, Passed, Progress, Undecodable, Why};

use crate::ground::Ground;
use crate::sample::{TOPIC, commit, dead, own, parked, published, second, settled, to};

/// A commit of these events that moves the offset to `next`.
fn passing(next: u64, passed: Passed, events: Vec<storage::Settled>) -> Commit {
    Commit { progress: to(next).map(|progress| Progress { passed, ..progress }), ..commit(events) }
}

/// What is named of an event.
fn named(found: &[Astray]) -> Vec<(&str, u64)> {
    found.iter().map(|astray| (astray.event_id.as_str(), astray.offset)).collect()
}

/// Five records with one end each: delivered, parked, dead, repeated, expired; and one ahead of the offset.
async fn five(ground: &Ground) {
    own(&ground.store, TOPIC).await;
    let passed = Passed { delivered: 1, parked: 1, dead: 1, repeated: 1, expired: 1 };
    let events =
        vec![settled("a", 0, End::Delivered), settled("b", 1, parked(9)), settled("c", 2, dead()), settled("f", 6, End::Delivered)];
    let whole = passing(5, passed, events);
    ground.store.commit(&whole).await.unwrap();
    // As after an answer that never came: the same commit again.
    ground.store.commit(&whole).await.unwrap();
}

pub(crate) async fn records_that_ended_balance_however_often_their_commit_is_written(ground: &Ground) {
    five(ground).await;
    let passed = Passed { delivered: 1, parked: 1, dead: 1, repeated: 1, expired: 1 };
    assert_eq!(ground.store.balance(TOPIC).await.unwrap(), Balance { records: 5, passed, ..Balance::default() });
    assert_eq!(ground.store.balance("others").await.unwrap(), Balance::default());
    for why in Why::ALL {
        assert_eq!(ground.store.astray(TOPIC, why).await.unwrap(), []);
    }
    assert_eq!(ground.store.skipping(TOPIC).await.unwrap(), []);
}

pub(crate) async fn a_record_passed_without_an_end_is_counted_and_named(ground: &Ground) {
    five(ground).await;
    ground.store.journal_published(&[published("lost", 5), published("waits", 7)]).await.unwrap();
    assert_eq!(ground.store.balance(TOPIC).await.unwrap().unaccounted(), 0, "what waits is not lost");
    ground.store.commit(&passing(7, Passed { delivered: 1, ..Passed::default() }, Vec::new())).await.unwrap();
    let balance = ground.store.balance(TOPIC).await.unwrap();
    assert_eq!((balance.skipped, balance.unaccounted()), (1, 1));
    assert_eq!(ground.store.skipping(TOPIC).await.unwrap(), [(3, 1)]);
    let lost = ground.store.astray(TOPIC, Why::NoEnd).await.unwrap();
    assert_eq!(named(&lost), [("lost", 5)]);
    ground.store.count_anew(TOPIC).await.unwrap();
    assert_eq!(ground.store.balance(TOPIC).await.unwrap(), Balance::default());
    assert_eq!(ground.store.astray(TOPIC, Why::NoEnd).await.unwrap(), lost, "a new count takes no name back");
}

pub(crate) async fn what_the_topic_dropped_or_could_not_be_read_is_not_named(ground: &Ground) {
    five(ground).await;
    ground.store.journal_published(&[published("dropped", 5), published("damaged", 6)]).await.unwrap();
    let passed = Passed { expired: 1, dead: 1, ..Passed::default() };
    let range = Expired { first: 5, end: 6, found_at: second(1) };
    let progress = to(7).map(|progress| Progress { passed, expired: vec![range], ..progress });
    let damaged =
        Undecodable { partition: 3, offset: 6, record: Record::default(), detail: "torn".to_owned(), at: second(1), was_parked: false };
    ground.store.commit(&Commit { progress, undecodable: vec![damaged], ..commit(Vec::new()) }).await.unwrap();
    assert_eq!(ground.store.balance(TOPIC).await.unwrap().unaccounted(), 0);
    assert_eq!(ground.store.astray(TOPIC, Why::NoEnd).await.unwrap(), []);
}

pub(crate) async fn rows_count_before_anybody_owns_a_partition(ground: &Ground) {
    ground.store.commit(&commit(vec![settled("b", 1, parked(9)), settled("c", 2, dead())])).await.unwrap();
    assert_eq!(ground.store.balance(TOPIC).await.unwrap(), Balance::default());
}

pub(crate) async fn an_event_whose_row_is_gone_is_counted_and_named(ground: &Ground) {
    five(ground).await;
    ground.run("DELETE FROM parked").await;
    let balance = ground.store.balance(TOPIC).await.unwrap();
    assert_eq!((balance.parked_gone, balance.dead_gone, balance.unaccounted()), (1, 0, 1));
    ground.run("DELETE FROM dead").await;
    let balance = ground.store.balance(TOPIC).await.unwrap();
    assert_eq!((balance.parked_gone, balance.dead_gone, balance.unaccounted()), (1, 1, 2));
    assert_eq!(named(&ground.store.astray(TOPIC, Why::ParkedGone).await.unwrap()), [("b", 1)]);
    assert_eq!(named(&ground.store.astray(TOPIC, Why::DeadGone).await.unwrap()), [("c", 2)]);
}
