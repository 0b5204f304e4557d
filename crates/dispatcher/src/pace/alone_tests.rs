//! The limit in every rolling window, under paused time and with late wake-ups.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{Alone, Pace};

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
        pace.slot().await;
        sends.push(Instant::now());
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
            pace.slot().await;
            sends.push(Instant::now());
        }
    }
    assert!(worst(&sends, interval) <= 10);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_for_everybody() {
    let pace = Arc::new(Alone::new(100, Duration::from_secs(1)).unwrap());
    pace.slot().await;
    let began = Instant::now();
    pace.pause(Duration::from_secs(3)).await;
    pace.slot().await;
    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn the_used_share_is_told() {
    let pace = Alone::new(50, Duration::from_secs(1)).unwrap();
    for _ in 0..200 {
        pace.slot().await;
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
                    pace.slot().await;
                    sends.push(Instant::now());
                }
            }
            sends
        });
        prop_assert!(worst(&sends, interval) <= usize::try_from(requests).unwrap());
    }
}
