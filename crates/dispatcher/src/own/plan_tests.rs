//! The plan step by step; what it does among others is for the simulation to break.

use std::time::Duration;

use storage::{Holding, Standing};

use super::{Change, Plan, Terms, permits};

const SECOND: Duration = Duration::from_secs(1);
const TERMS: Terms = Terms { ttl: Duration::from_secs(10), margin: SECOND, renew: SECOND, attempt: Duration::from_secs(5) };

/// An answer with these partitions, each under its epoch.
fn standing(quota: u32, held: &[(u32, u64)]) -> Standing {
    let held =
        held.iter().map(|(partition, epoch)| Holding { partition: *partition, epoch: *epoch, next_offset: 7, high_watermark: 9 }).collect();
    Standing { quota, members: 1, held, unsettled: 0 }
}

/// What begins a partition.
fn begin(partition: u32, epoch: u64) -> Change {
    Change::Begin(Holding { partition, epoch, next_offset: 7, high_watermark: 9 })
}

#[test]
fn a_lease_is_valid_from_before_the_question_and_never_shrinks() {
    let mut plan = Plan::new(TERMS);
    assert_eq!(plan.beaten(SECOND * 100, &standing(1, &[(3, 1)])), [begin(3, 1)]);
    assert_eq!(plan.valid_until().collect::<Vec<_>>(), [(3, SECOND * 109)]);
    assert_eq!(plan.beaten(SECOND * 99, &standing(1, &[(3, 1)])), []);
    assert_eq!(plan.valid_until().collect::<Vec<_>>(), [(3, SECOND * 109)]);
    assert!(permits(SECOND * 103, SECOND * 109, TERMS.attempt) && !permits(SECOND * 104, SECOND * 109, TERMS.attempt));
}

#[test]
fn what_another_owns_or_owned_between_is_dropped_at_once() {
    let mut plan = Plan::new(TERMS);
    plan.beaten(SECOND, &standing(3, &[(0, 1), (1, 1), (2, 1)]));
    assert_eq!(plan.beaten(SECOND * 2, &standing(3, &[(0, 1), (2, 3)])), [Change::Lose(1), Change::Lose(2), begin(2, 3)]);
}

#[test]
fn a_surplus_is_left_from_the_top_and_stays_ours_until_it_is_given_back() {
    let mut plan = Plan::new(TERMS);
    let held = [(0, 1), (1, 1), (2, 1), (3, 1)];
    plan.beaten(SECOND, &standing(4, &held));
    assert_eq!(plan.beaten(SECOND * 2, &standing(2, &held)), [Change::Leave(3), Change::Leave(2)]);
    assert_eq!(plan.beaten(SECOND * 3, &standing(2, &held)), [], "they are on their way out already");
    assert_eq!((plan.leaving(3), plan.leaving(0)), (Some(1), None));
    plan.released(3, 9);
    assert_eq!(plan.leaving(3), Some(1), "another epoch is another lease");
    plan.released(3, 1);
    assert_eq!(plan.leaving(3), None);
}

#[test]
fn a_fenced_commit_drops_the_partition_of_its_epoch_only() {
    let mut plan = Plan::new(TERMS);
    plan.beaten(SECOND, &standing(1, &[(0, 2)]));
    assert_eq!(plan.fenced(0, 1), None);
    assert_eq!(plan.fenced(0, 2), Some(Change::Lose(0)));
    assert_eq!(plan.fenced(0, 2), None);
    assert_eq!(plan.beaten(SECOND * 2, &standing(1, &[(0, 2)])), [], "an answer from before the fence came later");
    assert!(plan.is_empty());
    assert_eq!(plan.beaten(SECOND * 3, &standing(1, &[(0, 3)])), [begin(0, 3)]);
}

#[test]
fn what_was_lost_and_came_back_is_kept_until_attempts_of_the_lost_lease_have_ended() {
    let mut plan = Plan::new(TERMS);
    plan.beaten(SECOND, &standing(1, &[(0, 1)]));
    assert_eq!(plan.beaten(SECOND * 2, &standing(1, &[(0, 2)])), [Change::Lose(0), begin(0, 2)]);
    plan.stop();
    assert!(!plan.may_give_back(0, SECOND * 9) && plan.may_give_back(0, SECOND * 10) && plan.may_give_back(1, SECOND));
    plan.released(0, 2);
    assert!(plan.is_empty());
}

#[test]
fn a_stop_leaves_everything_and_gives_back_what_a_late_beat_claims() {
    let mut plan = Plan::new(TERMS);
    plan.beaten(SECOND, &standing(2, &[(0, 1), (1, 1)]));
    assert_eq!(plan.stop(), [Change::Leave(1), Change::Leave(0)]);
    assert_eq!(plan.beaten(SECOND * 2, &standing(0, &[(0, 1), (1, 1), (5, 8)])), [Change::Leave(5)]);
    for (partition, epoch) in [(0, 1), (1, 1), (5, 8)] {
        assert!(!plan.is_empty(), "{partition} has yet to be given back");
        plan.released(partition, epoch);
    }
    assert!(plan.is_empty());
}

#[test]
fn terms_hold_only_if_an_attempt_fits_between_two_beats_of_which_one_is_lost() {
    assert!(TERMS.hold());
    assert!(Terms { attempt: SECOND * 7, ..TERMS }.hold());
    assert!(!Terms { attempt: SECOND * 8, ..TERMS }.hold());
}
