//! A topic that does as a test says, and an ingest without HTTP around it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use broker::log::{Log, Options};
use broker::port::Cause;
use broker::{PublishError, Publisher};
use chassis::clock::SystemClock;
use chassis::lifecycle::{OnFailure, Tasks};
use chassis::metrics::Registry;
use events_proxy_core::envelope::Record;
use events_proxy_core::event::Timestamp;
use events_proxy_core::{Envelope, Event, EventId, Moment, SourceId, TraceContext};
use storage::Store;

use crate::accept::{Accept, Overtaken, Straight};
use crate::burial::Graveyard;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::publish::{Acks, Courtesy, Drainer, News, Parts, Progress, Refused, Worker};
use crate::settings::Durability;
use crate::spool;

/// The topic.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    /// Whether calls never end.
    pub(crate) hangs: AtomicBool,
    /// Whether calls fail.
    pub(crate) fails: AtomicBool,
    /// How long a batch takes, in milliseconds.
    pub(crate) batch_ms: AtomicU64,
    /// The most bytes of a batch; none means no bound.
    pub(crate) bytes_max: AtomicU64,
    /// How often it was called.
    pub(crate) calls: AtomicU64,
    /// How often a way was opened.
    pub(crate) opened: AtomicU64,
    /// How many calls are under way.
    under_way: AtomicU64,
    /// The most of them at one time.
    pub(crate) most_under_way: AtomicU64,
    /// Every record, with the moment it landed, in the order it was taken.
    pub(crate) taken: Mutex<Vec<(String, tokio::time::Instant)>>,
}

#[async_trait]
impl Publisher for Topic {
    fn partitions(&self) -> u32 {
        2
    }

    async fn prepare(&self) -> Result<(), Cause> {
        Ok(())
    }

    async fn publish(&self, partition: u32, records: &[Record]) -> Result<u64, PublishError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let _call = Call::begin(self);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(self.batch_ms.load(Ordering::SeqCst))).await;
        if self.fails.load(Ordering::SeqCst) {
            return Err(PublishError::Retry { partition, cause: "the broker is away".into() });
        }
        let bytes: usize = records.iter().map(Record::bytes).sum();
        let most = self.bytes_max.load(Ordering::SeqCst);
        if most > 0 && bytes as u64 > most {
            return Err(PublishError::TooLarge { partition });
        }
        if records.iter().any(|record| id(record).contains("poison")) {
            return Err(PublishError::Refused { partition, cause: "InvalidRecord".into() });
        }
        let mut taken = self.taken.lock().unwrap();
        taken.extend(records.iter().map(|record| (id(record), tokio::time::Instant::now())));
        Ok(0)
    }

    async fn open(&self, _partition: u32) -> Result<(), PublishError> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn aside(self: Arc<Self>) -> Arc<dyn Publisher> {
        self
    }
}

/// A call under way.
struct Call<'a>(&'a Topic);

impl<'a> Call<'a> {
    /// Counts it.
    fn begin(topic: &'a Topic) -> Self {
        let under_way = topic.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        topic.most_under_way.fetch_max(under_way, Ordering::SeqCst);
        Self(topic)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Topic {
    /// The ids of what it took.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.taken.lock().unwrap().iter().map(|(id, _)| id.clone()).collect()
    }
}

/// The event id of a record.
fn id(record: &Record) -> String {
    String::from_utf8_lossy(record.headers.get("event-id").unwrap_or_default()).into_owned()
}

/// An event of that id.
pub(crate) fn envelope(id: &str) -> Envelope {
    let event = Event {
        id: EventId::new(id),
        name: "order placed".to_owned(),
        body: "two apples".to_owned(),
        timestamp: Timestamp::from_epoch_millis(1).unwrap(),
    };
    let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", None).unwrap();
    Envelope { source_id: SourceId::new("shop"), event, received_at: Moment::from_micros(1), trace }
}

/// An ingest without HTTP.
pub(crate) struct Bench {
    /// Where it publishes.
    pub(crate) topic: Arc<Topic>,
    /// Its spool.
    pub(crate) spool: Log,
    /// What it remembers.
    pub(crate) store: Store,
    /// What it counts.
    pub(crate) registry: Registry,
    /// Its tasks.
    pub(crate) tasks: Tasks,
    /// The same, for the parts that it is made of.
    pub(crate) metrics: Metrics,
    acks: Acks,
    overtaken: Overtaken,
}

/// News that nobody hears.
pub(crate) fn deaf(metrics: &Metrics) -> News {
    News { journal: Journal::deaf(metrics.clone()), clock: Arc::new(SystemClock) }
}

impl Bench {
    /// Puts one together over a spool's directory.
    pub(crate) async fn new(dir: &Path, options: &Options, durability: Durability) -> Self {
        let patience = Duration::from_secs(5);
        let options_of_store = storage::Options { url: "sqlite::memory:".to_owned(), max_connections: 1, acquire_timeout: patience };
        let store = Store::connect(&options_of_store).await.unwrap();
        let (registry, topic) = (Registry::new(), Arc::new(Topic::default()));
        store.migrate().await.unwrap();
        Self {
            acks: Acks::new(topic.partitions(), durability != Durability::Volume),
            spool: Log::open(dir, options).unwrap(),
            metrics: Metrics::new(&registry),
            overtaken: Overtaken::default(),
            tasks: Tasks::new(),
            topic,
            store,
            registry,
        }
    }

    /// The accept stage.
    pub(crate) fn accept(&self, durability: Durability) -> Accept {
        let publisher: Arc<dyn Publisher> = Arc::<Topic>::clone(&self.topic);
        Accept {
            durability,
            spool: self.spool.clone(),
            straight: Straight::start(&publisher, &deaf(&self.metrics), &self.tasks),
            partitions: publisher.partitions(),
            acks: self.acks.clone(),
            overtaken: self.overtaken.clone(),
            clock: Arc::new(SystemClock),
            metrics: self.metrics.clone(),
        }
    }

    /// Starts the publish stage.
    pub(crate) fn drain(&self, dir: &Path) -> Progress {
        let clock = Arc::new(SystemClock);
        let refused = Refused::open(dir, self.metrics.clone()).unwrap();
        let graveyard = Graveyard {
            refused: refused.clone(),
            store: self.store.clone(),
            clock: Arc::<SystemClock>::clone(&clock),
            metrics: self.metrics.clone(),
        };
        let stopping = self.tasks.stopping();
        self.tasks.spawn("bury", OnFailure::StopProcess, async move {
            tokio::select! { () = stopping.cancelled() => Ok(()), dug = graveyard.dig() => dug }
        });
        let journal = Journal::start(self.store.clone(), 100, self.metrics.clone(), &self.tasks);
        let news = News { journal, clock };
        let worker = Worker { news, refused: refused.clone(), acks: self.acks.clone(), metrics: self.metrics.clone() };
        let (spool, publisher) = (self.spool.clone(), Arc::<Topic>::clone(&self.topic));
        let parts = Parts { spool, publisher, overtaken: self.overtaken.clone(), courtesy: Courtesy::none(), worker };
        let progress = Drainer::start(parts, &self.tasks).unwrap();
        spool::observe(&self.spool, &progress, &refused, (&self.metrics, &self.registry));
        progress
    }

    /// Appends events of these ids to the spool, a thousand at a time.
    pub(crate) async fn spool(&self, ids: impl IntoIterator<Item = String>) {
        let records: Vec<Record> = ids.into_iter().map(|id| envelope(&id).encode().unwrap()).collect();
        for some in records.chunks(1_000) {
            self.spool.append(some).await.unwrap();
        }
    }

    /// Waits until the topic has all of these.
    pub(crate) async fn lands(&self, ids: impl IntoIterator<Item = String>) {
        let ids: HashSet<String> = ids.into_iter().collect();
        until(|| self.topic.ids().into_iter().collect::<HashSet<_>>().is_superset(&ids)).await;
    }

    /// Whether a line stands among the figures.
    pub(crate) fn counts(&self, line: &str) -> bool {
        self.registry.render().lines().any(|found| found == line)
    }
}

/// Waits until something holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it never came to hold");
}
