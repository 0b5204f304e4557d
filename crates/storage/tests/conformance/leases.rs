//! Laws of leases: one owner, a fencing epoch, fair shares, and the database's clock alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use storage::{Beat, Commit, End, Error, Expired, Holding, Progress, Standing, Store};
use tokio::task::JoinSet;

use crate::ground::Ground;
use crate::sample::{TOPIC, beat, commit, offsets, own, parked, second, settled, shop, state, to};

/// A lease that is over before the next call.
const NOTHING: Duration = Duration::ZERO;

/// The partitions that a member holds, with their epochs.
fn held(standing: &Standing) -> Vec<(u32, u64)> {
    let mut held: Vec<_> = standing.held.iter().map(|holding| (holding.partition, holding.epoch)).collect();
    held.sort_unstable();
    held
}

/// A beat of a member that begins, on a topic of so many partitions.
fn begin(member: &str, partitions: u32) -> Beat {
    Beat { partitions, first: true, ..beat(member) }
}

pub(crate) async fn a_member_alone_owns_everything_under_a_new_epoch(ground: &Ground) {
    let standing = own(&ground.store, TOPIC).await;
    assert_eq!((standing.quota, standing.members, standing.unsettled), (24, 1, 0));
    assert_eq!(held(&standing), (0..24).map(|partition| (partition, 1)).collect::<Vec<_>>());
    let again = ground.store.beat(&beat("me")).await.unwrap();
    assert_eq!(held(&again), held(&standing), "a renewal changes no epoch");
    let rows = ground.store.partitions(TOPIC).await.unwrap();
    assert!(rows.iter().all(|row| row.owner.as_deref() == Some("me") && row.epoch == 1) && rows.len() == 24);
}

pub(crate) async fn a_live_lease_is_taken_by_nobody_and_one_that_is_over_by_the_next(ground: &Ground) {
    ground.store.beat(&begin("one", 2)).await.unwrap();
    let two = ground.store.beat(&begin("two", 2)).await.unwrap();
    assert_eq!((two.quota, held(&two)), (1, Vec::new()));
    ground.store.beat(&Beat { ttl: NOTHING, ..begin("one", 2) }).await.unwrap();
    let two = ground.store.beat(&Beat { partitions: 2, ..beat("two") }).await.unwrap();
    assert_eq!((two.quota, two.members), (2, 1), "who does not beat is no member");
    assert_eq!(held(&two), [(0, 3), (1, 3)]);
}

pub(crate) async fn a_late_renewal_keeps_what_nobody_has_claimed_and_nothing_else(ground: &Ground) {
    ground.store.beat(&begin("one", 3)).await.unwrap();
    let over = Beat { partitions: 3, ttl: NOTHING, ..beat("one") };
    for _ in 0..2 {
        // The second time it is over already, and still its own.
        assert_eq!(held(&ground.store.beat(&over).await.unwrap()), [(0, 1), (1, 1), (2, 1)]);
    }
    let two = ground.store.beat(&begin("two", 3)).await.unwrap();
    assert_eq!(held(&two), [(0, 2), (1, 2), (2, 2)]);
    let one = ground.store.beat(&Beat { partitions: 3, ..beat("one") }).await.unwrap();
    assert_eq!(held(&one), [], "a zombie finds nothing that it owned");
}

pub(crate) async fn a_member_that_begins_again_takes_its_partitions_over_at_once(ground: &Ground) {
    own(&ground.store, TOPIC).await;
    let standing = own(&ground.store, TOPIC).await;
    assert_eq!(held(&standing), (0..24).map(|partition| (partition, 2)).collect::<Vec<_>>());
    let former = Commit { progress: to(9), ..commit(Vec::new()) };
    assert!(matches!(ground.store.commit(&former).await, Err(Error::Fenced)), "its former life is fenced");
}

pub(crate) async fn shares_are_equal_once_the_surplus_is_given_back(ground: &Ground) {
    let members = ["a", "b", "c", "d", "e"];
    ground.store.beat(&begin("a", 24)).await.unwrap();
    for round in 0..3 {
        for member in members {
            let standing = ground.store.beat(&Beat { first: round == 0 && member != "a", ..beat(member) }).await.unwrap();
            let surplus = standing.held.len().saturating_sub(standing.quota as usize);
            for holding in standing.held.iter().rev().take(surplus) {
                assert!(ground.store.release(TOPIC, member, (holding.partition, holding.epoch)).await.unwrap());
            }
        }
    }
    let mut shares = Vec::new();
    for member in members {
        shares.push(ground.store.beat(&beat(member)).await.unwrap().held.len());
    }
    assert_eq!(shares, [5, 5, 5, 5, 4]);
}

pub(crate) async fn members_beyond_the_partitions_own_nothing(ground: &Ground) {
    for member in ["a", "b", "c"] {
        ground.store.beat(&begin(member, 1)).await.unwrap();
    }
    let c = ground.store.beat(&Beat { partitions: 1, ..beat("c") }).await.unwrap();
    assert_eq!((c.quota, c.members, held(&c)), (0, 3, Vec::new()));
}

pub(crate) async fn a_member_that_stops_claims_nothing_and_others_share_its_part(ground: &Ground) {
    let one = ground.store.beat(&begin("one", 2)).await.unwrap();
    ground.store.beat(&begin("two", 2)).await.unwrap();
    let draining = Beat { partitions: 2, draining: true, ..beat("one") };
    let stopping = ground.store.beat(&draining).await.unwrap();
    assert_eq!((stopping.quota, held(&stopping)), (0, held(&one)), "it keeps what is under way until it gives it back");
    for holding in held(&one) {
        assert!(ground.store.release(TOPIC, "one", holding).await.unwrap());
        assert!(!ground.store.release(TOPIC, "one", holding).await.unwrap(), "once");
    }
    assert_eq!(held(&ground.store.beat(&draining).await.unwrap()), []);
    let two = ground.store.beat(&Beat { partitions: 2, ..beat("two") }).await.unwrap();
    assert_eq!((two.quota, held(&two)), (2, vec![(0, 2), (1, 2)]));
    ground.store.leave(TOPIC, "one").await.unwrap();
    ground.store.leave(TOPIC, "one").await.unwrap();
}

pub(crate) async fn a_member_claims_what_it_is_short_of_and_no_more(ground: &Ground) {
    ground.store.beat(&begin("one", 6)).await.unwrap();
    ground.store.beat(&begin("two", 6)).await.unwrap();
    for partition in 1..6 {
        assert!(ground.store.release(TOPIC, "one", (partition, 1)).await.unwrap());
    }
    let one = ground.store.beat(&Beat { partitions: 6, ..beat("one") }).await.unwrap();
    assert_eq!((one.quota, held(&one)), (3, vec![(0, 1), (1, 2), (2, 2)]));
}

pub(crate) async fn who_has_left_is_no_member(ground: &Ground) {
    ground.store.beat(&begin("one", 4)).await.unwrap();
    let beaten = ground.store.beat(&begin("two", 4)).await.unwrap();
    assert_eq!((beaten.members, beaten.quota), (2, 2));
    ground.store.leave("others", "two").await.unwrap();
    ground.store.leave(TOPIC, "two").await.unwrap();
    let alone = ground.store.beat(&Beat { partitions: 4, ..beat("one") }).await.unwrap();
    assert_eq!((alone.members, alone.quota), (1, 4));
}

pub(crate) async fn a_lease_for_ever_is_never_over(ground: &Ground) {
    ground.store.beat(&Beat { ttl: Duration::MAX, ..begin("one", 2) }).await.unwrap();
    let two = ground.store.beat(&begin("two", 2)).await.unwrap();
    assert_eq!((two.members, held(&two)), (2, Vec::new()));
}

pub(crate) async fn of_many_beats_at_once_each_partition_goes_to_one(ground: &Ground) {
    let mut epochs = BTreeMap::new();
    for round in 0..4 {
        let mut beating = JoinSet::new();
        for member in 0..8 {
            let (store, member) = (ground.store.clone(), format!("{round}-{member}"));
            beating.spawn(async move { (store.beat(&begin(&member, 24)).await.unwrap().held, member) });
        }
        let shares: Vec<(Vec<Holding>, String)> = beating.join_all().await;
        let all: Vec<Holding> = shares.iter().flat_map(|(held, _)| held).copied().collect();
        let different: BTreeSet<u32> = all.iter().map(|holding| holding.partition).collect();
        assert_eq!(different.len(), all.len(), "round {round}: {all:?}");
        assert!(!all.is_empty());
        for (held, member) in shares {
            for Holding { partition, epoch, .. } in held {
                let former = epochs.insert(partition, epoch);
                assert!(former.is_none_or(|former| former < epoch), "round {round}: partition {partition}: {epoch} after {former:?}");
                assert!(ground.store.release(TOPIC, &member, (partition, epoch)).await.unwrap());
            }
            ground.store.leave(TOPIC, &member).await.unwrap();
        }
    }
}

/// What another owner leaves of a commit.
async fn fenced(store: &Store, progress: Option<Progress>) {
    let ends = vec![settled("a", 1, End::Delivered), settled("b", 2, crate::sample::dead()), settled("c", 3, parked(9))];
    let outcome = store.commit(&Commit { progress, ..commit(ends) }).await;
    assert!(matches!(outcome, Err(Error::Fenced)), "{outcome:?}");
    assert!(store.events(&shop(), &storage::Query { limit: 9, ..Default::default() }).await.unwrap().rows.is_empty());
    assert!(store.dead_letters(9).await.unwrap().is_empty());
    assert!(crate::sample::due(store, 99).await.is_empty());
    assert_eq!(offsets(store, TOPIC).await, []);
    assert_eq!(store.expired(TOPIC).await.unwrap(), 0);
}

pub(crate) async fn a_commit_under_an_epoch_that_is_over_writes_nothing(ground: &Ground) {
    own(&ground.store, TOPIC).await;
    let gone = Expired { first: 0, end: 5, found_at: second(1) };
    let mine = to(4).map(|progress| Progress { expired: vec![gone], ..progress }).unwrap();
    for progress in
        [Progress { epoch: 2, ..mine.clone() }, Progress { epoch: 0, ..mine.clone() }, Progress { member: "you".to_owned(), ..mine }]
    {
        fenced(&ground.store, Some(progress)).await;
    }
    assert!(ground.store.release(TOPIC, "me", (3, 1)).await.unwrap());
    fenced(&ground.store, to(4)).await;
}

pub(crate) async fn that_an_event_was_delivered_may_be_told_by_anybody(ground: &Ground) {
    own(&ground.store, TOPIC).await;
    ground.store.commit(&Commit { progress: to(4), ..commit(vec![settled("a", 3, parked(9))]) }).await.unwrap();
    ground.store.commit(&commit(vec![settled("a", 3, End::Delivered)])).await.unwrap();
    assert_eq!(state(&ground.store, "a").await, events_proxy_core::State::Delivered);
    assert!(crate::sample::due(&ground.store, 99).await.is_empty());
    assert_eq!(offsets(&ground.store, TOPIC).await, [(3, 4)]);
}

pub(crate) async fn owners_tell_where_partitions_end_and_all_learn_how_much_is_left(ground: &Ground) {
    own(&ground.store, TOPIC).await;
    ground.store.commit(&Commit { progress: to(40), ..commit(Vec::new()) }).await.unwrap();
    let told = Beat { ends: vec![(3, 100), (5, 7)], ..beat("me") };
    assert_eq!(ground.store.beat(&told).await.unwrap().unsettled, 67);
    let older = Beat { ends: vec![(3, 50)], ..beat("me") };
    assert_eq!(ground.store.beat(&older).await.unwrap().unsettled, 67, "an end never goes back");
    let stranger = Beat { ends: vec![(3, 1_000)], ..begin("you", 24) };
    assert_eq!(ground.store.beat(&stranger).await.unwrap().unsettled, 67, "only the owner tells");
}

pub(crate) async fn what_the_topic_dropped_is_counted_once(ground: &Ground) {
    own(&ground.store, TOPIC).await;
    let ranges = |end| vec![Expired { first: 10, end, found_at: second(1) }, Expired { first: 100, end: 101, found_at: second(2) }];
    for end in [20, 25, 22] {
        let progress = to(101).map(|progress| Progress { expired: ranges(end), ..progress });
        ground.store.commit(&Commit { progress, ..commit(Vec::new()) }).await.unwrap();
    }
    assert_eq!(ground.store.expired(TOPIC).await.unwrap(), 16);
    assert_eq!(ground.store.expired("others").await.unwrap(), 0);
}
