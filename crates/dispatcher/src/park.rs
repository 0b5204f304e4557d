//! Events that failed for a while and are tried again later: read when they are due, led along the same path.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chassis::lifecycle::Cause;
use events_proxy_core::Envelope;
use storage::{ParkedRow, Store};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::path::{Journey, Path};
use crate::settle::{Ended, Ledger};
use chassis::lifecycle::sentence;

/// How often due events are looked for.
const INTERVAL: Duration = Duration::from_millis(500);
/// How many are taken at once.
const DUE_MAX: u32 = 200;

/// A partition's ledger and the way to its settlement.
pub(crate) type Desk = (Arc<Ledger>, mpsc::Sender<Ended>);

/// Tries parked events again.
#[derive(Debug)]
pub(crate) struct Parked {
    /// Where they are.
    pub(crate) store: Store,
    /// Their topic.
    pub(crate) topic: Arc<str>,
    /// Each partition's desk.
    pub(crate) desks: HashMap<u32, Desk>,
    /// The way of every event.
    pub(crate) path: Arc<Path>,
    /// Bounds the events under way.
    pub(crate) under_way: Arc<Semaphore>,
}

impl Parked {
    /// Tries due events until the process stops, then waits for those under way.
    pub(crate) async fn retry(self) -> Result<(), Cause> {
        let mut events = JoinSet::new();
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while let Some(ended) = events.try_join_next() {
                ended?;
            }
            // Both arms are cancel-safe: an event that was read and not started stays parked.
            tokio::select! {
                () = self.path.stopping.cancelled() => break,
                _ = tick.tick(), if !self.path.breaker.is_open() => self.start(&mut events).await,
                () = tokio::time::sleep(INTERVAL), if self.path.breaker.is_open() => {}
            }
        }
        while let Some(ended) = events.join_next().await {
            ended?;
        }
        Ok(())
    }

    /// Starts what is due.
    async fn start(&self, events: &mut JoinSet<()>) {
        let due = match self.store.due(&self.topic, self.path.clock.now(), DUE_MAX).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(error = sentence(&error), "cannot read parked events; it is tried again");
                return;
            }
        };
        for row in due {
            let Ok(permit) = Arc::clone(&self.under_way).acquire_owned().await else { return };
            if let Some(journey) = self.journey(row) {
                let (path, (desk, ended)) = (Arc::clone(&self.path), journey.1);
                events.spawn(async move {
                    let key = (journey.0.envelope.source_id.clone(), journey.0.envelope.event.id.clone());
                    match path.travel(journey.0).await {
                        // A closed settlement means that it has failed, which stops the process.
                        Some(settled) => drop(ended.send(Ended::Parked(Box::new(settled))).await),
                        None => desk.give_up(&key),
                    }
                    drop(permit);
                });
            }
        }
    }

    /// A parked event's next journey; none while it is under way already.
    fn journey(&self, row: ParkedRow) -> Option<(Journey, Desk)> {
        let desk = self.desks.get(&row.partition)?.clone();
        let envelope = match Envelope::decode(&row.record) {
            Ok(envelope) => envelope,
            Err(error) => {
                tracing::error!(
                    partition = row.partition,
                    offset = row.offset,
                    error = sentence(&error),
                    "a parked event cannot be read; it stays parked"
                );
                return None;
            }
        };
        let begun = desk.0.begin(&(envelope.source_id.clone(), envelope.event.id.clone()));
        let place = (row.partition, row.offset);
        begun.then_some((Journey { envelope, record: row.record, place, consumed_at: row.consumed_at, attempts: row.attempts }, desk))
    }
}
