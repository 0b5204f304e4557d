//! What ends a partition's consumer besides its being left.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broker::{Fetched, Publisher, Received, memory};
use chassis::admin::Readiness;
use chassis::clock::SystemClock;
use chassis::lifecycle::Tasks;
use chassis::metrics::Registry;
use events_proxy_core::envelope::Record;
use events_proxy_core::{Envelope, Event, Moment, SourceId, TraceContext};
use storage::{Limit, Store};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::{Consumer, Known, Order, Readable, Span, gaps};
use crate::breaker::Breaker;
use crate::deliver::{Graphql, Target};
use crate::enrich::Brands;
use crate::metrics::Metrics;
use crate::own::hold::tests::lasting;
use crate::pace::{Pace, Slot};
use crate::path::{Path, Patience};
use crate::settle::Ledger;

/// A limit that breaks.
#[derive(Debug)]
struct Broken;

#[async_trait]
impl Pace for Broken {
    async fn slot(&self) -> Slot {
        panic!("broken")
    }

    async fn pause(&self, _wait: Duration) {}

    fn used(&self) -> f64 {
        0.0
    }

    fn limit(&self) -> Limit {
        Limit { requests: 1, interval: Duration::from_secs(1), guard: Duration::ZERO }
    }
}

/// The way of every event, on which each one breaks.
async fn path(store: &Store) -> Path {
    Path {
        brands: Brands::start(store.clone(), "acme", &Tasks::new()),
        pace: Arc::new(Broken),
        target: Box::new(
            Graphql::new(Target {
                url: "http://127.0.0.1:1/graphql".parse().unwrap(),
                authorization: None,
                timeout: Duration::from_secs(1),
            })
            .unwrap(),
        ),
        breaker: Breaker::default(),
        patience: Patience {
            retries: 0,
            attempts_max: 1,
            backoff: (Duration::ZERO, Duration::ZERO),
            park: (Duration::ZERO, Duration::ZERO),
        },
        clock: Arc::new(SystemClock),
        metrics: Metrics::new(&Registry::new()),
    }
}

/// Publishes an event.
async fn publish(topic: &memory::Topic) {
    let envelope = Envelope {
        source_id: SourceId::new("shop"),
        event: Event::judge(br#"{"id":"e-1","name":"order","body":"two","timestamp":0}"#).unwrap(),
        received_at: Moment::from_micros(1),
        trace: TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None).unwrap(),
    };
    topic.publish(0, &[envelope.encode().unwrap()]).await.unwrap();
}

#[tokio::test]
async fn a_task_that_breaks_is_a_failure_of_the_consumer_instead_of_its_quiet_end() {
    let topic = memory::Topic::new(1);
    let options = storage::Options { url: "sqlite::memory:".to_owned(), max_connections: 1, acquire_timeout: Duration::from_secs(5) };
    let store = Store::connect(&options).await.unwrap();
    store.migrate().await.unwrap();
    let (ended, _settled) = mpsc::channel(8);
    let consumer = Consumer {
        subscriber: Arc::new(topic.clone()),
        path: Arc::new(path(&store).await),
        known: Known::together(store, &Tasks::new()),
        hold: lasting(),
        ledger: Arc::new(Ledger::new(0, 0)),
        span: Span { records: 1, bytes: 1 << 20 },
        order: Order::None,
        under_way: Arc::new(Semaphore::new(1)),
        ended,
        readable: Readable::new(Readiness::new().condition("topic")),
    };
    publish(&topic).await;
    let end = timeout(Duration::from_secs(10), consumer.consume(0)).await.expect("the consumer goes on over an event that never ends");
    assert!(end.unwrap_err().to_string().contains("panicked"));
}

#[test]
fn offsets_without_a_record_are_found_before_between_and_behind_records() {
    let fetched = |offsets: &[u64], next| Fetched {
        records: offsets.iter().map(|offset| Received { offset: *offset, record: Record::default() }).collect(),
        next,
        end: next,
    };
    assert_eq!(gaps(4, &fetched(&[4, 5, 6], 7)), []);
    assert_eq!(gaps(4, &fetched(&[], 4)), []);
    assert_eq!(gaps(4, &fetched(&[6, 7, 10], 12)), [(4, 2), (8, 2), (11, 1)]);
    assert_eq!(gaps(4, &fetched(&[], 6)), [(4, 2)]);
}
