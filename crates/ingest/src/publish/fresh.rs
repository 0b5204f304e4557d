//! The lane of fresh events, which pass a long backlog.
//!
//! ```text
//! published ───▶ │ backlog │ split ─── passed ───▶ │ fresh … │ end
//!   cursor                   fresh-begin  fresh-end              the two cursors keep what was passed over a restart
//! ```
//! Law: `fresh-end` is never moved before `fresh-begin` stands at this backlog's split; else a crash would make an older
//! stretch look published. When the backlog is done, this lane reads no further, ends what is open, and tells where.

use std::time::Duration;

use broker::log::{Cursor, CursorError, Log};
use chassis::lifecycle::{Cause, OnFailure, Tasks};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::CURSOR_INTERVAL;
use super::lane::{Bound, Lane};
use super::progress::Progress;
use crate::metrics::Metrics;

/// What it may have under way.
pub(super) const BOUND: Bound = Bound { records: 4_000, bytes: 5 << 20 };

/// The lane has ended before it was told to, which stops the process.
#[derive(Debug, thiserror::Error)]
#[error("the lane of fresh events has ended")]
struct Ended;

/// A backlog to pass.
#[derive(Debug)]
struct Order {
    /// Where the backlog ends.
    split: u64,
    /// Where to begin to read; what lies between is published.
    from: u64,
    /// Cancelled when the backlog is done.
    over: CancellationToken,
    /// Told the offset that the whole spool is published up to.
    answer: oneshot::Sender<u64>,
}

/// The way to the lane.
#[derive(Debug)]
pub(super) struct Fresh(mpsc::Sender<Order>);

/// Fresh events that pass a backlog.
#[derive(Debug)]
pub(super) struct Passing {
    /// Cancelled when the backlog is done.
    over: CancellationToken,
    /// Tells the offset that the whole spool is published up to.
    answer: oneshot::Receiver<u64>,
}

impl Passing {
    /// The backlog is done: waits for what is open, and tells where the spool goes on.
    pub(super) async fn end(self) -> Result<u64, Cause> {
        self.over.cancel();
        self.answer.await.map_err(|_| Ended.into())
    }
}

/// What the lane owns.
struct Passer {
    /// Reads.
    lane: Lane,
    /// Where what it passed begins, and ends.
    kept: (Cursor, Cursor),
    /// For those who look.
    progress: Progress,
    /// Tells what cannot be kept.
    metrics: Metrics,
}

impl Fresh {
    /// Starts the lane, which waits for a backlog; tells the split and the end of what was passed before the last stop.
    pub(super) fn start(
        spool: &Log,
        lane: Lane,
        (progress, metrics): (Progress, Metrics),
        tasks: &Tasks,
    ) -> Result<(Self, Option<(u64, u64)>), CursorError> {
        let kept = (spool.cursor("fresh-begin")?, spool.cursor("fresh-end")?);
        let left = (kept.0.position(), kept.1.position());
        let (orders, mut ordered) = mpsc::channel::<Order>(1);
        let mut passer = Passer { lane, kept, progress, metrics };
        let stopping = tasks.stopping();
        tasks.spawn("let fresh events pass", OnFailure::StopProcess, async move {
            let work = async {
                while let Some(order) = ordered.recv().await {
                    passer.pass(order).await?;
                }
                Ok(())
            };
            // Cancel-safe: what is not in the cursors yet is published again at the next start.
            tokio::select! {
                () = stopping.cancelled() => Ok(()),
                result = work => result,
            }
        });
        Ok((Self(orders), (left.0 < left.1).then_some(left)))
    }

    /// Lets events from an offset on pass a backlog that ends at `split`.
    pub(super) async fn pass(&self, split: u64, from: u64) -> Passing {
        let (answer, answered) = oneshot::channel();
        let over = CancellationToken::new();
        // A lane that has ended is told by its task, and by the answer that never comes.
        drop(self.0.send(Order { split, from, over: over.clone(), answer }).await);
        Passing { over, answer: answered }
    }
}

impl Passer {
    /// Passes one backlog.
    async fn pass(&mut self, order: Order) -> Result<(), Cause> {
        self.lane.go_on_at(order.from);
        let mut tick = tokio::time::interval(CURSOR_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.lane.is_at_its_end() {
            // Each arm is cancel-safe: reading changes nothing, a channel keeps what is not received.
            let step = tokio::select! {
                biased;
                () = order.over.cancelled(), if !self.lane.is_ending() => {
                    self.lane.end_here();
                    None
                }
                _ = tick.tick() => {
                    self.keep(order.split).await;
                    None
                }
                step = self.lane.next() => Some(step),
            };
            if let Some(step) = step {
                self.lane.take(step).await?;
                self.progress.passed(self.lane.position().saturating_sub(order.split));
            }
        }
        self.keep(order.split).await;
        // Whoever asked may have ended with the process.
        order.answer.send(self.lane.position()).ok();
        Ok(())
    }

    /// Keeps what was passed; not being able to costs repeats after a restart, never an event.
    async fn keep(&mut self, split: u64) {
        let ((begin, end), position) = (&self.kept, self.lane.position());
        let kept = match begin.advance(split).await {
            // Where the begin is not, the end must not move.
            Ok(()) if begin.position() == split => end.advance(position).await,
            begun => begun,
        };
        if let Err(error) = kept {
            self.metrics.progress_unkept(&error);
        }
    }
}

const _: () = assert!(CURSOR_INTERVAL.as_millis() <= Duration::from_secs(1).as_millis(), "a crash repeats at most a second");
