//! The laws for processes that share the limit in a database.

use std::sync::Arc;
use std::time::Duration;

use chassis::lifecycle::Tasks;
use dispatcher::pace::{Pace, limit};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::ground::{self, Schema, TARGET};
use crate::load::{Backlog, Network, Seen, judge, send};
use crate::machine;

/// The paces of so many processes on one database.
async fn paces(schema: &Schema, requests: u32, interval: Duration, processes: usize, tasks: &Tasks) -> Vec<Arc<dyn Pace>> {
    let mut paces: Vec<Arc<dyn Pace>> = Vec::new();
    for _ in 0..processes {
        paces.push(Arc::new(schema.pace(requests, interval, tasks).await));
    }
    paces
}

/// A backlog in so many processes.
async fn backlog(requests: u32, interval: Duration, processes: usize, load: Backlog) -> Seen {
    let (schema, tasks, target) = (Schema::create().await, Tasks::new(), ground::target(requests, interval));
    let paces = paces(&schema, requests, interval, processes, &tasks).await;
    let seen = send(&paces, &target, load).await;
    tasks.stop(Duration::from_secs(5)).await;
    schema.remove().await;
    seen
}

/// A backlog in 1, 2 and 4 processes.
async fn backlogs(requests: u32, millis: u64, seconds: u64) {
    let network = Network { jitter: Duration::from_millis(4), ..Network::default() };
    for processes in [1, 2, 4] {
        let load = Backlog { attempts: 256 / processes, time: Duration::from_secs(seconds), network };
        let sent = async || backlog(requests, Duration::from_millis(millis), processes, load).await;
        judge(requests, &format!("{requests} in {millis} ms, {processes} processes"), sent).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_in_three_seconds_is_kept_and_used() {
    let _turn = machine::turn().await;
    backlogs(1, 3_000, 16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_a_second_are_kept_and_used() {
    let _turn = machine::turn().await;
    backlogs(10, 1_000, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_a_second_are_kept_and_used() {
    let _turn = machine::turn().await;
    backlogs(500, 1_000, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_a_second_are_kept_and_used() {
    let _turn = machine::turn().await;
    backlogs(5_000, 1_000, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rare_delays_beyond_the_guard_push_slots_back_and_break_nothing() {
    let _turn = machine::turn().await;
    let network = Network { jitter: Duration::from_millis(3), one_in: Some(400), delay: Duration::from_millis(40) };
    let load = Backlog { attempts: 64, time: Duration::from_secs(6), network };
    let seen = backlog(100, Duration::from_secs(1), 2, load).await;
    assert!(seen.worst <= 100, "{seen:?}");
    assert!(seen.used > 0.9, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_limit_reaches_all_processes_and_no_window_sees_more_than_the_larger_one() {
    let _turn = machine::turn().await;
    let interval = Duration::from_secs(1);
    let (schema, tasks, target) = (Schema::create().await, Tasks::new(), ground::target(200, interval));
    let paces = paces(&schema, 200, interval, 2, &tasks).await;
    let store = schema.store().await;
    let mut change = JoinSet::new();
    change.spawn(async move {
        for requests in [20, 200, 50] {
            tokio::time::sleep(Duration::from_millis(1_300)).await;
            assert!(store.change_limit(TARGET, limit(requests, interval).unwrap()).await.unwrap());
        }
    });
    let load = Backlog { attempts: 64, time: Duration::from_secs(6), network: Network::default() };
    let seen = send(&paces, &target, load).await;
    change.join_all().await;
    assert!(seen.worst <= 200, "{seen:?}");
    assert!(paces.iter().all(|pace| pace.limit().requests == 50), "the change did not arrive");
    tasks.stop(Duration::from_secs(5)).await;
    schema.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_come_together_have_their_slots_though_nobody_comes_after_them() {
    const TOGETHER: usize = 40;
    let _turn = machine::turn().await;
    let (schema, tasks) = (Schema::create().await, Tasks::new());
    let pace = Arc::new(schema.pace(10_000, Duration::from_secs(1), &tasks).await);
    for round in 0..5 {
        let mut waiting = JoinSet::new();
        for _ in 0..TOGETHER {
            let pace = Arc::clone(&pace);
            waiting.spawn(async move { timeout(Duration::from_secs(10), pace.slot()).await.is_ok() });
        }
        let served = waiting.join_all().await.into_iter().filter(|served| *served).count();
        assert_eq!(served, TOGETHER, "in round {round}");
    }
    tasks.stop(Duration::from_secs(5)).await;
    schema.remove().await;
}

/// Asks each for a slot at once; says after how long since then each had it.
async fn slots_since(began: Instant, paces: &[Arc<dyn Pace>]) -> Vec<Duration> {
    let mut asking = JoinSet::new();
    for pace in paces {
        let pace = Arc::clone(pace);
        asking.spawn(async move {
            timeout(Duration::from_secs(10), pace.slot()).await.unwrap().answered();
            began.elapsed()
        });
    }
    asking.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_of_one_process_holds_for_all() {
    let _turn = machine::turn().await;
    let (schema, tasks) = (Schema::create().await, Tasks::new());
    let paces = paces(&schema, 100, Duration::from_secs(1), 2, &tasks).await;
    slots_since(Instant::now(), &paces).await;
    let began = Instant::now();
    paces[0].pause(Duration::from_secs(2)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = schema.transactions().await;
    let after = slots_since(began, &paces).await;
    let written = schema.transactions().await - before;
    assert!(written < 100, "{written} transactions for a pause that was told, and two slots");
    assert!(after.iter().all(|after| *after >= Duration::from_secs(2)), "{after:?}");
    assert!(after.iter().all(|after| *after < Duration::from_secs(4)), "{after:?}");
    tasks.stop(Duration::from_secs(5)).await;
    schema.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_longer_pause_that_comes_while_a_shorter_one_is_told_holds_for_all_too() {
    let _turn = machine::turn().await;
    let (schema, tasks) = (Schema::create().await, Tasks::new());
    let paces = paces(&schema, 100, Duration::from_secs(1), 2, &tasks).await;
    slots_since(Instant::now(), &paces).await;
    let held = format!("BEGIN; SELECT 1 FROM {}.pace_slot FOR UPDATE; SELECT pg_sleep(0.6); COMMIT", schema.name());
    let telling = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        paces[0].pause(Duration::from_millis(600)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        paces[0].pause(Duration::from_secs(3)).await;
        Instant::now()
    };
    let ((), began) = tokio::join!(schema.run(&held), telling);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let after = slots_since(began, &paces).await;
    assert!(after.iter().all(|after| *after >= Duration::from_millis(2_950)), "{after:?}");
    tasks.stop(Duration::from_secs(5)).await;
    schema.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_answers_nothing_nothing_is_sent_and_then_it_goes_on() {
    let _turn = machine::turn().await;
    let (schema, tasks) = (Schema::create().await, Tasks::new());
    let pace = schema.pace(100, Duration::from_secs(1), &tasks).await;
    timeout(Duration::from_secs(10), pace.slot()).await.unwrap().answered();
    schema.run(&format!("ALTER TABLE {}.pace_slot RENAME TO gone", schema.name())).await;
    let mut given = 0;
    while let Ok(slot) = timeout(Duration::from_secs(2), pace.slot()).await {
        slot.answered();
        given += 1;
    }
    assert!(given <= 5, "{given} slots were given out without the database");
    schema.run(&format!("ALTER TABLE {0}.gone RENAME TO pace_slot", schema.name())).await;
    timeout(Duration::from_secs(10), pace.slot()).await.unwrap().answered();
    tasks.stop(Duration::from_secs(5)).await;
    schema.remove().await;
}
