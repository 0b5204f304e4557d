//! A whole dispatcher on a topic in memory and SQLite, against a simulated target: what only shows when all stages work together.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use auth::operator::{Account, Role};
use auth::password::{COST_MIN, Passwords};
use broker::{Publisher, memory};
use chassis::admin::{self, Admin, Readiness};
use chassis::clock::{Clock, SystemClock};
use chassis::lifecycle::{OnFailure, Tasks};
use chassis::metrics::Registry;
use events_proxy_core::envelope::Record;
use events_proxy_core::{DeadReason, Envelope, Event, EventId, SourceId, State, TraceContext};
use secrecy::SecretString;
use serde_json::{Value, json};
use simulators::target::{Options, Target};
use storage::{Beat, Member, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Parts, Running, start};
use crate::consume::Order;
use crate::deliver;
use crate::own::plan::Terms;
use crate::path::Patience;
use crate::settings::Settings;

const MILLI: Duration = Duration::from_millis(1);

/// A topic, a storage and a target that dispatchers of a test share.
struct Ground {
    topic: memory::Topic,
    store: Store,
    target: Target,
    registry: Registry,
}

impl Ground {
    async fn new(target: Options) -> Self {
        Self::with_partitions(1, target).await
    }

    async fn with_partitions(partitions: u32, target: Options) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let options = storage::Options { url: "sqlite::memory:".to_owned(), max_connections: 1, acquire_timeout: Duration::from_secs(5) };
        let store = Store::connect(&options).await.unwrap();
        let open = Options { rate_requests: 100_000, rate_interval: Duration::from_secs(1), ..target };
        let target = Target::start(open, listener, CancellationToken::new()).unwrap();
        Self { topic: memory::Topic::new(partitions), store, target, registry: Registry::new() }
    }

    /// Starts a dispatcher of that name.
    fn start(&self, name: &str, order: Order) -> (Running, Readiness) {
        let parts = self.parts(name, order);
        let readiness = parts.readiness.clone();
        (start(parts, &Tasks::new()).unwrap().0, readiness)
    }

    /// What it stands on.
    fn parts(&self, name: &str, order: Order) -> Parts {
        Parts {
            settings: settings(&format!("http://{}/graphql", self.target.address()), order),
            store: self.store.clone(),
            subscriber: Arc::new(self.topic.clone()),
            topic: "events".to_owned(),
            member: Member { id: name.to_owned(), pod: name.to_owned() },
            retention: None,
            clock: Arc::new(SystemClock),
            registry: self.registry.clone(),
            readiness: Readiness::new(),
        }
    }

    /// Publishes events of a source.
    async fn publish(&self, source: &str, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.topic.publish(0, &[record(source, &format!("{source}-{number}"))]).await.unwrap();
        }
    }
}

/// An event on the topic.
fn record(source: &str, id: &str) -> Record {
    let event: Event =
        serde_json::from_str(&format!(r#"{{"id":"{id}","name":"ok","body":"b","timestamp":"2026-01-31T12:00:00Z"}}"#)).unwrap();
    let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None).unwrap();
    Envelope { source_id: SourceId::new(source), event, received_at: SystemClock.now(), trace }.encode().unwrap()
}

fn settings(target: &str, order: Order) -> Settings {
    Settings {
        target: deliver::Target { url: target.parse().unwrap(), authorization: None, timeout: Duration::from_secs(2) },
        limit: (5_000, Duration::from_secs(1)),
        testing: false,
        patience: Patience { retries: 0, attempts_max: 50, backoff: (MILLI, MILLI * 20), park: (MILLI * 20, MILLI * 200) },
        brand: "ours".to_owned(),
        in_flight_max: 64,
        span_records_max: 1_000,
        span_bytes_max: 1 << 20,
        order,
        terms: Terms { ttl: Duration::from_secs(8), margin: MILLI * 500, renew: MILLI * 500, attempt: Duration::from_secs(2) },
        retention: Duration::from_secs(600),
        batch_max: 100,
        journal_days: 7,
        operator: crate::operator::Settings {
            accounts: Vec::new(),
            token_secrets: (SecretString::from("nobody signs in"), None),
            issuer: "events-proxy".to_owned(),
            lifetime: Duration::from_secs(60),
            lock_out: (5, Duration::from_secs(60)),
            masked: Vec::new(),
            trace_ui: None,
        },
    }
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < end, "still not: {what}");
        tokio::time::sleep(MILLI * 20).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_topic_dropped_is_counted_among_the_dead_and_the_rest_is_delivered() {
    let ground = Ground::new(Options::default()).await;
    ground.publish("shop", 0..30).await;
    ground.topic.trim(0, 10);
    let (running, _) = ground.start("one", Order::None);
    until("what is left is settled", async || running.committed().get(&0) == Some(&30)).await;
    assert_eq!((ground.target.numbers().distinct, running.numbers().dead), (20, 10));
    assert_eq!(ground.store.expired("events").await.unwrap(), 10);
    assert!(ground.registry.render().contains("events_expired_total 10"));
    running.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_no_events_of_ours_are_dead_and_the_partition_goes_on() {
    let ground = Ground::new(Options::default()).await;
    ground.publish("shop", 0..1).await;
    let noise = Record { payload: b"<html>".to_vec(), ..record("shop", "noise") };
    let tombstone = Record::default();
    // An index of PostgreSQL takes no more than 2,704 bytes.
    let long = record("shop", &"x".repeat(4_000));
    let foreign = [noise, tombstone, long];
    ground.topic.publish(0, &foreign).await.unwrap();
    ground.publish("shop", 1..2).await;
    let (running, _) = ground.start("one", Order::None);
    until("everything is settled", async || running.committed().get(&0) == Some(&5)).await;
    assert_eq!((ground.target.numbers().distinct, running.numbers().dead), (2, 3));
    let mut letters = ground.store.dead_letters(10).await.unwrap();
    letters.sort_by_key(|letter| letter.offset);
    for (letter, record) in letters.iter().zip(&foreign) {
        assert_eq!((letter.reason, &letter.record, &letter.event_id), (DeadReason::Undecodable, record, &None));
    }
    running.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_ends_while_its_repeat_waits_is_sent_once() {
    let ground = Ground::new(Options { latency: MILLI * 20, ..Options::default() }).await;
    let order: Vec<Record> = ["twice", "a", "b", "c", "d", "e", "f", "twice", "g", "twice"].iter().map(|id| record("shop", id)).collect();
    ground.topic.publish(0, &order).await.unwrap();
    let mut parts = ground.parts("one", Order::None);
    parts.settings.in_flight_max = 1;
    let running = start(parts, &Tasks::new()).unwrap().0;
    until("everything is settled", async || running.committed().get(&0) == Some(&10)).await;
    assert_eq!((ground.target.numbers().distinct, ground.target.numbers().duplicates), (8, 0));
    assert!(ground.registry.render().contains("events_duplicates_total 2"), "{}", ground.registry.render());
    running.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_record_that_reads_well_is_the_event_of_its_source_header_and_its_payload() {
    let ground = Ground::new(Options::default()).await;
    let mut foreign = record("shop", "payload");
    foreign.key = b"bank\0key".to_vec();
    foreign.headers.set("event-id", b"header");
    foreign.headers.set("written-by", b"somebody else");
    ground.topic.publish(0, &[foreign]).await.unwrap();
    let (running, _) = ground.start("one", Order::None);
    until("it is settled", async || running.committed().get(&0) == Some(&1)).await;
    let arrivals = ground.target.arrivals();
    assert_eq!(arrivals.iter().map(|arrival| arrival.id.as_deref()).collect::<Vec<_>>(), [Some("payload")]);
    for (source, id, known) in [("shop", "payload", true), ("bank", "payload", false), ("shop", "header", false), ("bank", "key", false)] {
        let row = ground.store.event(&SourceId::new(source), &EventId::new(id)).await.unwrap();
        assert_eq!(row.map(|row| row.state), known.then_some(State::Delivered), "{source} {id}");
    }
    running.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_ends_before_what_was_settled_stands_and_the_replica_is_not_ready() {
    let mut ground = Ground::new(Options::default()).await;
    ground.publish("shop", 0..5).await;
    let (first, _) = ground.start("one", Order::None);
    until("everything is settled", async || first.committed().get(&0) == Some(&5)).await;
    first.stop(Duration::from_secs(5)).await;
    ground.topic = memory::Topic::new(1);
    ground.publish("bank", 0..2).await;
    let tasks = Tasks::new();
    let (second, private) = office(ground.parts("two", Order::None), &[], &tasks).await;
    until("it says that the topic is another one", async || not_ready(&private, "topic").await.contains("ended at offset 5, and now at 2"))
        .await;
    // As long as the one before, and longer: nobody could tell them apart any more.
    ground.publish("bank", 2..9).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!((second.committed().get(&0), ground.target.numbers().distinct), (Some(&5), 5), "something was settled over it");
    let figures = ground.registry.render();
    assert!(figures.contains("topic_read_failures_total{partition=\"0\"} "), "{figures}");
    second.stop(Duration::from_secs(5)).await;
    tasks.stop(Duration::from_secs(5)).await;
}

/// Why a condition of a replica does not hold; nothing while it does.
async fn not_ready(private: &str, condition: &str) -> String {
    let report = asked(private, "/health/ready", None).await.1;
    let found = report["conditions"].as_array().into_iter().flatten().find(|found| found["name"] == condition);
    found.and_then(|found| found["reason"].as_str()).unwrap_or_default().to_owned()
}

/// Starts a dispatcher with operators of these names; tells where they ask.
async fn office(mut parts: Parts, operators: &[&str], tasks: &Tasks) -> (Running, String) {
    let secret_hash = Passwords::new(1, 1, COST_MIN).hash(&SecretString::from("a secret")).await.unwrap();
    let account = |name: &&str| Account { name: (*name).to_owned(), secret_hash: secret_hash.clone(), role: Role::Operator };
    parts.settings.operator.accounts = operators.iter().map(account).collect();
    let (registry, readiness) = (parts.registry.clone(), parts.readiness.clone());
    let (running, routes) = start(parts, tasks).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (admin, stop) = (Admin { registry, readiness, routes }, tasks.stopping());
    tasks.spawn("admin", OnFailure::StopProcess, async move { Ok(admin::serve(listener, admin, stop).await?) });
    (running, format!("http://{address}"))
}

/// What is answered at a path, to whoever has that token, or to one who signs in.
async fn asked(private: &str, path: &str, token: Option<&str>) -> (u16, Value) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let request = match (path, token) {
        ("/operator/sessions", _) => client.post(format!("{private}{path}")).json(&json!({ "name": "vera", "secret": "a secret" })),
        (_, Some(token)) => client.get(format!("{private}{path}")).bearer_auth(token),
        (_, None) => client.get(format!("{private}{path}")),
    };
    let answer = request.send().await.unwrap();
    let (status, retry) = (answer.status().as_u16(), answer.headers().contains_key("retry-after"));
    assert!(retry || status != 503 || !path.starts_with("/operator"), "nobody is told when to come again");
    (status, answer.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_operator_is_named_nobody_signs_in() {
    let (ground, tasks) = (Ground::new(Options::default()).await, Tasks::new());
    let (running, private) = office(ground.parts("one", Order::None), &[], &tasks).await;
    let (status, problem) = asked(&private, "/operator/sessions", None).await;
    assert_eq!((status, &problem["code"]), (403, &json!("no_operators")));
    running.stop(Duration::from_secs(5)).await;
    tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_is_told_no_more_once_the_session_is_over() {
    let (ground, tasks) = (Ground::new(Options::default()).await, Tasks::new());
    let mut parts = ground.parts("one", Order::None);
    parts.settings.operator.lifetime = Duration::from_secs(3);
    let (running, private) = office(parts, &["vera"], &tasks).await;
    let (_, session) = asked(&private, "/operator/sessions", None).await;
    let client = reqwest::Client::builder().build().unwrap();
    let watching = client.get(format!("{private}/console/live")).bearer_auth(session["token"].as_str().unwrap());
    let mut watching = watching.send().await.unwrap();
    assert!(watching.chunk().await.unwrap().unwrap().starts_with(b"data: "));
    let over = async { while watching.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(30), over).await.expect("it is told for ever");
    running.stop(Duration::from_secs(5)).await;
    tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_told_that_the_storage_does_not_answer() {
    let (ground, tasks) = (Ground::new(Options::default()).await, Tasks::new());
    // Nobody listens there.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let url = format!("postgres://nobody:nothing@127.0.0.1:{port}/events");
    let options = storage::Options { url, max_connections: 1, acquire_timeout: MILLI * 200 };
    let parts = Parts { store: Store::connect(&options).await.unwrap(), ..ground.parts("one", Order::None) };
    let (running, private) = office(parts, &["vera"], &tasks).await;
    let (status, session) = asked(&private, "/operator/sessions", None).await;
    assert_eq!(status, 201, "{session}");
    for path in ["/operator/events", "/operator/events/shop/order-1", "/operator/dead", "/operator/replays", "/operator/partitions"] {
        let (status, problem) = asked(&private, path, session["token"].as_str()).await;
        assert_eq!((status, &problem["code"]), (503, &json!("storage_unavailable")), "{path}");
    }
    running.stop(Duration::from_secs(5)).await;
    tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backlog_is_known_also_while_nothing_is_read() {
    let ground = Ground::new(Options { latency: Duration::from_secs(300), ..Options::default() }).await;
    ground.publish("shop", 0..3).await;
    let mut parts = ground.parts("one", Order::None);
    (parts.settings.span_records_max, parts.settings.target.timeout) = (1, Duration::from_secs(300));
    let running = start(parts, &Tasks::new()).unwrap().0;
    until("what is read ahead is under way", async || running.numbers().in_flight == 3).await;
    ground.publish("shop", 3..40).await;
    until("it is told where the topic ends", async || running.numbers().backlog == 40).await;
    running.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_beyond_the_partitions_is_idle_and_ready_and_takes_over_after_a_stop() {
    let ground = Ground::new(Options::default()).await;
    let (first, _) = ground.start("one", Order::None);
    until("the first owns the partition", async || first.committed().len() == 1).await;
    let (second, readiness) = ground.start("two", Order::None);
    until("the second is ready", async || readiness.is_ready()).await;
    assert!(second.committed().is_empty());
    ground.publish("shop", 0..100).await;
    until("the first has delivered", async || first.committed().get(&0) == Some(&100)).await;
    let left = first.stop(Duration::from_secs(5)).await;
    assert_eq!(left.in_flight, 0);
    let stopped = Instant::now();
    until("the second owns the partition", async || second.committed().get(&0) == Some(&100)).await;
    assert!(stopped.elapsed() < Duration::from_secs(2), "{:?}", stopped.elapsed());
    ground.publish("shop", 100..150).await;
    until("the second has delivered", async || second.committed().get(&0) == Some(&150)).await;
    assert_eq!((ground.target.numbers().distinct, ground.target.numbers().duplicates), (150, 0));
    second.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_at_a_stop_ends_before_another_has_the_partition() {
    // Longer than the time between two beats: they all see the partition with something under way.
    let ground = Ground::new(Options { latency: MILLI * 1_200, ..Options::default() }).await;
    let (first, _) = ground.start("one", Order::None);
    until("the first owns the partition", async || first.committed().len() == 1).await;
    let (second, readiness) = ground.start("two", Order::None);
    until("the second is ready", async || readiness.is_ready()).await;
    ground.publish("shop", 0..20).await;
    until("all are in flight", async || first.numbers().in_flight == 20).await;
    assert_eq!(first.stop(Duration::from_secs(5)).await.in_flight, 0);
    until("the second goes on behind them", async || second.committed().get(&0) == Some(&20)).await;
    assert_eq!((ground.target.numbers().distinct, ground.target.numbers().duplicates), (20, 0));
    second.stop(Duration::from_secs(5)).await;
}

/// A beat of another owner, which works on nothing.
fn ghost() -> Beat {
    Beat {
        topic: "events".to_owned(),
        partitions: 1,
        member: Member { id: "a ghost".to_owned(), pod: String::new() },
        ttl: Duration::from_secs(2),
        first: true,
        draining: false,
        ends: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_epoch_is_over_writes_nothing_more_and_comes_back_under_a_new_one() {
    let ground = Ground::new(Options { latency: MILLI * 400, ..Options::default() }).await;
    let (running, _) = ground.start("one", Order::None);
    until("it owns the partition", async || running.committed().len() == 1).await;
    ground.publish("shop", 0..20).await;
    until("something is in flight", async || running.numbers().in_flight > 0).await;
    // As if its lease had run out while it was frozen, and another had found the partition free.
    until("a ghost owns the partition", async || {
        ground.store.release("events", "one", (0, 1)).await.unwrap();
        !ground.store.beat(&ghost()).await.unwrap().held.is_empty()
    })
    .await;
    until("the partition was lost", async || running.committed().is_empty()).await;
    until("it is delivered under a later epoch", async || running.committed().get(&0) == Some(&20)).await;
    assert_eq!(ground.target.numbers().distinct, 20);
    assert!(ground.registry.render().contains("dispatch_leases_lost_total 1"));
    let rows = ground.store.partitions("events").await.unwrap();
    assert_eq!((rows[0].next_offset, rows[0].owner.as_deref()), (20, Some("one")));
    assert!(rows[0].epoch > 2, "{rows:?}");
    running.stop(Duration::from_secs(5)).await;
}

#[path = "stack_tests/ordered.rs"]
mod ordered;
#[path = "stack_tests/parking.rs"]
mod parking;
#[path = "stack_tests/refused.rs"]
mod refused;
#[path = "stack_tests/unreadable.rs"]
mod unreadable;
