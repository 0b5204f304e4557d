//! The timeline step by step, with the numbers of its law; what it does among others is for the simulation to break.

use std::time::Duration;

use storage::{Asked, Limit, Reserved};

use super::{Ask, Received, Sent, Taken, Timeline};

/// A millisecond.
const MS: i64 = 1_000_000;
/// What the database's clock says when ours is zero.
const EPOCH: i64 = 1_700_000_000_000_000_000;
/// How far ahead slots are asked for under [`ten`].
const AHEAD: Duration = Duration::from_millis(200);

/// Ten in a second: its guard is 12 ms, so its slots are 101.2 ms apart.
fn ten() -> Limit {
    crate::pace::limit(10, Duration::from_secs(1)).unwrap()
}

/// So many slots from that moment on, told at that moment.
fn answer(limit: Limit, now: i64, first: i64, slots: u32) -> Reserved {
    let moment = |ours: i64| u64::try_from(EPOCH + ours).unwrap();
    Reserved { now: moment(now), first: moment(first), slots, pushed: Duration::ZERO, paused_until: 0, limit }
}

/// A timeline with so many slots from that moment on, whose clock is known exactly.
fn with(limit: Limit, first: i64, slots: u32) -> Timeline {
    let mut timeline = Timeline::new(limit);
    assert_eq!(timeline.reserved(0, 0, slots, &answer(limit, 0, first, slots)), Received::default());
    timeline
}

/// A time in nanoseconds.
fn nanos(time: i64) -> Duration {
    Duration::from_nanos(u64::try_from(time).unwrap())
}

/// What asks for a push alone, under [`ten`].
fn push(to: i64) -> Ask {
    Ask::Now(Asked { slots: 0, ahead: AHEAD, pushed: nanos(to) })
}

/// A request that was sent on time.
const ON_TIME: Sent = Sent { late: 0, pushed: 0 };

#[test]
fn a_slot_is_used_at_its_moment_and_the_next_one_at_the_limits_distance() {
    let mut timeline = with(ten(), 5 * MS, 3);
    for at in [5_000_000, 106_200_000, 207_400_000] {
        assert_eq!(timeline.take(at - 1), Taken::At(at));
        assert_eq!(timeline.take(at), Taken::Used(ON_TIME));
    }
    assert_eq!(timeline.take(900 * MS), Taken::Wait);
}

#[test]
fn a_slot_waits_for_the_latest_moment_it_can_mean_and_is_late_since_the_earliest() {
    let mut timeline = Timeline::new(ten());
    // The database said 11 ms at some time between 10 and 12 ms of ours.
    timeline.reserved(10 * MS, 12 * MS, 1, &answer(ten(), 11 * MS, 21 * MS, 1));
    assert_eq!(timeline.take(22 * MS - 1), Taken::At(22 * MS));
    assert_eq!(timeline.take(23 * MS), Taken::Used(Sent { late: 3 * MS, pushed: 0 }));
}

#[test]
fn who_is_later_than_half_the_guard_sends_once_the_push_is_in_place() {
    let mut timeline = Timeline::new(ten());
    timeline.reserved(10 * MS, 12 * MS, 2, &answer(ten(), 11 * MS, 11 * MS, 2));
    assert_eq!(timeline.take(16 * MS), Taken::Used(Sent { late: 6 * MS, pushed: 0 }));
    // The next is at 111.2 ms at the earliest: 1 ms beyond, twice the 2 ms that the database takes, and a tenth.
    let late = 111_200_000 + 7 * MS;
    assert_eq!((timeline.take(late), timeline.ask(late, 0)), (Taken::Wait, push(5_100_000)));
    let pushed = Reserved { pushed: nanos(MS), ..answer(ten(), late + MS, late + MS, 1) };
    timeline.reserved(late, late + 2 * MS, 0, &pushed);
    assert_eq!(timeline.take(late), Taken::Used(Sent { late: 7 * MS, pushed: 0 }));
    // What was reserved after the push has yet to be pushed itself.
    let due = late + 2 * MS;
    assert_eq!(timeline.take(late), Taken::At(due));
    assert_eq!((timeline.take(due + 5_500_000), timeline.ask(due + 5_500_000, 0)), (Taken::Wait, push(6_600_000)));
}

#[test]
fn a_push_that_costs_more_than_the_slot_drops_the_slot() {
    let late = 6 * MS + 101_200_000;
    assert_eq!(with(ten(), 0, 1).take(late - 1), Taken::Wait);
    assert_eq!(with(ten(), 0, 1).take(late), Taken::Dropped);
    let one = crate::pace::limit(1, Duration::from_secs(1)).unwrap();
    assert_eq!(with(one, 0, 1).take(250 * MS - 1), Taken::Wait);
    assert_eq!(with(one, 0, 1).take(250 * MS), Taken::Dropped, "a quarter of the interval is the most");
}

#[test]
fn no_more_is_asked_for_than_wait_and_than_a_turn_gives() {
    for (requests, interval, waiting, slots, ahead) in
        [(10, 1_000, 3, 1, 200), (1_000, 1_000, 80, 50, 200), (1_000, 1_000, 7, 7, 200), (100, 100, 80, 6, 25)]
    {
        let limit = crate::pace::limit(requests, Duration::from_millis(interval)).unwrap();
        let asked = Asked { slots, ahead: Duration::from_millis(ahead), pushed: Duration::ZERO };
        assert_eq!(Timeline::new(limit).ask(0, waiting), Ask::Now(asked), "{requests} in {interval} ms");
    }
}

#[test]
fn nothing_is_asked_for_before_it_is_of_use() {
    let one = Ask::Now(Asked { slots: 1, ahead: AHEAD, pushed: Duration::ZERO });
    let timeline = with(ten(), 150 * MS, 1);
    assert_eq!((timeline.ask(0, 0), timeline.ask(0, 1), timeline.ask(60 * MS, 1)), (Ask::Nothing, Ask::Nothing, Ask::Nothing));
    // Half of the time ahead before the last slot in hand.
    assert_eq!((timeline.ask(50 * MS - 1, 2), timeline.ask(50 * MS, 2)), (Ask::At(50 * MS), one));
    // 8 ms after the last answer; 2 ms where the limit holds nobody up, for all slots were due when they came.
    let hundred = crate::pace::limit(100, Duration::from_secs(1)).unwrap();
    for (limit, slot, slots, pause) in [(ten(), 1, 1, 8), (ten(), 0, 1, 2), (hundred, 0, 2, 8)] {
        let (timeline, pause) = (with(limit, slot, slots), pause * MS);
        let enough = usize::try_from(slots).unwrap() + 1;
        assert_eq!((timeline.ask(pause - 1, enough), timeline.ask(pause, enough)), (Ask::At(pause), one), "{slots} from {slot} on");
    }
    // Of slots that all came too late the database is to blame.
    let mut timeline = Timeline::new(ten());
    assert_eq!(timeline.reserved(0, 200 * MS, 1, &answer(ten(), 0, 0, 1)).late, 1);
    assert_eq!(timeline.ask(208 * MS - 1, 1), Ask::At(208 * MS));
}

#[test]
fn where_nothing_was_to_be_had_the_next_look_is_when_there_may_be_but_within_the_second() {
    for (first, asked, next) in [(500, 5, 310), (150, 5, 18), (5_000, 5, 1_010), (500, 0, 18)] {
        let mut timeline = Timeline::new(ten());
        timeline.reserved(10 * MS, 10 * MS, asked, &answer(ten(), 10 * MS, (10 + first) * MS, 0));
        assert_eq!(timeline.ask(0, 1), Ask::At(next * MS), "the first is {first} ms away, {asked} were asked for");
    }
}

#[test]
fn slots_that_lie_too_far_back_when_they_come_are_not_taken_up() {
    // 300 ms on the way: late by 300, 198.8, 97.6 and −3.6 ms, of which half the guard and a distance are too much.
    for (ended, slots, late) in [(300 * MS, 4, 2), (107_200_000 - 1, 1, 0), (107_200_000, 1, 1), (6 * MS, 1, 0)] {
        let mut timeline = Timeline::new(ten());
        assert_eq!(timeline.reserved(0, ended, slots, &answer(ten(), 0, 0, slots)), Received { late, ..Received::default() }, "{ended}");
        assert_eq!(timeline.clear(), usize::try_from(slots).unwrap() - late);
    }
    let many = crate::pace::limit(10_000, Duration::from_secs(1)).unwrap();
    assert_eq!(Timeline::new(many).reserved(0, 7 * MS, 1, &answer(many, 0, 0, 1)).late, 1);
}

#[test]
fn a_pause_takes_back_what_lies_before_its_end_alone() {
    let mut timeline = with(ten(), 0, 3);
    let paused = Reserved { paused_until: u64::try_from(EPOCH + 101_200_000).unwrap(), ..answer(ten(), 0, 400 * MS, 0) };
    assert_eq!(timeline.reserved(0, 0, 0, &paused), Received { withdrawn: 1, ..Received::default() });
    assert_eq!(timeline.take(0), Taken::At(101_200_000));
}

#[test]
fn another_limit_holds_for_what_is_reserved_under_it() {
    let mut timeline = with(ten(), 0, 0);
    let faster = crate::pace::limit(100, Duration::from_secs(1)).unwrap();
    timeline.reserved(0, 0, 2, &answer(faster, 0, 0, 2));
    assert_eq!((timeline.limit, timeline.take(0), timeline.take(0)), (faster, Taken::Used(ON_TIME), Taken::At(10_120_000)));
}

#[test]
fn only_a_lateness_worth_a_push_is_pushed_for() {
    let heard = |timeline: &mut Timeline, beyond: i64| timeline.heard(ON_TIME, nanos(12 * MS + beyond), true);
    let mut timeline = with(ten(), 0, 0);
    assert!(!heard(&mut timeline, 100_000));
    assert_eq!(timeline.ask(0, 0), Ask::Nothing);
    assert!(heard(&mut timeline, 100_001));
    assert_eq!(timeline.ask(0, 0), push(100_001));
    // Here the credit gives no more than the least push.
    let short = crate::pace::limit(1, Duration::from_millis(2)).unwrap();
    let mut timeline = with(short, 0, 0);
    assert!(timeline.heard(ON_TIME, nanos(9 * MS), true));
    assert_eq!(timeline.ask(0, 0), Ask::Nothing);
}

#[test]
fn a_push_makes_up_for_being_late_here_and_on_the_way_less_what_was_pushed_since() {
    let mut timeline = with(ten(), 0, 0);
    assert!(timeline.heard(Sent { late: 5 * MS, pushed: 0 }, nanos(12 * MS), true));
    assert_eq!(timeline.ask(0, 0), push(5 * MS));
    let pushed = Reserved { pushed: nanos(30 * MS), ..answer(ten(), 0, 0, 0) };
    timeline.reserved(0, 0, 0, &pushed);
    assert!(!timeline.heard(Sent { late: 0, pushed: 10 * MS }, nanos(32 * MS), true));
    assert!(timeline.heard(Sent { late: 0, pushed: 10 * MS }, nanos(37 * MS), true));
    assert_eq!(timeline.ask(0, 0), push(35 * MS));
}

#[test]
fn a_push_reaches_as_far_as_the_credit_that_requests_earn() {
    let mut timeline = with(ten(), 0, 1);
    assert!(timeline.heard(ON_TIME, nanos(999 * MS), true));
    assert_eq!(timeline.ask(0, 0), push(50 * MS), "a twentieth of the interval is saved up");
    assert_eq!(timeline.take(0), Taken::Used(ON_TIME));
    assert!(timeline.heard(ON_TIME, nanos(999 * MS), true));
    assert_eq!(timeline.ask(0, 0), push(50 * MS + 404_800), "four thousandths of a distance are earned");
}

#[test]
fn an_answer_that_is_later_than_an_interval_and_a_second_asks_for_nothing() {
    for (millis, last) in [(100, 1_100), (1_000, 2_000), (3_000, 4_000)] {
        let limit = crate::pace::limit(10, Duration::from_millis(millis)).unwrap();
        let mut timeline = with(limit, 0, 0);
        assert!(!timeline.heard(ON_TIME, nanos(last * MS + 1), true), "beyond {last} ms");
        assert_eq!(timeline.ask(0, 0), Ask::Nothing);
        assert!(timeline.heard(ON_TIME, nanos(last * MS), true), "at {last} ms");
    }
}

#[test]
fn what_this_process_itself_is_late_by_costs_no_credit_up_to_a_quarter_of_the_interval() {
    let mut timeline = late_by_300_ms();
    assert!(timeline.heard(ON_TIME, nanos(600 * MS), true));
    assert_eq!(timeline.ask(0, 0), push(250 * MS));
}

#[test]
fn an_answer_that_is_later_than_this_process_explains_is_paid_from_the_credit() {
    let mut timeline = late_by_300_ms();
    assert!(timeline.heard(ON_TIME, nanos(601 * MS), true));
    assert_eq!(timeline.ask(0, 0), push(50 * MS));
}

/// A process that was 300 ms late beyond half of the guard, and knows that answers need no time.
fn late_by_300_ms() -> Timeline {
    let mut timeline = with(ten(), 0, 1);
    assert!((0..16).all(|_| !timeline.heard(ON_TIME, Duration::ZERO, true)));
    assert_eq!(timeline.take(306 * MS), Taken::Dropped);
    timeline
}

#[test]
fn what_every_answer_takes_counts_as_a_third_of_the_guard() {
    let mut timeline = with(ten(), 0, 0);
    for _ in 0..16 {
        timeline.heard(ON_TIME, nanos(20 * MS), true);
    }
    assert_eq!(timeline.ask(0, 0), push(8 * MS));
    assert!(timeline.heard(Sent { late: 9 * MS, pushed: 8 * MS }, nanos(20 * MS), true));
    assert_eq!(timeline.ask(0, 0), push(9 * MS), "9 ms and 4 ms, less the guard");
}
