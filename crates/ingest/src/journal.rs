//! Notes published events in the journal, off the path.
//!
//! A journal that does not answer never stops an event: rows wait in a bounded queue, and those beyond it are given up and
//! counted. Nothing is lost by it: the dispatcher's own row of the event has all that a look-up tells, but the times of
//! acceptance and publication.

use std::time::Duration;

use chassis::lifecycle::{OnFailure, Tasks};
use storage::{PublishedRow, Store};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::metrics::Metrics;
use chassis::lifecycle::sentence;

/// How many batches of rows may wait.
const QUEUE_BATCHES: usize = 256;
/// How long rows gather for one transaction: the more it has, the less each of them costs, and a look-up may miss an event
/// for as long.
const GATHER: Duration = Duration::from_millis(200);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// The way to the journal; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    /// Rows that wait.
    queue: mpsc::Sender<Vec<PublishedRow>>,
    /// Counts.
    metrics: Metrics,
}

impl Journal {
    /// Starts the writer.
    pub(crate) fn start(store: Store, batch_max: usize, metrics: Metrics, tasks: &Tasks) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_BATCHES);
        let stopping = tasks.stopping();
        tasks.spawn("note published events", OnFailure::StopProcess, async move {
            // Cancel-safe: rows that are not written are written by the dispatcher.
            tokio::select! {
                () = stopping.cancelled() => {}
                () = write(&store, batch_max, waiting) => {}
            }
            Ok(())
        });
        Self { queue, metrics }
    }

    /// A way that leads nowhere.
    #[cfg(test)]
    pub(crate) fn deaf(metrics: Metrics) -> Self {
        Self { queue: mpsc::channel(1).0, metrics }
    }

    /// A place for so many rows; none, and they are given up, when too many wait. So no rows are made in vain.
    pub(crate) fn place(&self, rows: usize) -> Option<mpsc::Permit<'_, Vec<PublishedRow>>> {
        let place = self.queue.try_reserve().ok();
        if place.is_none() {
            self.metrics.journal_dropped(rows);
        }
        place
    }
}

/// Writes what comes, what gathers in a while together; each until it is written.
async fn write(store: &Store, batch_max: usize, mut waiting: mpsc::Receiver<Vec<PublishedRow>>) {
    while let Some(mut rows) = waiting.recv().await {
        let until = Instant::now() + GATHER;
        while rows.len() < batch_max {
            let Ok(Some(more)) = timeout_at(until, waiting.recv()).await else { break };
            rows.extend(more);
        }
        let mut failures = 0_u32;
        while let Err(error) = store.journal_published(&rows).await {
            failures = failures.saturating_add(1);
            if failures.is_power_of_two() {
                tracing::warn!(failures, error = sentence(&error), "the journal does not take rows; events go on without it");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
