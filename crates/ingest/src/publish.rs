//! Stage 5 of 10 — publish: moves events from the spool to the topic.
//!
//! Laws: a record leaves the spool only after the topic acknowledged it, or after it was buried with its reason; per
//! partition one batch is under way, and order is kept; a batch that failed is sent again as it was; memory is bounded
//! by the window and the partitions' queues, whatever the broker does.
//!
//! ```text
//! spool ──▶ reader ──▶ a queue per partition ──▶ worker: batch, publish ──▶ acks ──▶ watermark ──▶ cursor
//! ```
//! Next: `crates/dispatcher/src/consume.rs`.

mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use broker::log::{Cursor, Log};
use broker::{FetchLimit, Publisher, Received};
use chassis::lifecycle::{OnFailure, Tasks};
use events_proxy_core::envelope::Record;
use events_proxy_core::partition;
use events_proxy_core::watermark::Watermark;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

pub(crate) use worker::{Burial, Worker};

/// What the reader takes from the spool at once.
const READ: FetchLimit = FetchLimit { max_bytes: 1 << 20, max_wait: Duration::from_millis(500) };
/// How often the cursor is stored: after a crash at most so much is published again.
const CURSOR_INTERVAL: Duration = Duration::from_millis(200);
/// How many records may wait for one partition's worker.
const QUEUE_RECORDS: usize = 2_048;
/// How many records may be between the spool's cursor and the reader, and their bytes.
const WINDOW: (usize, usize) = (20_000, 32 << 20);

/// A record on its way to a partition.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Its offset in the spool.
    pub(crate) offset: u64,
    /// The record.
    pub(crate) record: Record,
}

/// How far the spool is published; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<AtomicU64>);

impl Progress {
    /// The offset of the first record that is not yet published.
    pub(crate) fn position(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// Moves events from the spool to the topic.
#[derive(Debug)]
pub(crate) struct Drainer {
    /// Where events come from.
    spool: Log,
    /// How far they are published, on disk.
    cursor: Cursor,
    /// The same in memory, for others.
    progress: Progress,
    /// Published and in-work offsets.
    window: Watermark,
    /// A queue per partition.
    queues: Vec<mpsc::Sender<Waiting>>,
    /// Offsets that are done.
    done: mpsc::Receiver<Vec<u64>>,
}

/// What a drainer is made of.
pub(crate) struct Parts {
    /// Where events come from.
    pub(crate) spool: Log,
    /// How far they are published.
    pub(crate) cursor: Cursor,
    /// Where they go.
    pub(crate) publisher: Arc<dyn Publisher>,
    /// What a worker does besides.
    pub(crate) worker: Worker,
}

impl Drainer {
    /// Starts a worker per partition and the reader; tells how far it is.
    pub(crate) fn start(parts: Parts, tasks: &Tasks) -> Progress {
        let partitions = parts.publisher.partitions();
        let (told, done) = mpsc::channel(usize::try_from(partitions).unwrap_or(1).saturating_mul(2));
        let mut queues = Vec::new();
        for partition in 0..partitions {
            let (queue, waiting) = mpsc::channel(QUEUE_RECORDS);
            let worker = parts.worker.clone();
            let (publisher, told) = (Arc::clone(&parts.publisher), told.clone());
            let work = async move { worker.work(partition, &*publisher, waiting, told).await };
            tasks.spawn("publish to a partition", OnFailure::StopProcess, work);
            queues.push(queue);
        }
        let position = parts.cursor.position();
        let progress = Progress(Arc::new(AtomicU64::new(position)));
        let window = Watermark::new(position);
        let drainer = Self { spool: parts.spool, cursor: parts.cursor, progress: progress.clone(), window, queues, done };
        let stopping = tasks.stopping();
        tasks.spawn("drain the spool", OnFailure::StopProcess, async move {
            // Cancel-safe: what is not in the cursor yet is published again at the next start.
            tokio::select! {
                () = stopping.cancelled() => Ok(()),
                result = drainer.drain() => result,
            }
        });
        progress
    }

    /// Reads on while there is room in the window, and takes what the workers have done.
    async fn drain(mut self) -> Result<(), chassis::lifecycle::Cause> {
        let mut from = self.cursor.position();
        let mut tick = tokio::time::interval(CURSOR_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let room = self.window.span() < WINDOW.0 && self.window.span_bytes() < WINDOW.1;
            // Every arm is cancel-safe: reading changes nothing, a channel keeps what is not received.
            tokio::select! {
                biased;
                Some(offsets) = self.done.recv() => self.finish(&offsets),
                _ = tick.tick() => self.store_cursor().await?,
                fetched = self.spool.read(from, READ), if room => {
                    let fetched = fetched?;
                    from = fetched.next;
                    for received in fetched.records {
                        self.hand_on(received).await;
                    }
                }
            }
        }
    }

    /// Gives a record to its partition's worker, taking what is done while the worker's queue is full.
    async fn hand_on(&mut self, received: Received) {
        let Received { offset, record } = received;
        if !self.window.take(offset, record.bytes()) {
            return;
        }
        let count = u32::try_from(self.queues.len()).unwrap_or(u32::MAX);
        let chosen = usize::try_from(partition::assign(&record.key, count)).unwrap_or_default();
        let Some(queue) = self.queues.get(chosen).cloned() else { return };
        let sending = queue.reserve_owned();
        tokio::pin!(sending);
        let place = loop {
            tokio::select! {
                place = &mut sending => break place,
                Some(offsets) = self.done.recv() => self.finish(&offsets),
            }
        };
        // A closed queue means that the worker has failed, which stops the process.
        if let Ok(place) = place {
            drop(place.send(Waiting { offset, record }));
        }
    }

    /// Notes that these offsets are done.
    fn finish(&mut self, offsets: &[u64]) {
        for offset in offsets {
            self.window.finish(*offset);
        }
        self.progress.0.store(self.window.committable(), Ordering::Release);
    }

    /// Stores how far the spool is published, and drops files that nobody needs any more.
    async fn store_cursor(&self) -> Result<(), chassis::lifecycle::Cause> {
        let position = self.window.committable();
        if position == self.cursor.position() {
            return Ok(());
        }
        // Not being able to store it costs repeats after a restart, never an event: carried on.
        if let Err(error) = self.cursor.advance(position).await {
            tracing::warn!(error = chassis::lifecycle::sentence(&error), "cannot store how far the spool is published; it is tried again");
            return Ok(());
        }
        if let Err(error) = self.spool.trim(position).await {
            tracing::warn!(error = chassis::lifecycle::sentence(&error), "cannot remove old files of the spool; it is tried again");
        }
        Ok(())
    }
}
