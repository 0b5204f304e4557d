//! Stage 5 of 10 — publish: moves events from the spool to the topic.
//!
//! Laws: a record leaves the spool only after the topic acknowledged it, or it was kept elsewhere with its reason; per
//! partition one batch is under way, and each lane keeps its order; a failed batch goes again as it was; memory is bounded.
//!
//! ```text
//! spool ▸ lane ──▶ a queue per partition ──▶ worker: batch, publish ──▶ acks ──▶ watermark ──▶ cursor
//!         cursor │ backlog … │ split │ fresh … │ end      while it catches up a second lane reads from `split` on
//! ```
//! A long backlog starves nothing: each batch of a partition is up to one half fresh events (`publish/fresh.rs`). In a
//! burst both lanes leave CPU and disk to those who wait for an answer (`publish/courtesy.rs`).
//! Next: `crates/dispatcher/src/consume.rs`.

mod acks;
mod batch;
mod courtesy;
mod fresh;
mod lane;
pub(crate) mod news;
mod progress;
mod refused;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use broker::Publisher;
use broker::log::{Cursor, CursorError, Log};
use chassis::lifecycle::{Cause, OnFailure, Tasks};
use tokio::time::{Instant, MissedTickBehavior};

use crate::accept::Overtaken;
use crate::metrics::Metrics;
use fresh::{Fresh, Passing};
use lane::{Beside, Bound, Lane, Outlets};

pub(crate) use acks::Acks;
pub(crate) use courtesy::Courtesy;
pub(crate) use news::News;
pub(crate) use progress::Progress;
pub(crate) use refused::{Buried, Refused};
pub(crate) use worker::Worker;

/// How often the cursor is stored: after a crash at most so much is published again.
const CURSOR_INTERVAL: Duration = Duration::from_millis(200);
/// What the backlog's lane may have under way: records and their bytes.
const BACKLOG: Bound = Bound { records: 8_000, bytes: 10 << 20 };
/// From how many unread records on fresh events get a lane of their own.
const CATCH_UP: u64 = 20_000;
/// Only a topic that took something so lately is caught up with; before, fresh events would wait in either lane.
const TAKING: Duration = Duration::from_secs(1);

/// What a drainer is made of.
pub(crate) struct Parts {
    /// Where events come from.
    pub(crate) spool: Log,
    /// Where they go.
    pub(crate) publisher: Arc<dyn Publisher>,
    /// Events that need not go there any more.
    pub(crate) overtaken: Overtaken,
    /// Whether reading waits for those who need the machine more.
    pub(crate) courtesy: Courtesy,
    /// What a worker does besides.
    pub(crate) worker: Worker,
}

/// Moves the backlog, and sees to it that fresh events pass it.
#[derive(Debug)]
pub(crate) struct Drainer {
    /// Reads the backlog; everything, while nothing passes it.
    lane: Lane,
    /// How far it is published, on disk.
    cursor: Cursor,
    /// The same in memory, for others.
    progress: Progress,
    /// The way to the lane of fresh events.
    fresh: Fresh,
    /// Fresh events that pass the backlog; none while there is no backlog to speak of.
    passing: Option<Passing>,
    /// Counts.
    metrics: Metrics,
}

impl Drainer {
    /// Starts a worker per partition and the two lanes; tells how far it is.
    ///
    /// # Errors
    /// When it cannot be read how far the spool is published.
    pub(crate) fn start(parts: Parts, tasks: &Tasks) -> Result<Progress, CursorError> {
        let Parts { spool, publisher, overtaken, courtesy, worker } = parts;
        let (cursor, metrics) = (spool.cursor("published")?, worker.metrics.clone());
        let (position, progress) = (cursor.position(), Progress::new(cursor.position()));
        let ([backlog, passing], inlets) = Outlets::pair(publisher.partitions());
        for (partition, inlet) in (0..).zip(inlets) {
            let (worker, publisher) = (worker.clone(), Arc::clone(&publisher));
            let work = async move { worker.work(partition, &*publisher, inlet).await };
            tasks.spawn("publish to a partition", OnFailure::StopProcess, work);
        }
        let refused = worker.refused;
        let lane = |outlets, bound, from| {
            let beside =
                Beside { overtaken: overtaken.clone(), refused: refused.clone(), courtesy: courtesy.clone(), metrics: metrics.clone() };
            Lane::new((spool.clone(), from), outlets, bound, beside)
        };
        let (fresh, left) = Fresh::start(&spool, lane(passing, fresh::BOUND, 0), (progress.clone(), metrics.clone()), tasks)?;
        let mut drainer =
            Self { lane: lane(backlog, BACKLOG, position), cursor, progress: progress.clone(), fresh, passing: None, metrics };
        let (stopping, left) = (tasks.stopping(), left.filter(|(split, _)| position <= *split));
        progress.began_with(left.map_or(0, |(split, from)| from - split));
        tasks.spawn("drain the spool", OnFailure::StopProcess, async move {
            if let Some((split, from)) = left {
                drainer.pass(split, from).await;
            }
            // Cancel-safe: what is not in the cursor yet is published again at the next start.
            tokio::select! {
                () = stopping.cancelled() => Ok(()),
                result = drainer.drain() => result,
            }
        });
        Ok(progress)
    }

    /// Reads on while there is room, and takes what the workers have done.
    async fn drain(mut self) -> Result<(), Cause> {
        let mut tick = tokio::time::interval(CURSOR_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Both arms are cancel-safe: reading changes nothing, a channel keeps what is not received.
            let step = tokio::select! {
                biased;
                _ = tick.tick() => None,
                step = self.lane.next() => Some(step),
            };
            match step {
                Some(step) => self.lane.take(step).await?,
                None => self.look().await,
            }
            self.progress.reached(self.lane.position());
            if self.lane.is_at_its_end() && self.passing.is_some() {
                self.join().await?;
            }
        }
    }

    /// Stores how far the spool is published, and lets fresh events pass when the backlog is long.
    async fn look(&mut self) {
        self.store_cursor().await;
        let end = self.lane.end();
        let taking = self.lane.last_done().is_some_and(|at| at.elapsed() < TAKING);
        if self.passing.is_none() && taking && end.saturating_sub(self.lane.read_up_to()) > CATCH_UP {
            self.pass(end, end).await;
        }
    }

    /// Ends the backlog at `split`, and begins the fresh lane at `from`: what lies between is published.
    async fn pass(&mut self, split: u64, from: u64) {
        self.metrics.catching_up(split.saturating_sub(self.lane.read_up_to()));
        self.lane.end_at(split);
        self.passing = Some(self.fresh.pass(split, from).await);
    }

    /// The backlog is published: goes on where the fresh lane is.
    async fn join(&mut self) -> Result<(), Cause> {
        let Some(passing) = self.passing.take() else { return Ok(()) };
        let began = Instant::now();
        let position = passing.end().await?;
        self.lane.go_on_at(position);
        self.progress.joined(position);
        self.store_cursor().await;
        self.metrics.caught_up(began.elapsed());
        Ok(())
    }

    /// Stores how far the spool is published, and drops files that nobody needs any more.
    async fn store_cursor(&mut self) {
        let position = self.lane.position();
        if position == self.cursor.position() {
            return;
        }
        // Not being able to store it costs repeats after a restart, never an event: carried on.
        if let Err(error) = self.cursor.advance(position).await {
            self.metrics.progress_unkept(&error);
            return;
        }
        let spool = self.lane.spool().clone();
        if let Err(error) = spool.trim(position).await {
            self.metrics.files_unremoved(&error);
        }
    }
}

#[cfg(test)]
#[path = "publish/publish_tests.rs"]
mod tests;
