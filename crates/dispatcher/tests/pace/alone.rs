//! The laws for a process that has the limit for itself.

use std::sync::Arc;
use std::time::Duration;

use dispatcher::pace::{Alone, Pace, limit};
use tokio::task::JoinSet;

use crate::load::{Backlog, Network, Seen, judge, send};
use crate::{ground, machine};

/// A backlog on a limit of its own.
async fn backlog(requests: u32, interval: Duration, time: Duration, network: Network) -> Seen {
    let target = ground::target(requests, interval);
    let pace: Arc<dyn Pace> = Arc::new(Alone::new(requests, interval).unwrap());
    send(&[pace], &target, Backlog { attempts: 64, time, network }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_uses_the_limit_and_never_more_from_one_in_three_seconds_to_five_thousand_a_second() {
    let _turn = machine::turn().await;
    let network = Network { jitter: Duration::from_millis(5), ..Network::default() };
    for (requests, millis, seconds) in [(1, 3_000, 16), (10, 1_000, 6), (300, 1_000, 5), (5_000, 1_000, 5)] {
        let (interval, time) = (Duration::from_millis(millis), Duration::from_secs(seconds));
        judge(requests, &format!("{requests} in {millis} ms"), async || backlog(requests, interval, time, network).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_slow_now_and_then_costs_little_and_breaks_nothing() {
    let _turn = machine::turn().await;
    let network = Network { jitter: Duration::from_millis(5), one_in: Some(100), delay: Duration::from_millis(60) };
    let sent = async || backlog(200, Duration::from_secs(1), Duration::from_secs(6), network).await;
    judge(200, "one call in a hundred is late by 60 ms", sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_is_changed_under_load_never_lets_more_through_than_the_larger_one() {
    let _turn = machine::turn().await;
    let interval = Duration::from_millis(500);
    let target = ground::target(100, interval);
    let pace = Alone::new(100, interval).unwrap();
    let changing = pace.clone();
    let mut change = JoinSet::new();
    change.spawn(async move {
        for requests in [20, 100, 7, 60, 100] {
            tokio::time::sleep(Duration::from_millis(700)).await;
            changing.change(limit(requests, interval).unwrap()).unwrap();
        }
    });
    let backlog = Backlog { attempts: 32, time: Duration::from_secs(5), network: Network::default() };
    let seen = send(&[Arc::new(pace)], &target, backlog).await;
    change.join_all().await;
    assert!(seen.worst <= 100, "{seen:?}");
}
