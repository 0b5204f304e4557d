//! The second durable way: events go to the topic without the spool, those that come together in one batch.
//!
//! One call per event would cost the brokers ten times as much, just when a disk has failed and everything goes this way.
//! One batch of a partition is under way: Kafka takes up a connection's next request when it has answered the last, so
//! several would only queue there, and an event that comes meanwhile could join none of them. The drainer's batches share
//! the connection.
//! A batch that failed goes again for as long as somebody waits for it; who has stopped waiting is left out. So a batch
//! can land although nobody was told: the event is then on the topic twice, or once and refused, and is delivered once.

use std::sync::Arc;
use std::time::Duration;

use broker::{PublishError, Publisher};
use chassis::lifecycle::{Cause, OnFailure, Tasks, sentence};
use events_proxy_core::envelope::Record;
use events_proxy_core::partition;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// How many events may wait for one partition.
const QUEUE: usize = 1_024;
/// The most bytes of one batch; a larger event goes alone.
const BATCH_BYTES: usize = 512 * 1_024;
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(25);

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
    /// Told how it ended.
    told: oneshot::Sender<Result<(), Shut>>,
}

/// The way to the topic; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Straight(Arc<[mpsc::Sender<Going>]>);

impl Straight {
    /// Starts a worker for each partition.
    pub(crate) fn start(publisher: &Arc<dyn Publisher>, tasks: &Tasks) -> Self {
        let mut queues = Vec::new();
        for partition in 0..publisher.partitions() {
            let (queue, mut waiting) = mpsc::channel(QUEUE);
            let (publisher, stopping) = (Arc::clone(publisher), tasks.stopping());
            tasks.spawn("publish straight to a partition", OnFailure::StopProcess, async move {
                // Cancel-safe: nobody who waits is answered with a 202 that was not earned.
                tokio::select! {
                    () = stopping.cancelled() => Ok(()),
                    result = work(partition, &*publisher, &mut waiting) => result,
                }
            });
            queues.push(queue);
        }
        Self(queues.into())
    }

    /// Publishes a record, and waits for the topic until the deadline.
    pub(crate) async fn publish(&self, record: Record, until: Instant) -> Result<(), Shut> {
        let count = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        let chosen = usize::try_from(partition::assign(&record.key, count)).unwrap_or_default();
        let (told, answer) = oneshot::channel();
        self.0.get(chosen).ok_or(Shut::Busy)?.try_send(Going { record, told }).map_err(|_| Shut::Busy)?;
        match timeout_at(until, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Shut::Late),
        }
    }
}

/// Publishes what comes, batch after batch.
async fn work(partition: u32, publisher: &dyn Publisher, waiting: &mut mpsc::Receiver<Going>) -> Result<(), Cause> {
    let mut going = Vec::new();
    while waiting.recv_many(&mut going, QUEUE).await > 0 {
        while !going.is_empty() {
            let rest = going.split_off(fitting(&going));
            publish(partition, publisher, going).await;
            going = rest;
        }
    }
    Ok(())
}

/// Publishes a batch, in halves where the topic refuses it, until each is on the topic or nobody waits any more.
async fn publish(partition: u32, publisher: &dyn Publisher, batch: Vec<Going>) {
    let mut stack = vec![batch];
    while let Some(mut batch) = stack.pop() {
        batch.retain(|going| !going.told.is_closed());
        let records: Vec<Record> = batch.iter().map(|going| going.record.clone()).collect();
        if records.is_empty() {
            continue;
        }
        match publisher.publish(partition, &records).await {
            Ok(_) => tell(batch, &Ok(())),
            Err(PublishError::Retry { .. }) => {
                stack.push(batch);
                tokio::time::sleep(PAUSE).await;
            }
            Err(error @ (PublishError::TooLarge { .. } | PublishError::Refused { .. })) => {
                let half = batch.len() / 2;
                if half == 0 {
                    tell(batch, &Err(Shut::Refused(sentence(&error).into())));
                } else {
                    stack.push(batch.split_off(half));
                    stack.push(batch);
                }
            }
        }
    }
}

/// Tells everyone of a batch how it ended; who has stopped waiting does not hear it.
fn tell(batch: Vec<Going>, ending: &Result<(), Shut>) {
    for going in batch {
        going.told.send(ending.clone()).ok();
    }
}

/// How many of those that wait make a batch; at least one.
fn fitting(going: &[Going]) -> usize {
    let mut bytes = 0_usize;
    let fitting = going.iter().take_while(|one| {
        bytes = bytes.saturating_add(one.record.bytes());
        bytes <= BATCH_BYTES
    });
    fitting.count().max(1)
}
