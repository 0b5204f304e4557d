//! Puts the dispatcher together and takes it apart: fetching ends first, then the events under way, then the settlement.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use broker::{Subscriber, kafka};
use chassis::admin::{Readiness, Routes};
use chassis::clock::Clock;
use chassis::lifecycle::{Cause, OnFailure, Tasks};
use chassis::metrics::Registry;
use chassis::settings::common::{self, Topic};
use storage::{Balance, Member, Store};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::audit::Audit;
use crate::backlog::Backlog;
use crate::breaker::Breaker;
use crate::consume::{Known, Readable, Span};
use crate::deliver::{Deliver, Graphql, Testing};
use crate::desk::{Desks, Works};
use crate::enrich::Brands;
use crate::metrics::{FAMILIES, Metrics, Numbers};
use crate::operator;
use crate::own::Owner;
use crate::pace::{self, Pace};
use crate::park::Parked;
use crate::path::Path;
use crate::replay::Replays;
use crate::settings::Settings;
use crate::settle::{Commits, Settle};
use chassis::lifecycle::sentence;

/// The pause between tries to bring the storage up to date.
const PAUSE: Duration = Duration::from_millis(500);
/// How often the journal lets go of days that are over.
const JOURNAL_INTERVAL: Duration = Duration::from_secs(3_600);
/// How many notices may wait for the owner.
const NOTICES_WAITING: usize = 64;
/// The target's name, where the database knows its limit by it.
pub(crate) const TARGET: &str = "target";

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
    /// Who this dispatcher is among its like.
    pub member: Member,
    /// How long the topic keeps records; none when it keeps them until they are settled.
    pub retention: Option<Duration>,
    /// Tells when.
    pub clock: Arc<dyn Clock>,
    /// Keeps its numbers.
    pub registry: Registry,
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
    /// The way of every event.
    path: Arc<Path>,
    /// The partitions, once the storage is there.
    desks: Arc<OnceLock<Desks>>,
    /// Whether every event is accounted for.
    audit: Audit,
}

/// What a stop leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Attempts that were given up while they waited for an answer: their events are delivered again.
    pub in_flight: u64,
}

/// Starts a dispatcher; its failure is one of `tasks`. The routes are what operators ask, for the private listener.
///
/// # Errors
/// The target's client or the limit cannot be made.
pub fn start(parts: Parts, tasks: &Tasks) -> anyhow::Result<(Running, Routes)> {
    let settings = &parts.settings;
    let own = Tasks::new();
    let (metrics, audit) = (Metrics::new(&parts.registry), Audit::new(&parts.registry));
    let pace = pace::open(TARGET, settings.limit, parts.store.clone(), &parts.registry, &own)?;
    let graphql = Graphql::new(settings.target.clone()).context("make the target's client")?;
    let target: Box<dyn Deliver> = if settings.testing { Box::new(Testing(graphql)) } else { Box::new(graphql) };
    let path = Arc::new(Path {
        brands: Brands::start(parts.store.clone(), &settings.brand, &own),
        pace: Arc::clone(&pace),
        target,
        breaker: Breaker::default(),
        patience: settings.patience,
        clock: Arc::clone(&parts.clock),
        metrics: metrics.clone(),
    });
    let told = Arc::clone(&path);
    parts.registry.meter(FAMILIES).gauge("delivery.breaker.open", move || f64::from(u8::from(told.breaker.is_open())));
    let running = Running { tasks: own.clone(), metrics, pace, path: Arc::clone(&path), desks: Arc::default(), audit };
    let routes = operator::routes(operator::Parts::of(&parts, running.clone()), &own);
    let beginning = running.clone();
    own.spawn("own partitions", OnFailure::StopProcess, async move { beginning.begin(parts, path).await });
    let failed = own.failed();
    let stopping = tasks.stopping();
    tasks.spawn("dispatcher", OnFailure::StopProcess, async move {
        // Both arms are cancel-safe: each only waits.
        tokio::select! {
            failure = failed => Err(failure.into()),
            () = stopping.cancelled() => Ok(()),
        }
    });
    Ok((running, routes))
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
    /// Waits for the storage, and then owns partitions until the process stops.
    async fn begin(self, parts: Parts, path: Arc<Path>) -> Result<(), Cause> {
        if self.up_to_date(&parts).await.is_none() {
            return Ok(());
        }
        let topic: Arc<str> = Arc::from(parts.topic.as_str());
        self.run_replays(&parts, &topic);
        let (notices, told) = mpsc::channel(NOTICES_WAITING);
        let (origin, stopping) = (Instant::now(), self.tasks.stopping());
        let partitions = parts.subscriber.partitions();
        let condition = parts.readiness.condition("dispatcher");
        let under_way = Arc::new(Semaphore::new(parts.settings.in_flight_max));
        let desks = Desks::new(Works {
            settle: self.settle(&parts, &topic),
            span: Span { records: parts.settings.span_records_max, bytes: parts.settings.span_bytes_max },
            order: parts.settings.order,
            path: Arc::clone(&path),
            under_way: Arc::clone(&under_way),
            readable: Readable::new(parts.readiness.condition("topic")),
            tasks: self.tasks.clone(),
            origin,
            attempt: parts.settings.terms.attempt,
            notices,
            subscriber: parts.subscriber,
            known: Known::together(parts.store.clone(), &self.tasks),
        });
        let backlog = Backlog::new(desks.clone(), parts.clock, Arc::clone(&self.pace), parts.retention);
        backlog.tell(&parts.registry);
        self.desks.get_or_init(|| desks.clone());
        self.tasks.spawn("watch the backlog", OnFailure::Log, backlog.watch(parts.store.clone(), Arc::clone(&topic), stopping.clone()));
        let audit = self.audit.clone().watch(parts.store.clone(), Arc::clone(&topic), stopping.clone());
        self.tasks.spawn("audit the balance of events", OnFailure::Log, audit);
        self.keep_journal(parts.store.clone(), parts.settings.journal_days);
        let parked = Parked {
            store: parts.store.clone(),
            topic: Arc::clone(&topic),
            desks: desks.clone(),
            path,
            under_way,
            stopping: stopping.clone(),
        };
        self.tasks.spawn("retry parked events", OnFailure::StopProcess, parked.retry());
        let owner = Owner {
            store: parts.store,
            topic,
            partitions,
            member: parts.member,
            terms: parts.settings.terms,
            origin,
            desks,
            notices: told,
            stopping,
            condition,
            metrics: self.metrics.clone(),
        };
        owner.own().await
    }

    /// Moves replays on.
    fn run_replays(&self, parts: &Parts, topic: &Arc<str>) {
        let (store, clock, pace) = (parts.store.clone(), Arc::clone(&parts.clock), Arc::clone(&self.pace));
        let replays = Replays { store, topic: Arc::clone(topic), pace, clock };
        self.tasks.spawn("run replays", OnFailure::Log, replays.run(self.tasks.stopping()));
    }

    /// What stores how events end.
    fn settle(&self, parts: &Parts, topic: &Arc<str>) -> Settle {
        let batch_max = parts.settings.batch_max;
        Settle {
            commits: Commits::together(parts.store.clone(), self.metrics.clone(), batch_max, &self.tasks),
            topic: Arc::clone(topic),
            member: parts.member.id.clone(),
            batch_max,
            metrics: self.metrics.clone(),
            clock: Arc::clone(&parts.clock),
        }
    }

    /// Lets go of the journal's days that are over, now and then.
    fn keep_journal(&self, store: Store, days: u32) {
        let stopping = self.tasks.stopping();
        self.tasks.spawn("keep the journal", OnFailure::Log, async move {
            loop {
                match store.keep_journal(days).await {
                    Ok(0) => {}
                    Ok(gone) => tracing::info!(gone, days, "let go of what the journal need not tell any more"),
                    Err(error) => tracing::warn!(error = sentence(&error), "cannot let go of the journal's old days; it is tried again"),
                }
                // Both arms are cancel-safe: each only waits.
                tokio::select! {
                    () = stopping.cancelled() => return Ok(()),
                    () = tokio::time::sleep(JOURNAL_INTERVAL) => {}
                }
            }
        });
    }

    /// Brings the storage up to date; tries until it answers, `None` when the process stops.
    async fn up_to_date(&self, parts: &Parts) -> Option<()> {
        let condition = parts.readiness.condition("dispatcher");
        let stopping = self.tasks.stopping();
        let mut failures = 0_u32;
        while let Err(error) = parts.store.migrate().await {
            failures = failures.saturating_add(1);
            if failures.is_power_of_two() {
                tracing::warn!(failures, error = sentence(&error), "cannot bring the storage up to date; it is tried again");
            }
            condition.not_ready(sentence(&error));
            // Both arms are cancel-safe: each only waits.
            tokio::select! {
                () = stopping.cancelled() => return None,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        Some(())
    }

    /// The limit.
    pub(crate) fn pace(&self) -> &Arc<dyn Pace> {
        &self.pace
    }

    /// The figures of this moment.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        let ledgers = self.desks.get().map_or_else(Vec::new, Desks::ledgers);
        let unended = ledgers.iter().map(|ledger| ledger.unended()).sum();
        let parked = ledgers.iter().map(|ledger| ledger.parked()).sum();
        let counted = self.metrics.numbers((self.pace.used(), pace::per_second(self.pace.limit())), unended, parked);
        Numbers { target_away: self.path.breaker.is_open(), ..counted }
    }

    /// What the last look at the balance of events found.
    pub(crate) fn balance(&self) -> Balance {
        self.audit.found().unwrap_or_default()
    }

    /// The stored offset of each partition that is owned: what lies before it is not needed any more.
    #[must_use]
    pub fn committed(&self) -> HashMap<u32, u64> {
        let ledgers = self.desks.get().map_or_else(Vec::new, Desks::ledgers);
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

#[cfg(test)]
#[path = "stack_tests.rs"]
mod tests;
