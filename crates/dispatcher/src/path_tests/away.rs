//! Events while the target is away, or answers others alone.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use events_proxy_core::{DeadReason, Outcome};
use storage::{End, Settled};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::{PATIENCE, journey, path, scene, verdict};
use crate::classify::Verdict;
use crate::deliver::{Deliver, Order};
use crate::pace::{Pace, limit};
use crate::path::{Journey, Path};

/// Leads an event along its path until it is not parked; its place among those under way is others' while it is.
async fn lead(path: Arc<Path>, number: u64, under_way: Arc<Semaphore>) -> Settled {
    let mut attempts = Vec::new();
    loop {
        let permit = under_way.acquire().await.unwrap();
        let settled = path.travel(Journey { attempts, ..journey(number) }).await.unwrap();
        drop(permit);
        let End::Parked { next_attempt_at } = settled.end else { return settled };
        attempts = settled.attempts;
        tokio::time::sleep(next_attempt_at.since(settled.settled_at)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_target_is_away_no_event_dies_and_then_everything_goes_on() {
    let scene = scene(&[Outcome::Unavailable]).await;
    // Kinds of failure in turn: no attempt stands for another by its kind.
    scene.script.0.lock().unwrap().answers = (0..200).map(|n| verdict([Outcome::Unavailable, Outcome::Unknown][n % 2], None)).collect();
    let (mut travelling, under_way) = (JoinSet::new(), Arc::new(Semaphore::new(256)));
    for number in 0..20 {
        travelling.spawn(lead(Arc::clone(&scene.path), number, Arc::clone(&under_way)));
    }
    assert!(timeout(Duration::from_secs(3_600), travelling.join_next()).await.is_err(), "an event died while the target was away");
    let calls = scene.script.calls();
    // Those under way when it opened, and a probe every five seconds.
    assert!(calls < 20 * 5 + 3_600 / 5 + 10, "{calls} calls");
    assert!(scene.pace.slots.load(Ordering::Relaxed) >= calls, "a call did not pay");
    scene.script.says(&[Outcome::Delivered]);
    while let Some(settled) = travelling.join_next().await {
        let settled = settled.unwrap();
        assert_eq!(settled.end, End::Delivered);
        assert!(settled.attempts.len() <= 3, "{} attempts are kept", settled.attempts.len());
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_while_the_target_is_away_steps_aside_and_nothing_else_is_parked() {
    let scene = scene(&[Outcome::Unavailable]).await;
    let (mut travelling, under_way) = (JoinSet::new(), Arc::new(Semaphore::new(10)));
    for number in 0..200 {
        let (path, under_way) = (Arc::clone(&scene.path), Arc::clone(&under_way));
        travelling.spawn(async move {
            let _place = under_way.acquire().await.unwrap();
            path.travel(journey(number)).await.unwrap()
        });
    }
    let (began, mut parked) = (Instant::now(), 0);
    while let Ok(settled) = timeout(Duration::from_secs(600).saturating_sub(began.elapsed()), travelling.join_next()).await {
        let settled = settled.unwrap().unwrap();
        assert!(matches!(settled.end, End::Parked { .. }), "{:?}", settled.end);
        parked += 1;
    }
    // Those under way when it went away, and one for each probe.
    assert!((100..10 + 600 / 5 + 6).contains(&parked), "{parked} are parked");
    assert!(scene.script.calls() <= parked + 10 * 5, "{} calls", scene.script.calls());
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_slot_when_the_target_goes_away_stay_back() {
    let scene = scene(&[Outcome::Unavailable]).await;
    scene.pace.pause(Duration::from_secs(1)).await;
    let path = Arc::clone(&scene.path);
    let mut travelling = JoinSet::new();
    travelling.spawn(async move { path.travel(journey(1)).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..5 {
        let pass = scene.path.breaker.pass().await;
        scene.path.breaker.fails(pass, "away");
    }
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(scene.script.calls(), 0, "a call was made although the breaker is open");
    scene.script.says(&[Outcome::Delivered]);
    assert_eq!(travelling.join_next().await.unwrap().unwrap().unwrap().end, End::Delivered);
    assert_eq!(scene.pace.slots.load(Ordering::Relaxed), 1, "a slot was taken for nothing");
}

#[tokio::test(start_paused = true)]
async fn a_long_queue_for_slots_holds_up_no_probe() {
    let scene = scene(&[Outcome::Unavailable]).await;
    scene.pace.pace.change(limit(1, Duration::from_secs(2)).unwrap()).unwrap();
    let mut travelling = JoinSet::new();
    for number in 0..200 {
        let path = Arc::clone(&scene.path);
        travelling.spawn(async move { path.travel(journey(number)).await });
    }
    let goes = async |open: bool| {
        while scene.path.breaker.is_open() != open {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(60), goes(true)).await.expect("the target is not missed");
    let before = scene.pace.slots.load(Ordering::Relaxed);
    scene.script.says(&[Outcome::Delivered]);
    timeout(Duration::from_secs(10), goes(false)).await.expect("nobody finds out that the target is back");
    assert_eq!(scene.pace.slots.load(Ordering::Relaxed) - before, 1, "slots were taken for nothing");
}

/// A target that never takes some of the events, and all others.
#[derive(Debug)]
struct Choosy;

/// Whether it never takes an event.
fn is_poison(id: &str) -> bool {
    id.strip_prefix("e-").unwrap().parse::<u64>().unwrap().is_multiple_of(20)
}

#[async_trait]
impl Deliver for Choosy {
    async fn deliver(&self, order: Order<'_>) -> Verdict {
        tokio::time::sleep(Duration::from_millis(5)).await;
        verdict(if is_poison(order.event.id.as_str()) { Outcome::Unavailable } else { Outcome::Delivered }, None)
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_always_fail_die_and_hold_up_no_other() {
    let (path, pace) = path(Box::new(Choosy), PATIENCE).await;
    let (mut travelling, under_way) = (JoinSet::new(), Arc::new(Semaphore::new(256)));
    // A night in which nothing but poison came has filled every place: to any other is one probe for each that is too much.
    for number in (0..300 * 20).step_by(20).chain((0..10_000).filter(|number| number % 20 != 0)) {
        travelling.spawn(lead(Arc::clone(&path), number, Arc::clone(&under_way)));
    }
    let (began, mut delivered, mut dead) = (Instant::now(), 0, HashSet::new());
    let mut all = None;
    // Now and then a good one comes: a target that takes nothing at all is away, and then nothing dies.
    let (mut fresh, mut tick) = (10_001.., tokio::time::interval(Duration::from_millis(500)));
    while dead.len() < 300 {
        let settled = tokio::select! {
            settled = travelling.join_next() => settled.unwrap().unwrap(),
            _ = tick.tick() => {
                travelling.spawn(lead(Arc::clone(&path), fresh.find(|number| number % 20 != 0).unwrap(), Arc::clone(&under_way)));
                continue;
            }
        };
        match settled.end {
            End::Delivered => delivered += 1,
            End::Dead { reason: DeadReason::AttemptsExhausted, .. } if is_poison(settled.event_id.as_str()) => {
                assert!(dead.insert(settled.event_id));
            }
            other @ (End::Dead { .. } | End::Parked { .. }) => panic!("{}: {other:?}", settled.event_id.as_str()),
        }
        if delivered == 9_500 {
            all = Some((began.elapsed(), pace.slots.load(Ordering::Relaxed)));
        }
    }
    let (took, slots) = all.expect("events are held up by those that always fail");
    assert!(took < Duration::from_secs(600) && slots < 9_500 * 10 / 7, "9,500 took {took:?} and {slots} slots");
    assert!(began.elapsed() < Duration::from_secs(7_200), "the last one died after {:?}", began.elapsed());
}
