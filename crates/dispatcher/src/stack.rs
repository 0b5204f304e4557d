//! Puts the dispatcher together and takes it apart: fetching ends first, then the events under way, then the settlement.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use broker::{Subscriber, kafka};
use chassis::admin::Readiness;
use chassis::clock::Clock;
use chassis::lifecycle::{Cause, OnFailure, Tasks};
use chassis::settings::common::{self, Topic};
use opentelemetry::metrics::Meter;
use storage::Store;
use tokio::sync::{Semaphore, mpsc};

use crate::breaker::Breaker;
use crate::consume::{Consumer, Span};
use crate::deliver::{Deliver, Graphql, Testing};
use crate::enrich::Brands;
use crate::metrics::{Metrics, Numbers};
use crate::pace::{Alone, Pace};
use crate::park::{Desk, Parked};
use crate::path::Path;
use crate::settings::Settings;
use crate::settle::{Ledger, Settle};
use chassis::lifecycle::sentence;

/// The pause between tries to learn where to go on from.
const PAUSE: Duration = Duration::from_millis(500);
/// How many ends may wait for a partition's settlement.
const ENDED_WAITING: usize = 1_024;

/// What a dispatcher is made of.
#[derive(Debug)]
pub struct Parts {
    /// Its settings.
    pub settings: Settings,
    /// What it remembers.
    pub store: Store,
    /// Where events come from.
    pub subscriber: Arc<dyn Subscriber>,
    /// The topic's name.
    pub topic: String,
    /// Tells when.
    pub clock: Arc<dyn Clock>,
    /// Makes instruments.
    pub meter: Meter,
    /// Tells whether it works.
    pub readiness: Readiness,
}

/// A running dispatcher; clones are the same one.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its own tasks.
    tasks: Tasks,
    /// What it counts.
    metrics: Metrics,
    /// The limit.
    pace: Arc<dyn Pace>,
    /// Each partition, once it is known where to go on from.
    ledgers: Arc<OnceLock<Vec<Arc<Ledger>>>>,
}

/// What a stop leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Attempts that were given up while they waited for an answer: their events are delivered again.
    pub in_flight: u64,
}

/// Starts a dispatcher; its failure is one of `tasks`.
///
/// # Errors
/// The target's client or the limit cannot be made.
pub fn start(parts: Parts, tasks: &Tasks) -> anyhow::Result<Running> {
    let settings = &parts.settings;
    let own = Tasks::new();
    let metrics = Metrics::new(&parts.meter);
    let (requests, interval) = settings.limit;
    let pace: Arc<dyn Pace> = Arc::new(Alone::new(requests, interval)?);
    let graphql = Graphql::new(settings.target_url.clone(), settings.timeout).context("make the target's client")?;
    let target: Box<dyn Deliver> = if settings.testing { Box::new(Testing(graphql)) } else { Box::new(graphql) };
    let path = Arc::new(Path {
        brands: Brands::start(parts.store.clone(), &settings.brand, &own),
        pace: Arc::clone(&pace),
        target,
        breaker: Breaker::default(),
        patience: settings.patience,
        clock: Arc::clone(&parts.clock),
        metrics: metrics.clone(),
        stopping: own.stopping(),
    });
    let ledgers = Arc::new(OnceLock::new());
    let running = Running { tasks: own.clone(), metrics, pace, ledgers };
    let beginning = running.clone();
    own.spawn("find where to go on", OnFailure::StopProcess, async move { beginning.begin(parts, path).await });
    let failed = own.failed();
    let stopping = tasks.stopping();
    tasks.spawn("dispatcher", OnFailure::StopProcess, async move {
        // Both arms are cancel-safe: each only waits.
        tokio::select! {
            failure = failed => Err(failure.into()),
            () = stopping.cancelled() => Ok(()),
        }
    });
    Ok(running)
}

/// The options of a topic on Kafka, from the settings that all processes share.
#[must_use]
pub fn kafka(topic: Topic) -> kafka::Options {
    let sasl = topic.login.map(|login| {
        let mechanism = match login.mechanism {
            common::Mechanism::Plain => kafka::Mechanism::Plain,
            common::Mechanism::ScramSha256 => kafka::Mechanism::ScramSha256,
            common::Mechanism::ScramSha512 => kafka::Mechanism::ScramSha512,
        };
        kafka::Sasl { mechanism, username: login.username, password: login.password }
    });
    let options = kafka::Options::new(topic.brokers, topic.name, topic.partitions);
    kafka::Options { copies: topic.copies, tls: topic.tls, sasl, ..options }
}

impl Running {
    /// Learns where to go on from, and starts every partition there.
    async fn begin(self, parts: Parts, path: Arc<Path>) -> Result<(), Cause> {
        let Some(offsets) = self.offsets(&parts).await else { return Ok(()) };
        let topic: Arc<str> = Arc::from(parts.topic.as_str());
        let under_way = Arc::new(Semaphore::new(parts.settings.in_flight_max));
        let settle = Settle {
            store: parts.store.clone(),
            topic: Arc::clone(&topic),
            batch_max: parts.settings.batch_max,
            metrics: self.metrics.clone(),
            clock: Arc::clone(&parts.clock),
        };
        let mut desks = HashMap::new();
        for (partition, from) in offsets {
            let ledger = Arc::new(Ledger::new(partition, from));
            let (ended, waiting) = mpsc::channel(ENDED_WAITING);
            let (settle, settled) = (settle.clone(), Arc::clone(&ledger));
            self.tasks.spawn("settle a partition", OnFailure::StopProcess, async move {
                settle.settle(&settled, waiting).await;
                Ok(())
            });
            let consumer = Consumer {
                subscriber: Arc::clone(&parts.subscriber),
                store: parts.store.clone(),
                ledger: Arc::clone(&ledger),
                span: Span { records: parts.settings.span_records_max, bytes: parts.settings.span_bytes_max },
                path: Arc::clone(&path),
                under_way: Arc::clone(&under_way),
                ended: ended.clone(),
                condition: parts.readiness.condition("topic"),
            };
            self.tasks.spawn("consume a partition", OnFailure::StopProcess, consumer.consume(from));
            desks.insert(partition, (ledger, ended));
        }
        let mut ledgers: Vec<Arc<Ledger>> = desks.values().map(|(ledger, _): &Desk| Arc::clone(ledger)).collect();
        ledgers.sort_by_key(|ledger| ledger.partition);
        self.ledgers.get_or_init(|| ledgers);
        let parked = Parked { store: parts.store, topic, desks, path, under_way };
        self.tasks.spawn("retry parked events", OnFailure::StopProcess, parked.retry());
        Ok(())
    }

    /// Each partition with the offset to go on from; tries until storage and topic answer, `None` when the process stops.
    async fn offsets(&self, parts: &Parts) -> Option<Vec<(u32, u64)>> {
        let condition = parts.readiness.condition("dispatcher");
        let stopping = self.tasks.stopping();
        let mut failures = 0_u32;
        loop {
            match find(parts).await {
                Ok((offsets, parked)) => {
                    self.metrics.parked(i64::try_from(parked).unwrap_or(i64::MAX));
                    condition.ready();
                    return Some(offsets);
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures.is_power_of_two() {
                        tracing::warn!(failures, error = sentence(&*error), "cannot learn where to go on; it is tried again");
                    }
                    condition.not_ready(sentence(&*error));
                }
            }
            // Both arms are cancel-safe: each only waits.
            tokio::select! {
                () = stopping.cancelled() => return None,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// The figures of this moment.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        let unended = self.ledgers.get().map_or(0, |ledgers| ledgers.iter().map(|ledger| ledger.unended()).sum());
        self.metrics.numbers(self.pace.used(), unended)
    }

    /// The stored offset of each partition: what lies before it is not needed any more.
    #[must_use]
    pub fn committed(&self) -> HashMap<u32, u64> {
        let ledgers = self.ledgers.get().map_or(&[][..], Vec::as_slice);
        ledgers.iter().map(|ledger| (ledger.partition, ledger.committed())).collect()
    }

    /// Stops fetching, lets the attempts in flight end, settles them.
    pub async fn stop(&self, grace: Duration) -> Left {
        let running = self.tasks.stop(grace).await;
        let in_flight = self.numbers().in_flight;
        if !running.is_empty() {
            tracing::warn!(in_flight, "the dispatcher did not end in time; what was in flight is delivered again");
        }
        Left { in_flight }
    }
}

/// Asks storage and topic where to go on from, and how many events are parked.
async fn find(parts: &Parts) -> Result<(Vec<(u32, u64)>, u64), Cause> {
    parts.store.migrate().await?;
    let known = parts.store.offsets(&parts.topic).await?;
    let parked = parts.store.counts().await?.parked;
    let mut offsets = Vec::new();
    for partition in 0..parts.subscriber.partitions() {
        let from = match known.get(&partition) {
            Some(next) => *next,
            None => parts.subscriber.bounds(partition).await?.earliest,
        };
        offsets.push((partition, from));
    }
    Ok((offsets, parked))
}
