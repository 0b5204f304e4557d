//! The limit in every rolling window, under paused time and with late wake-ups.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::{Pace, limit};
use super::Alone;

/// A second.
const SECOND: Duration = Duration::from_secs(1);

/// The most sends in any rolling window, which is open at its end.
fn worst(sends: &[Instant], window: Duration) -> usize {
    let mut inside = VecDeque::new();
    let mut most = 0;
    for send in sends {
        inside.push_back(*send);
        while inside.front().is_some_and(|first: &Instant| send.duration_since(*first) >= window) {
            inside.pop_front();
        }
        most = most.max(inside.len());
    }
    most
}

/// Sends for so long with a backlog; tells when.
async fn backlog(requests: u32, interval: Duration, time: Duration) -> Vec<Instant> {
    let pace = Alone::new(requests, interval).unwrap();
    let (began, mut sends) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        let slot = pace.slot().await;
        sends.push(Instant::now()); // it arrives before it is answered: the pace must know of nothing later
        slot.answered();
    }
    sends
}

#[tokio::test(start_paused = true)]
async fn a_backlog_uses_at_least_98_percent_and_no_window_sees_more() {
    for (requests, millis) in [(1, 2_000), (1, 1_000), (5, 1_000), (33, 1_000), (100, 1_000), (2_000, 1_000), (10_000, 1_000), (7, 300)] {
        let interval = Duration::from_millis(millis);
        let sends = backlog(requests, interval, interval * 40).await;
        let allowed = f64::from(requests) * 40.0;
        let share = f64::from(u32::try_from(sends.len()).unwrap()) / allowed;
        assert!(worst(&sends, interval) <= usize::try_from(requests).unwrap(), "{requests} per {millis} ms: {}", worst(&sends, interval));
        assert!(share >= 0.98, "{requests} per {millis} ms: {share}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_time_saves_nothing_up() {
    let interval = Duration::from_secs(1);
    let pace = Alone::new(10, interval).unwrap();
    let mut sends = Vec::new();
    for _ in 0..5 {
        tokio::time::advance(Duration::from_secs(60)).await;
        for _ in 0..25 {
            pace.slot().await.answered();
            sends.push(Instant::now());
        }
    }
    assert!(worst(&sends, interval) <= 10);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_for_everybody() {
    let pace = Arc::new(Alone::new(100, Duration::from_secs(1)).unwrap());
    pace.slot().await.answered();
    let began = Instant::now();
    pace.pause(Duration::from_secs(3)).await;
    pace.slot().await.answered();
    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn the_used_share_is_told() {
    let pace = Alone::new(50, Duration::from_secs(1)).unwrap();
    for _ in 0..200 {
        pace.slot().await.answered();
    }
    assert!(pace.used() > 0.9, "{}", pace.used());
    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(pace.used() < 0.01, "{}", pace.used());
}

#[tokio::test]
async fn real_timers_keep_the_limit_and_use_it() {
    let interval = Duration::from_millis(500);
    for requests in [10, 400] {
        let sends = backlog(requests, interval, interval * 4).await;
        assert!(worst(&sends, interval) <= usize::try_from(requests).unwrap(), "{} of {requests}", worst(&sends, interval));
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_wake_up_is_caught_up_with() {
    let (interval, requests) = (Duration::from_secs(1), 200_u32);
    let pace = Arc::new(Alone::new(requests, interval).unwrap());
    let mut sending = JoinSet::new();
    for _ in 0..32 {
        let pace = Arc::clone(&pace);
        sending.spawn(async move {
            let (began, mut sends) = (Instant::now(), Vec::new());
            while began.elapsed() < Duration::from_secs(20) {
                pace.slot().await.answered();
                sends.push(Instant::now());
            }
            sends
        });
    }
    // Now and then nobody runs for 30 ms: six slots pass each time.
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::time::advance(Duration::from_millis(30)).await;
    }
    let mut sends: Vec<Instant> = sending.join_all().await.into_iter().flatten().collect();
    sends.sort_unstable();
    assert!(worst(&sends, interval) <= 200, "{}", worst(&sends, interval));
    let used = f64::from(u32::try_from(sends.len()).unwrap()) / (20.0 * f64::from(requests));
    assert!(used >= 0.98, "{used}");
}

/// The most arrivals in a window, and the used share, when calls arrive as late as they are told to within a round trip.
async fn on_the_way(requests: u32, round_trip: impl Fn(u32) -> Duration) -> (usize, f64) {
    let (interval, began) = (Duration::from_secs(1), Instant::now());
    let pace = Arc::new(Alone::new(requests, interval).unwrap());
    let (mut calls, mut number) = (JoinSet::new(), 0);
    while began.elapsed() < Duration::from_secs(60) {
        let slot = pace.slot().await;
        number += 1;
        let trip = round_trip(number);
        calls.spawn(async move {
            tokio::time::sleep(trip).await;
            slot.answered();
            Instant::now()
        });
    }
    let mut arrivals = calls.join_all().await;
    arrivals.sort_unstable();
    let used = f64::from(u32::try_from(arrivals.len()).unwrap()) / (60.0 * f64::from(requests));
    (worst(&arrivals, interval), used)
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_long_on_its_way_counts_from_when_it_arrived() {
    for requests in [1, 10, 100] {
        // Mostly 2 ms; one in fifty takes 90 ms to arrive, far more than the guard.
        let (worst, used) = on_the_way(requests, |number| Duration::from_millis(if number % 50 == 7 { 92 } else { 2 })).await;
        assert!(worst <= usize::try_from(requests).unwrap(), "{worst} of {requests}");
        assert!(used >= 0.98, "{requests}: {used}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_way_that_is_shorter_than_all_before_breaks_nothing() {
    // All that is known of the way is 3 ms when a request takes 8 ms to arrive, and the tenth after it none.
    let trip = |number| match number {
        20 => 8,
        30 => 0,
        _ => 3,
    };
    let (worst, used) = on_the_way(10, |number| Duration::from_millis(trip(number))).await;
    assert!(worst <= 10, "{worst}");
    assert!(used >= 0.98, "{used}");
}

#[tokio::test(start_paused = true)]
async fn a_quarter_of_an_interval_on_the_way_is_counted_in_full() {
    let (worst, _) = on_the_way(100, |number| Duration::from_millis(if (300..306).contains(&number) { 250 } else { 2 })).await;
    assert!(worst <= 100, "{worst}");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_takes_its_time_for_its_own_work_is_used_all_the_same() {
    let (_, used) = on_the_way(100, |number| Duration::from_millis(20 + u64::from(number * 7_919 % 180))).await;
    assert!(used >= 0.98, "{used}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_limit_holds_at_once_and_no_window_sees_more_than_the_larger_one() {
    let interval = Duration::from_secs(1);
    let pace = Alone::new(100, interval).unwrap();
    let (began, mut sends) = (Instant::now(), Vec::new());
    for (round, requests) in [100, 20, 60, 5, 100].into_iter().enumerate() {
        pace.change(limit(requests, interval).unwrap()).unwrap();
        while began.elapsed() < Duration::from_millis(2_500) * u32::try_from(round + 1).unwrap() {
            pace.slot().await.answered();
            sends.push(Instant::now());
        }
    }
    assert!(worst(&sends, interval) <= 100);
    let slow: Vec<Instant> =
        sends.iter().copied().filter(|sent| (8_600..10_000).contains(&sent.duration_since(began).as_millis())).collect();
    assert!(worst(&slow, interval) <= 5, "{slow:?}");
    assert!(pace.change(storage::Limit { requests: 0, ..pace.limit() }).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_wakes_those_who_wait_for_the_slower_one() {
    let pace = Alone::new(1, Duration::from_secs(86_400)).unwrap();
    pace.slot().await.answered();
    let (waiting, mut tasks) = (pace.clone(), JoinSet::new());
    tasks.spawn(async move { waiting.slot().await.answered() });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    pace.change(limit(10, Duration::from_secs(1)).unwrap()).unwrap();
    tasks.join_all().await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_largest_limit_costs_no_more_memory_than_the_smallest() {
    let pace = Alone::new(10_000_000, Duration::from_secs(1)).unwrap();
    let began = Instant::now();
    for _ in 0..20_000 {
        pace.slot().await.answered();
    }
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_pause_outlasts_a_change_of_the_limit() {
    let (pace, began) = (Alone::new(100, SECOND).unwrap(), Instant::now());
    pace.pause(SECOND * 3).await;
    pace.change(limit(50, SECOND).unwrap()).unwrap();
    pace.slot().await.answered();
    assert!(began.elapsed() >= SECOND * 3, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_before_a_change_moves_no_request_of_the_present_limit() {
    let pace = Alone::new(2, SECOND).unwrap();
    let former = pace.slot().await;
    tokio::time::sleep(SECOND * 5).await;
    pace.change(limit(1, SECOND).unwrap()).unwrap();
    let began = Instant::now();
    drop(pace.slot().await);
    former.answered();
    drop(pace.slot().await);
    assert!(began.elapsed() < Duration::from_millis(1_100), "{:?}", began.elapsed());
}

/// How many of so many attempts that wait are sent at once when nobody runs for that long.
async fn at_once(waiting: u32, pause: Duration) -> usize {
    let (pace, mut sending) = (Alone::new(100, SECOND).unwrap(), JoinSet::new());
    for _ in 0..waiting {
        let pace = pace.clone();
        sending.spawn(async move {
            pace.slot().await.answered();
            Instant::now()
        });
    }
    tokio::task::yield_now().await;
    tokio::time::advance(pause).await;
    let now = Instant::now();
    sending.join_all().await.into_iter().filter(|sent| *sent == now).count()
}

#[tokio::test(start_paused = true)]
async fn slots_of_a_quarter_of_the_interval_are_caught_up_with_and_no_more() {
    let (short, long) = (at_once(90, Duration::from_millis(200)).await, at_once(90, Duration::from_millis(600)).await);
    assert!((19..=21).contains(&short) && (25..=27).contains(&long), "{short}, {long}");
}

#[tokio::test(start_paused = true)]
async fn after_an_idle_time_no_more_go_at_once_than_a_fiftieth_of_the_interval_has() {
    let (pace, mut sent) = (Alone::new(500, SECOND).unwrap(), 0);
    for _ in 0..3 {
        tokio::time::sleep(SECOND * 10).await;
        let asked = Instant::now();
        while asked == Instant::now() {
            pace.slot().await.answered();
            sent += 1;
        }
    }
    assert!((30..=36).contains(&sent), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn slots_are_four_thousandths_further_apart_than_the_limit_asks() {
    let sends = backlog(100, SECOND, SECOND * 10).await.len();
    assert!((996..=998).contains(&sends), "{sends}");
}

#[test]
fn the_credit_covers_a_window_late_by_a_fiftieth_or_one_late_request() {
    for (requests, credit) in [(100, SECOND * 2), (1, SECOND / 4)] {
        let mut jitter = super::jitter(limit(requests, SECOND).unwrap());
        assert_eq!(jitter.spend(SECOND * 60, SECOND * 60), credit, "{requests}");
        jitter.earn();
        assert_eq!(jitter.spend(SECOND * 60, SECOND * 60), Duration::from_millis(3), "three thousandths of the interval are earned");
        for _ in 0..16 {
            jitter.heard(Duration::from_millis(20), true);
        }
        assert_eq!(jitter.heard(Duration::from_millis(21), true), Duration::from_millis(5), "and what the slots give away in any case");
    }
}

#[test]
fn a_limit_of_nothing_is_none() {
    assert!(Alone::new(0, Duration::from_secs(1)).is_err());
    assert!(Alone::new(1, Duration::ZERO).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_window_sees_more_than_the_limit(requests in 1_u32..60, millis in 20_u64..3_000, idle in proptest::collection::vec(0_u64..2_000, 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let interval = Duration::from_millis(millis);
        let sends = runtime.block_on(async {
            let pace = Alone::new(requests, interval).unwrap();
            let mut sends = Vec::new();
            for wait in idle {
                tokio::time::sleep(Duration::from_micros(wait * millis)).await;
                for _ in 0..wait % 17 {
                    pace.slot().await.answered();
                    sends.push(Instant::now());
                }
            }
            sends
        });
        prop_assert!(worst(&sends, interval) <= usize::try_from(requests).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_life_before_may_have_sent_is_waited_for_under_the_limit_that_it_had() {
    let former = limit(1, SECOND * 5).unwrap();
    for (told, least) in [(None, Duration::ZERO), (Some(limit(1, SECOND / 2).unwrap()), SECOND), (Some(former), SECOND * 5)] {
        let (pace, began) = (Alone::resuming(10, SECOND).unwrap(), Instant::now());
        pace.follows(told);
        pace.slot().await.answered();
        let waited = began.elapsed();
        assert!(waited >= least && waited < least + SECOND / 10, "{waited:?} after {told:?}");
    }
    let (pace, began) = (Alone::resuming(10, SECOND).unwrap(), Instant::now());
    pace.slot().await.answered();
    assert!(began.elapsed() >= SECOND, "nothing was told of it");
    let (pace, began) = (Alone::resuming(10, SECOND).unwrap(), Instant::now());
    pace.pause(SECOND * 3).await;
    pace.follows(None);
    pace.slot().await.answered();
    assert!(began.elapsed() >= SECOND * 3, "a pause is kept");
}
