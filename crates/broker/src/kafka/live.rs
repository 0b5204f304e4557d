//! One client of rskafka while it lives: from a successful connect to its first failure.
//!
//! Each lane of a partition is a connection of its own, made when it is first used: a broker answers the requests of
//! one connection in turn, so a fetch that waits would hold up everything behind it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use rskafka::client::Client;
use rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::judge::{Verdict, judge};
use super::resume::Resumed;
use super::{Error, Options};

/// How long a call must have lasted for its connection to be let go of with it: a shorter one says nothing of the connection.
const SILENCE: Duration = Duration::from_millis(50);

/// What a connection to a partition is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lane {
    /// Appends batches.
    Produce,
    /// Appends batches that do not wait behind those of [`Lane::Produce`].
    Aside,
    /// Reads records, and waits for them.
    Fetch,
    /// Asks which offsets exist.
    Offsets,
}

/// The connections of one partition.
#[derive(Debug, Default)]
struct Lanes {
    /// For [`Lane::Produce`].
    produce: Arc<Place>,
    /// For [`Lane::Aside`].
    aside: Arc<Place>,
    /// For [`Lane::Fetch`].
    fetch: Arc<Place>,
    /// For [`Lane::Offsets`].
    offsets: Arc<Place>,
}

/// The place of one connection.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The connection. Who stops waiting for an answer lets go of it: the next one would be answered after that.
    made: StdMutex<Option<Arc<PartitionClient>>>,
    /// The same while it is made.
    making: Mutex<Resumed<Result<PartitionClient, Error>>>,
}

/// A client and what is known of its health.
#[derive(Debug)]
pub(super) struct Live {
    /// The client.
    client: Arc<Client>,
    /// The topic.
    topic: Arc<str>,
    /// How long connecting may take.
    patience: Duration,
    /// One entry for each partition.
    lanes: Vec<Lanes>,
    /// Whether a call failed in a way that condemns the client.
    failed: AtomicBool,
    /// Whether any call succeeded.
    proved: AtomicBool,
}

impl Live {
    /// Begins the life of a client that has just connected.
    pub(super) fn new(client: Client, options: &Options) -> Self {
        Self {
            client: Arc::new(client),
            topic: options.topic.as_str().into(),
            patience: options.connect_timeout,
            lanes: (0..options.partitions).map(|_| Lanes::default()).collect(),
            failed: AtomicBool::new(false),
            proved: AtomicBool::new(false),
        }
    }

    /// Says whether the client is to be thrown away.
    pub(super) fn is_over(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Says whether the client ever was of use.
    pub(super) fn is_proved(&self) -> bool {
        self.proved.load(Ordering::Relaxed)
    }

    /// The place of a lane's connection to a partition.
    pub(super) fn place(&self, lane: Lane, partition: u32) -> Result<&Arc<Place>, Error> {
        let lanes = usize::try_from(partition).ok().and_then(|at| self.lanes.get(at)).ok_or(Error::NoPartition)?;
        Ok(match lane {
            Lane::Produce => &lanes.produce,
            Lane::Aside => &lanes.aside,
            Lane::Fetch => &lanes.fetch,
            Lane::Offsets => &lanes.offsets,
        })
    }

    /// Makes the connection at a place, or waits for the one that is being made.
    pub(super) async fn make(&self, place: &Place, partition: u32) -> Result<Arc<PartitionClient>, Error> {
        let number = i32::try_from(partition).map_err(|_| Error::NoPartition)?;
        let mut making = place.making.lock().await;
        if let Some(made) = place.made() {
            return Ok(made);
        }
        let begin = || {
            let connecting = connect(Arc::clone(&self.client), Arc::clone(&self.topic), number);
            let patience = self.patience;
            async move { timeout(patience, connecting).await.unwrap_or(Err(Error::Late)) }
        };
        let made = making.end(begin).await;
        let made = Arc::new(made.unwrap_or(Err(Error::Late))?);
        *place.lock() = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Learns from how a call ended, or the making of a connection; true beside an error that condemned the client.
    pub(super) fn learn<T>(&self, outcome: &Result<T, Error>) -> bool {
        let trouble = matches!(outcome, Err(error) if judge(error) == Verdict::Trouble);
        if trouble {
            return !self.failed.swap(true, Ordering::Relaxed);
        }
        self.proved.store(true, Ordering::Relaxed);
        false
    }
}

impl Place {
    /// The connection, if it is made.
    pub(super) fn made(&self) -> Option<Arc<PartitionClient>> {
        self.lock().clone()
    }

    /// Says whether a connection is still the one of this place.
    pub(super) fn holds(&self, client: &Arc<PartitionClient>) -> bool {
        self.lock().as_ref().is_some_and(|made| Arc::ptr_eq(made, client))
    }

    /// The connection, if it is made, to change that.
    fn lock(&self) -> MutexGuard<'_, Option<Arc<PartitionClient>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects to a partition's leader.
async fn connect(client: Arc<Client>, topic: Arc<str>, partition: i32) -> Result<PartitionClient, Error> {
    // Renews what the client believes of leaders: from an old belief rskafka would ask the wrong broker for ever.
    client.list_topics().await.map_err(Error::broker)?;
    client.partition_client(&*topic, partition, UnknownTopicHandling::Error).await.map_err(Error::broker)
}

/// A call that somebody waits for. When it is dropped without an end its connection is let go of.
pub(super) struct Pending<'a> {
    /// Its connection.
    client: &'a Arc<PartitionClient>,
    /// The connection's place.
    place: &'a Place,
    /// When it began.
    since: Instant,
    /// Whether it ended.
    ended: bool,
}

impl<'a> Pending<'a> {
    /// Begins a call.
    pub(super) fn begin(place: &'a Place, client: &'a Arc<PartitionClient>) -> Self {
        Self { client, place, since: Instant::now(), ended: false }
    }

    /// Ends it.
    pub(super) fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.ended && self.since.elapsed() >= SILENCE && self.place.holds(self.client) {
            *self.place.lock() = None;
        }
    }
}
