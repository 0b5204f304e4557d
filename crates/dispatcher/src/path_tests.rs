//! One event's path with a scripted target, under paused time; and once with the simulated target, whose record judges.

#[path = "path_tests/away.rs"]
mod away;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chassis::clock::SystemClock;
use chassis::lifecycle::Tasks;
use chassis::metrics::Registry;
use events_proxy_core::envelope::Record;
use events_proxy_core::{DeadReason, Envelope, Event, Moment, Outcome, SourceId, TraceContext};
use simulators::target::{Failure, Options, Target};
use storage::{End, Limit, Settled, Store};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{Journey, Path, Patience};
use crate::breaker::Breaker;
use crate::classify::Verdict;
use crate::deliver::{self, Deliver, Graphql, Order};
use crate::enrich::Brands;
use crate::metrics::Metrics;
use crate::own::hold::tests::lasting;
use crate::pace::{Alone, Pace, Slot};

/// A pace that counts.
#[derive(Debug)]
struct Counted {
    pace: Alone,
    slots: AtomicUsize,
    pauses: Mutex<Vec<Duration>>,
    /// Of each answer, whether the target had done its work.
    worked: Arc<Mutex<Vec<bool>>>,
}

#[async_trait]
impl Pace for Counted {
    async fn slot(&self) -> Slot {
        drop(self.pace.slot().await);
        self.slots.fetch_add(1, Ordering::Relaxed);
        let worked = Arc::clone(&self.worked);
        Slot::watched(move |did| worked.lock().unwrap().push(did))
    }

    async fn pause(&self, wait: Duration) {
        self.pauses.lock().unwrap().push(wait);
        self.pace.pause(wait).await;
    }

    fn used(&self) -> f64 {
        self.pace.used()
    }

    fn limit(&self) -> Limit {
        self.pace.limit()
    }
}

/// A target that answers as it is told; when there is no more to say, as it was told last.
#[derive(Debug, Clone, Default)]
struct Script(Arc<Mutex<Told>>);

/// What a script knows.
#[derive(Debug, Default)]
struct Told {
    answers: VecDeque<Verdict>,
    last: Option<Verdict>,
    calls: Vec<Instant>,
}

impl Script {
    fn says(&self, outcomes: &[Outcome]) {
        let mut told = self.0.lock().unwrap();
        told.answers = outcomes.iter().map(|outcome| verdict(*outcome, None)).collect();
    }

    fn calls(&self) -> usize {
        self.0.lock().unwrap().calls.len()
    }
}

#[async_trait]
impl Deliver for Script {
    async fn deliver(&self, _order: Order<'_>) -> Verdict {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mut told = self.0.lock().unwrap();
        told.calls.push(Instant::now());
        let next = told.answers.pop_front().or_else(|| told.last.clone()).unwrap();
        told.last = Some(next.clone());
        next
    }
}

/// An answer.
fn verdict(outcome: Outcome, retry_after: Option<Duration>) -> Verdict {
    Verdict { outcome, status: None, retry_after, detail: outcome.as_str().to_owned() }
}

/// What a test needs.
struct Scene {
    path: Arc<Path>,
    pace: Arc<Counted>,
    script: Script,
}

const PATIENCE: Patience = Patience {
    retries: 2,
    attempts_max: 7,
    backoff: (Duration::from_millis(200), Duration::from_secs(10)),
    park: (Duration::from_secs(5), Duration::from_secs(600)),
};

async fn scene(outcomes: &[Outcome]) -> Scene {
    let script = Script::default();
    script.says(outcomes);
    let target = Box::new(script.clone());
    let (path, pace) = path(target, PATIENCE).await;
    Scene { path, pace, script }
}

async fn path(target: Box<dyn Deliver>, patience: Patience) -> (Arc<Path>, Arc<Counted>) {
    let pace = Alone::new(1_000, Duration::from_secs(1)).unwrap();
    let pace = Arc::new(Counted { pace, slots: AtomicUsize::new(0), pauses: Mutex::default(), worked: Arc::default() });
    let tasks = Tasks::new();
    // Nobody is there: the fallback is everybody's brand.
    let url = "postgres://nobody@127.0.0.1:1/nothing".to_owned();
    let store = Store::connect(&storage::Options { url, max_connections: 1, acquire_timeout: Duration::from_millis(10) }).await.unwrap();
    let path = Path {
        brands: Brands::start(store, "acme", &tasks).after(&SourceId::new("a")),
        pace: Arc::<Counted>::clone(&pace),
        target,
        breaker: Breaker::default(),
        patience,
        clock: Arc::new(SystemClock),
        metrics: Metrics::new(&Registry::new()),
    };
    (Arc::new(path), pace)
}

/// An event before its first attempt.
fn journey(number: u64) -> Journey {
    let body = format!(r#"{{"id":"e-{number}","name":"order","body":"two","timestamp":1767225600000}}"#);
    let envelope = Envelope {
        source_id: SourceId::new("a"),
        event: Event::judge(body.as_bytes()).unwrap(),
        received_at: Moment::from_micros(1),
        trace: TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None).unwrap(),
    };
    let (record, consumed_at) = (Record::default(), Moment::from_micros(2));
    Journey { hold: lasting(), envelope, record, place: (0, number), consumed_at, attempts: Vec::new(), forgiven: 0 }
}

impl Scene {
    /// Leads one event to its end this time.
    async fn travel(&self) -> Settled {
        self.path.travel(journey(1)).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttle_uses_up_no_attempt_and_holds_everybody_as_long_as_told() {
    let scene = scene(&[]).await;
    let asked = [Some(Duration::from_secs(2)), None, Some(Duration::from_secs(9_999))];
    let answers = (0..30).map(|number| verdict(Outcome::Throttled, asked[number % 3])).chain([verdict(Outcome::Delivered, None)]);
    scene.script.0.lock().unwrap().answers = answers.collect();
    let began = Instant::now();
    let settled = scene.travel().await;
    assert_eq!(settled.end, End::Delivered);
    // 2 s as told, 1 s where nothing is told, and never more than five minutes.
    assert_eq!(scene.pace.pauses.lock().unwrap()[..3], [2, 1, 300].map(Duration::from_secs));
    assert!(began.elapsed() >= Duration::from_secs(10 * 303), "{:?}", began.elapsed());
    let outcomes: Vec<Outcome> = settled.attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [Outcome::Throttled, Outcome::Delivered], "the latest throttle stands for all of them");
}

#[tokio::test(start_paused = true)]
async fn only_an_answer_to_work_that_was_done_tells_the_limit_how_long_work_takes() {
    let scene = scene(&[Outcome::Throttled, Outcome::Unavailable, Outcome::Unknown, Outcome::Delivered]).await;
    assert_eq!(scene.travel().await.end, End::Delivered);
    assert_eq!(*scene.pace.worked.lock().unwrap(), [false, false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_in_place_with_growing_pauses_and_then_parked() {
    let scene = scene(&[Outcome::Unavailable, Outcome::Unknown, Outcome::Unavailable]).await;
    let settled = scene.travel().await;
    let End::Parked { next_attempt_at } = settled.end else { panic!("{:?}", settled.end) };
    assert_eq!((scene.script.calls(), settled.attempts.len()), (3, 3));
    let wait = next_attempt_at.since(settled.settled_at);
    assert!(wait > Duration::from_secs(4) && wait <= Duration::from_secs(5), "{wait:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_asks_for_a_long_wait_is_waited_out_parked_and_a_short_one_in_place() {
    for (asked, calls) in [(9, 3), (300, 1), (9_999, 1)] {
        let scene = scene(&[]).await;
        scene.script.0.lock().unwrap().last = Some(verdict(Outcome::Unavailable, Some(Duration::from_secs(asked))));
        let began = Instant::now();
        let settled = scene.travel().await;
        let End::Parked { next_attempt_at } = settled.end else { panic!("{:?}", settled.end) };
        assert_eq!(scene.script.calls(), calls, "{asked}");
        assert!(began.elapsed() < Duration::from_secs(30), "{asked}: {:?} in place", began.elapsed());
        let (wait, expected) = (next_attempt_at.since(settled.settled_at).as_secs(), asked.min(300));
        assert!(wait >= expected - 1 && wait <= expected, "{asked}: parked for {wait} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_event_waits_longer_each_time_within_bounds() {
    let scene = scene(&[]).await;
    for (made, most) in [(3, 5), (6, 10), (9, 20), (12, 40), (300, 600), (3_000_000, 600)] {
        for _ in 0..50 {
            let wait = scene.path.parking(made);
            assert!(wait >= Duration::from_secs(5) && wait <= Duration::from_secs(most), "{made}: {wait:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_allowed_attempt_is_the_end_with_every_attempt_kept() {
    let scene = scene(&[Outcome::Unavailable]).await;
    let mut attempts = Vec::new();
    for round in 1..=3 {
        // Another event succeeds in between, so that the breaker has no reason to open.
        scene.path.breaker.works();
        let settled = scene.path.travel(Journey { attempts, ..journey(1) }).await.unwrap();
        attempts = settled.attempts;
        let is_dead = matches!(settled.end, End::Dead { reason: DeadReason::AttemptsExhausted, .. });
        assert_eq!(is_dead, round == 3, "round {round}: {:?}", settled.end);
    }
    let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test(start_paused = true)]
async fn what_the_target_refuses_is_dead_at_once() {
    let scene = scene(&[Outcome::Refused]).await;
    let settled = scene.travel().await;
    assert_eq!(settled.end, End::Dead { reason: DeadReason::Refused, detail: "refused".to_owned() });
    assert_eq!(scene.script.calls(), 1);
}

/// A target whose client breaks on one event.
#[derive(Debug)]
struct Poisoned(Script);

#[async_trait]
impl Deliver for Poisoned {
    async fn deliver(&self, order: Order<'_>) -> Verdict {
        assert_ne!(order.event.id.as_str(), "e-13", "poison");
        self.0.deliver(order).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_on_which_our_code_panics_is_dead_and_neither_ends_others_nor_takes_the_probe() {
    let script = Script::default();
    script.says(&[Outcome::Delivered]);
    let (path, _) = path(Box::new(Poisoned(script)), PATIENCE).await;
    for _ in 0..5 {
        path.breaker.fails(path.breaker.pass().await, "away");
    }
    let poison = path.travel(journey(13)).await.unwrap();
    assert_eq!(poison.end, End::Dead { reason: DeadReason::AttemptsExhausted, detail: "its delivery panicked".to_owned() });
    assert!(path.breaker.is_open(), "a panic says nothing of the target");
    let next = timeout(Duration::from_secs(1), path.travel(journey(14))).await.unwrap().unwrap();
    assert_eq!(next.end, End::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_left_ends_the_wait_and_records_nothing() {
    let scene = scene(&[Outcome::Throttled]).await;
    let path = Arc::clone(&scene.path);
    let (mut travelling, journey) = (JoinSet::new(), journey(1));
    let hold = Arc::clone(&journey.hold);
    travelling.spawn(async move { path.travel(journey).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    hold.leave();
    let ended = timeout(Duration::from_millis(50), travelling.join_next()).await.unwrap();
    assert!(ended.unwrap().unwrap().is_none());
}

#[tokio::test]
async fn an_attempt_whose_answer_was_never_seen_goes_again_with_the_same_key() {
    let options = Options {
        rate_requests: 1_000,
        rate_interval: Duration::from_secs(1),
        failure_share: 0.5,
        failures: vec![Failure::Lost],
        ..Options::default()
    };
    let stop = CancellationToken::new();
    let target = Target::start(options, TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), stop.clone()).unwrap();
    let url = format!("http://{}/graphql", target.address()).parse().unwrap();
    let graphql = Graphql::new(deliver::Target { url, authorization: None, timeout: Duration::from_secs(5) }).unwrap();
    let patience = Patience { retries: 10, attempts_max: 1_000, backoff: (Duration::from_millis(1), Duration::from_millis(2)), ..PATIENCE };
    let (path, _) = path(Box::new(graphql), patience).await;
    let mut repeated = 0;
    for number in 0..20 {
        let mut attempts = Vec::new();
        loop {
            let settled = path.travel(Journey { attempts, ..journey(number) }).await.unwrap();
            attempts = settled.attempts;
            if settled.end == End::Delivered {
                break;
            }
        }
        repeated += u64::from(attempts.len() > 1);
    }
    let numbers = target.numbers();
    assert!(repeated > 0, "no answer was lost");
    assert_eq!((numbers.distinct, numbers.forgotten), (20, 0));
    assert!(numbers.duplicates >= repeated, "{numbers:?}");
    for arrival in target.arrivals() {
        let id = arrival.id.unwrap();
        assert_eq!(arrival.key, Some(format!("a/{id}")), "the key is the event's, at every attempt");
    }
    stop.cancel();
}
