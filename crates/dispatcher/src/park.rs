//! Events that failed for a while and are tried again later: read when they are due, led along the same path.
//!
//! Laws: a parked event is tried by the owner of its partition alone. What does not read any more is dead, with what is left
//! of it: it would be due for ever, and in the way of others.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chassis::lifecycle::Cause;
use events_proxy_core::Envelope;
use storage::{ParkedRow, Store, Undecodable};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::desk::{Desk, Desks};
use crate::path::{Journey, Path};
use crate::settle::{Ended, Ledger};
use chassis::lifecycle::sentence;

/// How often due events are looked for.
const INTERVAL: Duration = Duration::from_millis(500);
/// How many are taken at once; where there are as many, the next ones are looked for at once.
const DUE_MAX: u32 = 200;

/// A partition's desk and the way to its settlement.
type Way = (Desk, mpsc::Sender<Ended>);

/// Tries parked events again.
#[derive(Debug)]
pub(crate) struct Parked {
    /// Where they are.
    pub(crate) store: Store,
    /// Their topic.
    pub(crate) topic: Arc<str>,
    /// The partitions that are owned.
    pub(crate) desks: Desks,
    /// The way of every event.
    pub(crate) path: Arc<Path>,
    /// Bounds the events under way.
    pub(crate) under_way: Arc<Semaphore>,
    /// Cancelled when the process stops.
    pub(crate) stopping: CancellationToken,
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
            let more = tokio::select! {
                () = self.stopping.cancelled() => break,
                _ = tick.tick() => self.start(&mut events).await,
            };
            if more {
                tick.reset_immediately();
            }
        }
        while let Some(ended) = events.join_next().await {
            ended?;
        }
        Ok(())
    }

    /// Starts what is due; while the target is away, one that finds out whether it is back, where nobody else does. Tells whether
    /// more may be due.
    async fn start(&self, events: &mut JoinSet<()>) -> bool {
        let breaker = &self.path.breaker;
        let most = match (breaker.is_open(), breaker.lacks_probe()) {
            (false, _) => DUE_MAX,
            (true, true) => 1,
            (true, false) => return false,
        };
        let epochs = self.desks.epochs();
        if epochs.is_empty() {
            return false;
        }
        // What was under way before the question may be answered although it ends meanwhile: it is not started again.
        let retried: HashSet<(u32, u64)> = self.desks.ledgers().iter().flat_map(|ledger| places(ledger)).collect();
        let partitions: Vec<u32> = epochs.keys().copied().collect();
        // Looked up anew for each event: a partition may have gone while the one before waited for its turn. Where it is back
        // under another epoch, what was read of it may have ended elsewhere.
        let at = |partition| self.desks.at(partition).filter(|(desk, _)| epochs.get(&partition) == Some(&desk.hold.epoch));
        // Those under way are due as well, and come first.
        let asked = most.saturating_add(u32::try_from(retried.len()).unwrap_or(u32::MAX));
        let due = match self.store.due(&self.topic, &partitions, self.path.clock.now(), asked).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(error = sentence(&error), "cannot read parked events; it is tried again");
                return false;
            }
        };
        let mut begun = 0;
        for broken in due.broken.into_iter().filter(|broken| !retried.contains(&(broken.partition, broken.offset))) {
            bury(at(broken.partition), broken).await;
        }
        for row in due.rows.into_iter().filter(|row| !retried.contains(&(row.partition, row.offset))) {
            let Ok(permit) = Arc::clone(&self.under_way).acquire_owned().await else { return false };
            let envelope = match Envelope::decode(&row.record) {
                Ok(envelope) => envelope,
                Err(error) => {
                    let ParkedRow { partition, offset, record, .. } = row;
                    let detail = sentence(&error);
                    let broken = Undecodable { partition, offset, record, detail, at: self.path.clock.now(), was_parked: true };
                    bury(at(partition), broken).await;
                    continue;
                }
            };
            if let Some((journey, (desk, ended))) = at(row.partition).and_then(|way| journey(way, row, envelope)) {
                let path = Arc::clone(&self.path);
                begun += 1;
                events.spawn(async move {
                    let key = (journey.envelope.source_id.clone(), journey.envelope.event.id.clone());
                    let (_, offset) = journey.place;
                    match path.travel(journey).await {
                        // A closed settlement means that it has failed, which stops the process.
                        Some(settled) => drop(ended.send(Ended::Parked(Box::new(settled))).await),
                        None => desk.ledger.give_up(&key, offset),
                    }
                    drop(permit);
                });
            }
        }
        most > 1 && begun >= most
    }
}

/// Gives what does not read to its partition's settlement, unless it has it already, or the partition has gone.
async fn bury(way: Option<Way>, broken: Undecodable) {
    let Some((desk, ended)) = way else { return };
    if !desk.ledger.begin_burial(broken.offset) {
        return;
    }
    tracing::error!(
        code = "parked_unreadable",
        partition = broken.partition,
        offset = broken.offset,
        error = broken.detail,
        "a parked event cannot be read any more: it dies, and what is left of it is kept"
    );
    // A closed settlement means that it has failed, which stops the process.
    drop(ended.send(Ended::Undecodable(Box::new(broken))).await);
}

/// Where a partition's parked events lie that are under way.
fn places(ledger: &Ledger) -> impl Iterator<Item = (u32, u64)> + use<> {
    let partition = ledger.partition;
    ledger.retried().into_iter().map(move |offset| (partition, offset))
}

/// A parked event's next journey; none while it is under way already.
fn journey(way: Way, row: ParkedRow, envelope: Envelope) -> Option<(Journey, Way)> {
    let begun = way.0.ledger.begin_again(&(envelope.source_id.clone(), envelope.event.id.clone()), row.offset);
    let (hold, place) = (Arc::clone(&way.0.hold), (row.partition, row.offset));
    let ParkedRow { record, consumed_at, attempts, forgiven, .. } = row;
    begun.then_some((Journey { hold, envelope, record, place, consumed_at, attempts, forgiven }, way))
}
