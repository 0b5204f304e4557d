//! Puts everything together in one process, and takes it apart in the right order.
//!
//! ```text
//! start   storage ▸ topic ▸ target ▸ dispatcher ▸ ingest ▸ source
//! stop    source ▸ ingest (answers, drains the spool) ▸ dispatcher (attempts in flight end) ▸ target ▸ telemetry
//! ```

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use broker::{Publisher, Subscriber, kafka, local, log, memory};
use chassis::admin::{Admin, Readiness};
use chassis::clock::SystemClock;
use chassis::lifecycle::{OnFailure, Tasks, sentence};
use chassis::metrics::Registry;
use chassis::port::{self, Unusable};
use chassis::telemetry::Spans;
use storage::Store;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::demo;
use crate::member::Seat;
use crate::settings::{Queue, Settings, Source};
use crate::snapshot::{self, Snapshot};

/// How often delivered events are dropped from the embedded topic.
const TRIM_INTERVAL: Duration = Duration::from_secs(5);
/// How long the topic gathers records for one fsync: its publisher waits gladly, a source for the spool on the same disk does not.
const TOPIC_GATHER: Duration = Duration::from_millis(5);
/// How long the simulated target may take to end.
const TARGET_PATIENCE: Duration = Duration::from_secs(2);
/// How long a request of the simulated source may take.
const SOURCE_PATIENCE: Duration = Duration::from_millis(500);

/// The running whole.
#[derive(Debug)]
pub struct Stack {
    /// When it started.
    began: Instant,
    /// Accepts.
    ingest: ingest::stack::Running,
    /// Delivers.
    dispatcher: dispatcher::stack::Running,
    /// The simulated source.
    source: Option<simulators::source::Source>,
    /// The simulated target.
    target: Option<simulators::target::Target>,
    /// Stops the source before everything else.
    source_stop: CancellationToken,
    /// Stops the target after everything else.
    target_stop: CancellationToken,
    /// What runs besides.
    tasks: Tasks,
    /// Keeps other processes off the partitions that are ours.
    _seat: Seat,
    /// The place of the one dispatcher on the database's file.
    _only: Option<File>,
}

/// What stays when the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Accepted events that are neither delivered nor dead.
    pub pending: u64,
    /// Events that were accepted in this run.
    pub accepted: u64,
    /// Events that were delivered in this run.
    pub delivered: u64,
}

/// The topic, from all its sides.
struct Topic {
    /// The writing side.
    publisher: Arc<dyn Publisher>,
    /// The reading side.
    subscriber: Arc<dyn Subscriber>,
    /// The owner's side, for a topic that is ours.
    owned: Owned,
}

/// A topic that we keep ourselves and must trim.
#[derive(Debug, Clone)]
enum Owned {
    /// In memory.
    Memory(memory::Topic),
    /// On disk.
    Local(local::Topic),
    /// Kafka looks after itself.
    No,
}

impl Stack {
    /// Starts everything; events may be sent when it returns.
    ///
    /// # Errors
    /// A directory, a port or the storage cannot be used.
    pub async fn start(settings: &Settings, spans: Option<Spans>) -> anyhow::Result<Self> {
        let began = Instant::now();
        chassis::tls::install();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&settings.data_dir)
            .with_context(|| format!("make the data directory {}", settings.data_dir.display()))?;
        let seat = Seat::take(&settings.data_dir)?;
        let public = take(settings.port, "PORT")?;
        let private = listen(settings.admin_port, "ADMIN_PORT")?;
        let store = Store::connect(&settings.storage).await.context("open the storage")?;
        let only = dispatcher::pace::only_one(&settings.storage.url)?;
        store.migrate().await.context("bring the storage up to date")?;
        let topic = open(settings, &store).await?;
        let (tasks, registry, readiness) = (Tasks::new(), Registry::new(), Readiness::new());
        spans.into_iter().for_each(|spans| registry.tell_spans(spans));
        let clock = Arc::new(SystemClock);

        let target_stop = CancellationToken::new();
        let target = settings.target_port.map(|port| target(settings, port, target_stop.clone())).transpose()?;
        let mut delivery = settings.dispatcher.clone();
        demo::operator(&settings.data_dir, &mut delivery.operator).await?;
        let (dispatcher, routes) = dispatcher::stack::start(
            dispatcher::stack::Parts {
                settings: delivery,
                store: store.clone(),
                subscriber: topic.subscriber,
                topic: settings.topic.clone(),
                member: seat.member.clone(),
                retention: matches!(settings.queue, Queue::Kafka(_)).then_some(settings.dispatcher.retention),
                clock: Arc::<SystemClock>::clone(&clock),
                registry: registry.clone(),
                readiness: readiness.clone(),
            },
            &tasks,
        )
        .context("start the dispatcher")?;
        let demo = demo::account(&settings.data_dir, &store).await?;
        let parts = ingest::stack::Parts {
            settings: settings.ingest.clone(),
            store,
            publisher: topic.publisher,
            clock,
            registry: registry.clone(),
            readiness: readiness.clone(),
        };
        let ingest = ingest::stack::start(parts, public, &tasks).context("start ingest")?;
        let admin = chassis::admin::serve(private, Admin { registry, readiness, routes }, tasks.stopping());
        tasks.spawn("admin listener", OnFailure::StopProcess, async move { Ok(admin.await?) });
        keep_trimmed(topic.owned, dispatcher.clone(), &tasks);

        let source_stop = CancellationToken::new();
        let source = settings.source.as_ref().map(|source| start_source(source, demo, source_stop.clone(), &tasks));
        Ok(Self { began, ingest, dispatcher, source, target, source_stop, target_stop, tasks, _seat: seat, _only: only })
    }

    /// Resolves when a part has failed without which the process cannot go on.
    pub fn failed(&self) -> impl Future<Output = chassis::lifecycle::Failure> + Send + 'static {
        self.tasks.failed()
    }

    /// The figures of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let (ingest, dispatcher) = (self.ingest.numbers(), self.dispatcher.numbers());
        let source = self.source.as_ref().map(|source| {
            let numbers = source.numbers();
            snapshot::Source { sent: numbers.sent, gave_up: numbers.gave_up }
        });
        Snapshot {
            up: self.began.elapsed(),
            source,
            accepted: ingest.accepted,
            refused: ingest.refused,
            pending: ingest.spooled.saturating_add(dispatcher.backlog),
            in_flight: dispatcher.in_flight,
            delivered: dispatcher.delivered,
            retried: dispatcher.retried,
            parked: dispatcher.parked,
            dead: dispatcher.dead,
            target_away: dispatcher.target_away,
            limit_used: dispatcher.limit_used,
        }
    }

    /// Stops everything within `grace` and tells what stays; it is on disk, and the next start goes on from there.
    pub async fn stop(self, grace: Duration) -> Left {
        let until = Instant::now() + grace;
        self.source_stop.cancel();
        self.ingest.stop(until.saturating_duration_since(Instant::now())).await;
        self.dispatcher.stop(until.saturating_duration_since(Instant::now())).await;
        let last = self.snapshot();
        let running = self.tasks.stop(until.saturating_duration_since(Instant::now())).await;
        if !running.is_empty() {
            tracing::warn!(tasks = running.join(", "), "some tasks did not end in time");
        }
        self.target_stop.cancel();
        if let Some(target) = &self.target
            && let Ok(Err(error)) = tokio::time::timeout(TARGET_PATIENCE, target.stopped()).await
        {
            tracing::warn!(%error, "the simulated target did not end well");
        }
        Left { pending: last.pending, accepted: last.accepted, delivered: last.delivered }
    }
}

/// Takes a port of loopback; 0 takes any.
fn take(port: u16, setting: &'static str) -> Result<TcpListener, Unusable> {
    port::take((Ipv4Addr::LOCALHOST, port).into(), setting)
}

/// Listens on a port of loopback.
fn listen(port: u16, setting: &'static str) -> anyhow::Result<TcpListener> {
    let taken = take(port, setting)?;
    port::open(&taken).with_context(|| format!("listen for {setting}"))?;
    Ok(taken)
}

/// Opens the topic. One in memory begins where the former one ended, as far as a storage that outlived it knows: what was on it
/// is then told as dropped.
async fn open(settings: &Settings, store: &Store) -> anyhow::Result<Topic> {
    match &settings.queue {
        Queue::InMemory => {
            let former = store.partitions(&settings.topic).await.context("read where the topic ended")?;
            let ends = former.iter().map(|row| (row.partition, row.high_watermark.max(row.next_offset)));
            let topic = memory::Topic::beginning_at(settings.partitions, &ends.collect());
            Ok(Topic { publisher: Arc::new(topic.clone()), subscriber: Arc::new(topic.clone()), owned: Owned::Memory(topic) })
        }
        Queue::Local => {
            let dir = settings.data_dir.join("topic");
            let options = log::Options { gather: TOPIC_GATHER, ..settings.ingest.spool.clone() };
            let topic = local::Topic::open(&dir, settings.partitions, &options).context("open the embedded topic")?;
            Ok(Topic { publisher: Arc::new(topic.clone()), subscriber: Arc::new(topic.clone()), owned: Owned::Local(topic) })
        }
        Queue::Kafka(topic) => {
            let options = ingest::stack::kafka(topic.clone());
            let (publisher, subscriber) = (kafka::Writer::new(options.clone()), kafka::Reader::new(options.clone()));
            Ok(Topic { publisher: Arc::new(publisher), subscriber: Arc::new(subscriber), owned: Owned::No })
        }
    }
}

/// Drops events from the embedded topic once their offsets are committed.
fn keep_trimmed(owned: Owned, dispatcher: dispatcher::stack::Running, tasks: &Tasks) {
    let stopping = tasks.stopping();
    tasks.spawn("trim the embedded topic", OnFailure::Log, async move {
        let mut tick = tokio::time::interval(TRIM_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Both arms are cancel-safe.
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                _ = tick.tick() => {}
            }
            for (partition, before) in dispatcher.committed() {
                match &owned {
                    Owned::Memory(topic) => topic.trim(partition, before),
                    Owned::Local(topic) => {
                        if let Err(error) = topic.trim(partition, before).await {
                            tracing::warn!(error = sentence(&error), partition, "cannot drop what is delivered; it is tried again");
                        }
                    }
                    Owned::No => return Ok(()),
                }
            }
        }
    });
}

/// Starts the simulated target.
fn target(settings: &Settings, port: u16, stop: CancellationToken) -> anyhow::Result<simulators::target::Target> {
    let listener = listen(port, "TARGET_SERVICE_GRAPHQL_URL")?;
    let options = simulators::target::Options {
        rate_interval: settings.limit.interval,
        rate_requests: settings.limit.requests.min(simulators::target::RATE_REQUESTS_MAX),
        ..simulators::target::Options::default()
    };
    simulators::target::Target::start(options, listener, stop).context("start the simulated target")
}

/// Starts the simulated source.
fn start_source(
    settings: &Source,
    demo: crate::settings::Credentials,
    stop: CancellationToken,
    tasks: &Tasks,
) -> simulators::source::Source {
    let credentials = settings.credentials.clone().unwrap_or(demo);
    let source = simulators::source::Source::new(simulators::source::Options {
        api_url: settings.api_url.clone(),
        auth_id: credentials.auth_id,
        secret: credentials.secret,
        interval: settings.interval,
        give_up: SOURCE_PATIENCE,
        ..simulators::source::Options::default()
    });
    let running = source.clone();
    tasks.spawn("simulated source", OnFailure::Log, async move { Ok(running.run(stop).await?) });
    source
}
