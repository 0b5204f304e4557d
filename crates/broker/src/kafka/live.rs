//! One client of rskafka while it lives: from a successful connect to its first failure.
//!
//! Each lane of a partition is a connection of its own, made when it is first used: a broker answers the requests of
//! one connection in turn, so a fetch that waits would hold up everything behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rskafka::client::Client;
use rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use super::judge::{Verdict, judge};
use super::{Error, Options};

/// After so many calls in a row whose callers stopped waiting, the client counts as failed: nobody waits long enough
/// any more to see a deadline pass.
const ABANDONED_MAX: u32 = 8;

/// What a connection to a partition is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lane {
    /// Appends batches.
    Produce,
    /// Reads records, and waits for them.
    Fetch,
    /// Asks which offsets exist.
    Offsets,
}

/// The connections of one partition.
#[derive(Debug, Default)]
struct Lanes {
    /// For [`Lane::Produce`].
    produce: OnceCell<Arc<PartitionClient>>,
    /// For [`Lane::Fetch`].
    fetch: OnceCell<Arc<PartitionClient>>,
    /// For [`Lane::Offsets`].
    offsets: OnceCell<Arc<PartitionClient>>,
}

/// A client and what is known of its health.
#[derive(Debug)]
pub(super) struct Live {
    /// The client.
    client: Client,
    /// The topic.
    topic: String,
    /// One entry for each partition.
    lanes: Vec<Lanes>,
    /// Whether a call failed in a way that condemns the client.
    failed: AtomicBool,
    /// Whether any call succeeded.
    proved: AtomicBool,
    /// How many calls in a row were dropped by their callers.
    abandoned: AtomicU32,
}

impl Live {
    /// Begins the life of a client that has just connected.
    pub(super) fn new(client: Client, options: &Options) -> Self {
        Self {
            client,
            topic: options.topic.clone(),
            lanes: (0..options.partitions).map(|_| Lanes::default()).collect(),
            failed: AtomicBool::new(false),
            proved: AtomicBool::new(false),
            abandoned: AtomicU32::new(0),
        }
    }

    /// Says whether the client is to be thrown away.
    pub(super) fn is_over(&self) -> bool {
        self.failed.load(Ordering::Relaxed) || self.abandoned.load(Ordering::Relaxed) >= ABANDONED_MAX
    }

    /// Says whether the client ever was of use.
    pub(super) fn is_proved(&self) -> bool {
        self.proved.load(Ordering::Relaxed)
    }

    /// The place of a lane's connection to a partition.
    fn place(&self, lane: Lane, partition: u32) -> Result<&OnceCell<Arc<PartitionClient>>, Error> {
        let lanes = usize::try_from(partition).ok().and_then(|at| self.lanes.get(at)).ok_or(Error::NoPartition)?;
        Ok(match lane {
            Lane::Produce => &lanes.produce,
            Lane::Fetch => &lanes.fetch,
            Lane::Offsets => &lanes.offsets,
        })
    }

    /// The connection for a lane of a partition, if it was made before.
    pub(super) fn made(&self, lane: Lane, partition: u32) -> Result<Option<Arc<PartitionClient>>, Error> {
        Ok(self.place(lane, partition)?.get().map(Arc::clone))
    }

    /// Makes the connection for a lane of a partition, or waits for the one who does.
    pub(super) async fn make(&self, lane: Lane, partition: u32) -> Result<Arc<PartitionClient>, Error> {
        let number = i32::try_from(partition).map_err(|_| Error::NoPartition)?;
        let made = self.place(lane, partition)?.get_or_try_init(|| Box::pin(self.connect(number))).await?;
        Ok(Arc::clone(made))
    }

    /// Connects to the partition's leader.
    async fn connect(&self, partition: i32) -> Result<Arc<PartitionClient>, Error> {
        // Renews what the client believes of leaders: from an old belief rskafka would ask the wrong broker for ever.
        self.client.list_topics().await.map_err(Error::broker)?;
        let client = self.client.partition_client(&self.topic, partition, UnknownTopicHandling::Error).await;
        client.map(Arc::new).map_err(Error::broker)
    }

    /// Waits for a call until the deadline, and learns from how it ends; true beside an error that condemned the client.
    pub(super) async fn watch<T>(&self, deadline: Instant, call: impl Future<Output = Result<T, Error>>) -> (Result<T, Error>, bool) {
        let mut pending = Pending { live: self, answered: false };
        let outcome = timeout_at(deadline, call).await.unwrap_or(Err(Error::Late));
        pending.answered = true;
        let trouble = matches!(&outcome, Err(error) if judge(error) == Verdict::Trouble);
        if trouble {
            return (outcome, !self.failed.swap(true, Ordering::Relaxed));
        }
        self.proved.store(true, Ordering::Relaxed);
        self.abandoned.store(0, Ordering::Relaxed);
        (outcome, false)
    }
}

/// A call that somebody waits for; counts it when it is dropped without an end.
struct Pending<'a> {
    /// Whose call it is.
    live: &'a Live,
    /// Whether it ended.
    answered: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.live.abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }
}
