//! The second durable way: events go to the topic without the spool, those that come together in one batch.
//!
//! One call per event would cost the brokers ten times as much, just when a disk has failed and everything goes this way.
//! One batch of a partition is under way: Kafka takes up a connection's next request when it has answered the last, so
//! several would only queue there, and an event that comes meanwhile could join none of them. The way is kept open: who
//! needs it has no time left to connect.
//! A batch is tried until the last deadline of those who wait for it; who has stopped waiting is left out when it goes again.
//! So a batch can land although nobody was told: the event is then on the topic twice, or once and refused, and is delivered once.
//! What is on the topic is told as what the spool publishes: a look-up finds it, and its trace goes on.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use broker::{PublishError, Publisher};
use chassis::lifecycle::{Cause, OnFailure, Tasks, sentence};
use events_proxy_core::envelope::Record;
use events_proxy_core::partition;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use crate::publish::news::{self, News};

/// How many events may wait for one partition, and again as many make up its next batches. What is tried in halves is bounded by
/// who waits for it: the requests that are admitted.
const QUEUE: usize = 1_024;
/// The most bytes of one batch; a larger event goes alone.
const BATCH_BYTES: usize = 512 * 1_024;
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(25);
/// How often the way to a partition is looked after: a connection that was lost, or whose broker has fallen silent, is found out
/// before somebody needs it.
const LOOK: Duration = Duration::from_secs(5);

/// Why an event did not go this way.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Shut {
    /// The topic did not take it in time.
    #[error("the topic did not take the event in time")]
    Late,
    /// As many as may wait already do.
    #[error("too many events wait for the topic")]
    Busy,
    /// The topic will never take it.
    #[error("the topic refuses the event: {0}")]
    Refused(Arc<str>),
}

/// An event on its way.
#[derive(Debug)]
struct Going {
    /// Its record.
    record: Record,
    /// Until when it is waited for.
    until: Instant,
    /// Told how it ended.
    told: oneshot::Sender<Result<(), Shut>>,
}

impl Going {
    /// Says whether somebody waits for it.
    fn is_awaited(&self) -> bool {
        !self.told.is_closed()
    }
}

/// The way to the topic; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Straight {
    /// Leads to each partition's worker.
    queues: Arc<[mpsc::Sender<Going>]>,
    /// Publishes what they are given.
    publisher: Arc<dyn Publisher>,
}

impl Straight {
    /// Starts a worker for each partition; what they publish does not queue behind what else is published.
    pub(crate) fn start(publisher: &Arc<dyn Publisher>, news: &News, tasks: &Tasks) -> Self {
        let publisher = Arc::clone(publisher).aside();
        let mut queues = Vec::new();
        for partition in 0..publisher.partitions() {
            let (queue, mut waiting) = mpsc::channel(QUEUE);
            let (publisher, news, stopping) = (Arc::clone(&publisher), news.clone(), tasks.stopping());
            tasks.spawn("publish straight to a partition", OnFailure::StopProcess, async move {
                // Cancel-safe: nobody who waits is answered with a 202 that was not earned.
                tokio::select! {
                    () = stopping.cancelled() => Ok(()),
                    result = work(partition, (&*publisher, &news), &mut waiting) => result,
                }
            });
            queues.push(queue);
        }
        Self { queues: queues.into(), publisher }
    }

    /// Keeps the way to each partition open from now on.
    pub(crate) fn keep_open(&self, tasks: &Tasks) {
        for partition in 0..self.publisher.partitions() {
            let (publisher, stopping) = (Arc::clone(&self.publisher), tasks.stopping());
            tasks.spawn("keep the second way to a partition open", OnFailure::StopProcess, async move {
                // Cancel-safe: an answer changes nothing.
                tokio::select! {
                    () = stopping.cancelled() => Ok(()),
                    never = keep_open(partition, &*publisher) => match never {},
                }
            });
        }
    }

    /// Publishes a record, and waits for the topic until the deadline.
    pub(crate) async fn publish(&self, record: Record, until: Instant) -> Result<(), Shut> {
        let count = u32::try_from(self.queues.len()).unwrap_or(u32::MAX);
        let chosen = usize::try_from(partition::assign(&record.key, count)).unwrap_or_default();
        let (told, answer) = oneshot::channel();
        self.queues.get(chosen).ok_or(Shut::Busy)?.try_send(Going { record, until, told }).map_err(|_| Shut::Busy)?;
        match timeout_at(until, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Shut::Late),
        }
    }
}

/// How a call for a batch ended.
enum Ending {
    /// Everyone was told, or nobody waits any more.
    Over,
    /// The topic is in trouble: the batch goes again.
    Again(Vec<Going>),
    /// The topic refuses the batch: each half goes by itself.
    Halves([Vec<Going>; 2]),
}

/// Publishes what comes, batch after batch. The halves of one that was refused go in turn with what has come since.
async fn work(partition: u32, way: (&dyn Publisher, &News), waiting: &mut mpsc::Receiver<Going>) -> Result<(), Cause> {
    let (mut fresh, mut halves) = (VecDeque::new(), Vec::new());
    loop {
        if fresh.is_empty() && halves.is_empty() {
            let Some(going) = waiting.recv().await else { return Ok(()) };
            fresh.push_back(going);
        }
        while fresh.len() < QUEUE
            && let Ok(going) = waiting.try_recv()
        {
            fresh.push_back(going);
        }
        fresh.retain(Going::is_awaited);
        let batch = fresh.drain(..fitting(&fresh)).collect();
        match publish(partition, way, batch).await {
            Ending::Over => {}
            Ending::Again(batch) => batch.into_iter().rev().for_each(|going| fresh.push_front(going)),
            Ending::Halves(both) => halves.extend(both),
        }
        halves.retain_mut(|half| {
            half.retain(Going::is_awaited);
            !half.is_empty()
        });
        let Some(half) = halves.pop() else { continue };
        match publish(partition, way, half).await {
            Ending::Over => {}
            Ending::Again(half) => halves.push(half),
            Ending::Halves(both) => halves.extend(both),
        }
    }
}

/// Keeps the way to a partition open. What is wrong with it is told by the link, and by who needs it.
async fn keep_open(partition: u32, publisher: &dyn Publisher) -> Infallible {
    loop {
        publisher.open(partition).await.ok();
        sleep(LOOK).await;
    }
}

/// Publishes a batch, and waits for the topic until the batch's last deadline.
async fn publish(partition: u32, (publisher, news): (&dyn Publisher, &News), mut batch: Vec<Going>) -> Ending {
    let Some(until) = batch.iter().map(|going| going.until).max() else { return Ending::Over };
    let records: Vec<Record> = batch.iter().map(|going| going.record.clone()).collect();
    let _spans = news::spans(partition, &records);
    let Ok(answer) = timeout_at(until, publisher.publish(partition, &records)).await else { return Ending::Over };
    match answer {
        Ok(first) => {
            tell(batch, &Ok(()));
            news.note(partition, first, &records);
        }
        Err(PublishError::Retry { .. }) => {
            sleep(PAUSE).await;
            return Ending::Again(batch);
        }
        Err(error @ (PublishError::TooLarge { .. } | PublishError::Refused { .. })) => {
            let half = batch.len() / 2;
            if half > 0 {
                let second = batch.split_off(half);
                return Ending::Halves([second, batch]);
            }
            tell(batch, &Err(Shut::Refused(sentence(&error).into())));
        }
    }
    Ending::Over
}

/// Tells everyone of a batch how it ended; who has stopped waiting does not hear it.
fn tell(batch: Vec<Going>, ending: &Result<(), Shut>) {
    for going in batch {
        going.told.send(ending.clone()).ok();
    }
}

/// How many of those that wait make a batch; at least one, if one waits.
fn fitting(going: &VecDeque<Going>) -> usize {
    let mut bytes = 0_usize;
    let fitting = going.iter().take_while(|one| {
        bytes = bytes.saturating_add(one.record.bytes());
        bytes <= BATCH_BYTES
    });
    fitting.count().max(1).min(going.len())
}

#[cfg(test)]
#[path = "straight_tests.rs"]
mod tests;
