//! Notes published events in the journal, off the path.
//!
//! A journal that does not answer never stops an event: rows wait in a bounded queue, and those beyond it are given up and
//! counted. Nothing is lost by it: the dispatcher's own row of the event has all that a look-up tells, but the times of
//! acceptance and publication.

use std::sync::Arc;
use std::time::Duration;

use chassis::lifecycle::{OnFailure, Tasks};
use storage::{PublishedRow, Store};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::metrics::Metrics;
use chassis::lifecycle::sentence;

/// How many batches of rows may wait.
const QUEUE_BATCHES: usize = 256;
/// How many rows may wait and be written, in all batches together: some 300 bytes each, a few thousand where names are long.
const ROWS_MAX: usize = 20_000;
/// How long rows gather for one transaction: the more it has, the less each of them costs, and a look-up may miss an event
/// for as long.
const GATHER: Duration = Duration::from_millis(200);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// The way to the journal; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    /// Rows that wait.
    queue: mpsc::Sender<Rows>,
    /// Room for rows.
    room: Arc<Semaphore>,
    /// Counts.
    metrics: Metrics,
}

/// Rows of a batch, and the room that they take until they are written.
type Rows = (Vec<PublishedRow>, OwnedSemaphorePermit);

/// A place for rows.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// In the queue.
    queued: mpsc::Permit<'a, Rows>,
    /// The room.
    room: OwnedSemaphorePermit,
}

impl Place<'_> {
    /// Takes it.
    pub(crate) fn send(self, rows: Vec<PublishedRow>) {
        self.queued.send((rows, self.room));
    }
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
        Self { queue, room: Arc::new(Semaphore::new(ROWS_MAX)), metrics }
    }

    /// A way that leads nowhere.
    #[cfg(test)]
    pub(crate) fn deaf(metrics: Metrics) -> Self {
        Self { queue: mpsc::channel(1).0, room: Arc::new(Semaphore::new(0)), metrics }
    }

    /// A place for so many rows; none, and they are given up, when too many wait. So no rows are made in vain.
    pub(crate) fn place(&self, rows: usize) -> Option<Place<'_>> {
        let room = u32::try_from(rows).ok().and_then(|rows| Arc::clone(&self.room).try_acquire_many_owned(rows).ok());
        let place = room.and_then(|room| Some(Place { queued: self.queue.try_reserve().ok()?, room }));
        if place.is_none() {
            self.metrics.journal_dropped(rows);
        }
        place
    }
}

/// Writes what comes, what gathers in a while together; each until it is written.
async fn write(store: &Store, batch_max: usize, mut waiting: mpsc::Receiver<Rows>) {
    while let Some((mut rows, mut room)) = waiting.recv().await {
        let until = Instant::now() + GATHER;
        while rows.len() < batch_max {
            let Ok(Some((more, theirs))) = timeout_at(until, waiting.recv()).await else { break };
            rows.extend(more);
            room.merge(theirs);
        }
        let mut failures = 0_u32;
        while let Err(error) = store.journal_published(&rows).await {
            failures = failures.saturating_add(1);
            if failures.is_power_of_two() {
                tracing::warn!(failures, error = sentence(&error), "the journal does not take rows; events go on without it");
            }
            tokio::time::sleep(PAUSE).await;
        }
        drop(room);
    }
}

#[cfg(test)]
mod tests {
    use chassis::lifecycle::Tasks;
    use chassis::metrics::Registry;
    use storage::{Options, Store};

    use super::{Journal, ROWS_MAX};
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn so_many_rows_may_wait_and_no_more() {
        let options = Options { url: "sqlite::memory:".to_owned(), max_connections: 1, acquire_timeout: super::GATHER };
        let store = Store::connect(&options).await.unwrap();
        let (registry, tasks) = (Registry::new(), Tasks::new());
        let journal = Journal::start(store, 1_000, Metrics::new(&registry), &tasks);
        let places: Vec<_> = (0..ROWS_MAX / 1_000).map(|_| journal.place(1_000).unwrap()).collect();
        assert!(journal.place(1).is_none());
        drop(places);
        assert!(journal.place(1).is_some());
        assert!(registry.render().contains("journal_dropped_total 1"), "{}", registry.render());
    }
}
