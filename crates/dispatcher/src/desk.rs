//! The desks at which owned partitions are worked on: one of each partition, from its claim until it is given back or lost.
//!
//! ```text
//! consume ─▶ journeys ─▶ settle        a desk is drained when nobody can hand anything to its settlement any more
//!               ▲ parked
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use broker::Subscriber;
use chassis::lifecycle::{OnFailure, Tasks, sentence};
use storage::{Holding, Waiting};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::consume::{Consumer, Known, Order, Readable, Span};
use crate::own::Notice;
use crate::own::hold::Hold;
use crate::path::Path;
use crate::settle::{Ended, Ledger, Settle};
use crate::together::Together;

/// How many ends may wait for a partition's settlement.
const ENDED_WAITING: usize = 1_024;
/// How long the topic may take to tell where a partition ends.
const ASK: Duration = Duration::from_secs(5);

/// What every desk works with.
#[derive(Debug)]
pub(crate) struct Works {
    /// The topic.
    pub(crate) subscriber: Arc<dyn Subscriber>,
    /// Knows what has ended before.
    pub(crate) known: Together<Known>,
    /// Stores how events end.
    pub(crate) settle: Settle,
    /// How far a partition is read ahead.
    pub(crate) span: Span,
    /// Whether events of a source wait for each other.
    pub(crate) order: Order,
    /// The way of every event.
    pub(crate) path: Arc<Path>,
    /// Bounds the events under way, over all partitions.
    pub(crate) under_way: Arc<Semaphore>,
    /// Which partitions can be read.
    pub(crate) readable: Readable,
    /// Runs the desks.
    pub(crate) tasks: Tasks,
    /// When this process' moments began.
    pub(crate) origin: Instant,
    /// How long an attempt may take.
    pub(crate) attempt: Duration,
    /// To the owner.
    pub(crate) notices: mpsc::Sender<Notice>,
}

/// A partition's desk.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    /// Its lease.
    pub(crate) hold: Arc<Hold>,
    /// Where it stands.
    pub(crate) ledger: Arc<Ledger>,
    /// To its settlement; none once the partition is being left.
    ended: Option<mpsc::Sender<Ended>>,
}

/// All desks; clones are the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Desks(Arc<Shared>);

/// What clones share.
#[derive(Debug)]
struct Shared {
    /// What a desk works with.
    works: Works,
    /// Each partition's desk.
    desks: Mutex<BTreeMap<u32, Desk>>,
    /// Records of the whole topic that are not settled, as the last beat told.
    unsettled: AtomicU64,
    /// Told when a desk was opened.
    opened: Notify,
}

impl Desks {
    /// No desk yet.
    pub(crate) fn new(works: Works) -> Self {
        Self(Arc::new(Shared { works, desks: Mutex::default(), unsettled: AtomicU64::new(0), opened: Notify::new() }))
    }

    /// Begins to work on a partition.
    pub(crate) fn open(&self, holding: Holding) {
        let Holding { partition, epoch, next_offset, high_watermark } = holding;
        let works = &self.0.works;
        works.path.metrics.reads(partition);
        let hold = Arc::new(Hold::new((partition, epoch), works.origin, works.attempt, &works.tasks.stopping()));
        let ledger = Arc::new(Ledger::new(partition, next_offset));
        ledger.ends_at(high_watermark);
        let (ended, waiting) = mpsc::channel(ENDED_WAITING);
        let (settle, notices) = (works.settle.clone(), works.notices.clone());
        let (held, settled) = (Arc::clone(&hold), Arc::clone(&ledger));
        works.tasks.spawn("settle a partition", OnFailure::StopProcess, async move {
            settle.settle((&settled, &held), waiting, &notices).await;
            // An owner that has ended owns nothing that could be given back.
            notices.send(Notice::Drained(held.partition, held.epoch)).await.ok();
            Ok(())
        });
        let consumer = Consumer {
            subscriber: Arc::clone(&works.subscriber),
            known: works.known.clone(),
            hold: Arc::clone(&hold),
            ledger: Arc::clone(&ledger),
            span: works.span,
            order: works.order,
            path: Arc::clone(&works.path),
            under_way: Arc::clone(&works.under_way),
            ended: ended.clone(),
            readable: works.readable.clone(),
        };
        works.tasks.spawn("consume a partition", OnFailure::StopProcess, consumer.consume(next_offset));
        self.desks().insert(partition, Desk { hold, ledger, ended: Some(ended) });
        self.0.opened.notify_one();
    }

    /// Extends a partition's lease.
    pub(crate) fn renew(&self, partition: u32, valid_until: Duration) {
        if let Some(desk) = self.desks().get(&partition) {
            desk.hold.renew(valid_until);
        }
    }

    /// Lets a partition's desk drain; `false` when there is none of that epoch.
    pub(crate) fn leave(&self, partition: u32, epoch: u64) -> bool {
        let mut desks = self.desks();
        let Some(desk) = desks.get_mut(&partition).filter(|desk| desk.hold.epoch == epoch) else { return false };
        desk.ended = None;
        desk.hold.leave();
        true
    }

    /// Drops a partition that belongs to another.
    pub(crate) fn lose(&self, partition: u32) {
        if let Some(desk) = self.desks().remove(&partition) {
            desk.hold.lose();
        }
    }

    /// Takes away the desk of a partition that was given back; at a stop it stays, for what it counted.
    pub(crate) fn close(&self, partition: u32, stops: bool) {
        if !stops {
            self.desks().remove(&partition);
        }
    }

    /// Hears from a beat how many records of the whole topic are not settled.
    pub(crate) fn beaten(&self, unsettled: u64) {
        self.0.unsettled.store(unsettled, Ordering::Relaxed);
        // A replica without partitions has no quarrel with the topic.
        if self.desks().is_empty() {
            self.0.works.readable.by_nobody();
        }
    }

    /// A partition's desk with the way to its settlement, if it is worked on.
    pub(crate) fn at(&self, partition: u32) -> Option<(Desk, mpsc::Sender<Ended>)> {
        let desk = self.desks().get(&partition)?.clone();
        let ended = desk.ended.clone()?;
        Some((desk, ended))
    }

    /// The partitions that are worked on.
    pub(crate) fn partitions(&self) -> Vec<u32> {
        self.epochs().into_keys().collect()
    }

    /// The epochs under which partitions are worked on.
    pub(crate) fn epochs(&self) -> BTreeMap<u32, u64> {
        self.desks().iter().filter(|(_, desk)| desk.ended.is_some()).map(|(partition, desk)| (*partition, desk.hold.epoch)).collect()
    }

    /// Every partition's ledger.
    pub(crate) fn ledgers(&self) -> Vec<Arc<Ledger>> {
        self.desks().values().map(|desk| Arc::clone(&desk.ledger)).collect()
    }

    /// Asks the topic where partitions end: while nothing is read, nobody else finds out.
    pub(crate) async fn ask_ends(&self) {
        let mut asking = JoinSet::new();
        for ledger in self.ledgers() {
            let subscriber = Arc::clone(&self.0.works.subscriber);
            asking.spawn(async move {
                match timeout(ASK, subscriber.bounds(ledger.partition)).await {
                    Ok(Ok(bounds)) => ledger.ends_at(bounds.end),
                    Ok(Err(error)) => tracing::debug!(error = sentence(&error), "the topic does not tell where it ends"),
                    Err(_) => tracing::debug!(partition = ledger.partition, "the topic does not tell in time where it ends"),
                }
            });
        }
        asking.join_all().await;
    }

    /// Where partitions end, as far as it is known.
    pub(crate) fn ends(&self) -> Vec<(u32, u64)> {
        self.desks().values().map(|desk| (desk.ledger.partition, desk.ledger.end())).collect()
    }

    /// Notes what is parked.
    pub(crate) fn parked(&self, waiting: &HashMap<u32, Waiting>) {
        for ledger in self.ledgers() {
            ledger.waits(waiting.get(&ledger.partition).copied());
        }
    }

    /// How many records of the whole topic are not settled, with what is parked here.
    pub(crate) fn backlog(&self) -> u64 {
        let parked: u64 = self.ledgers().iter().map(|ledger| ledger.parked()).sum();
        self.0.unsettled.load(Ordering::Relaxed).saturating_add(parked)
    }

    /// Waits until another desk is opened.
    pub(crate) async fn opened(&self) {
        self.0.opened.notified().await;
    }

    /// Takes the lock, which is never held over a wait.
    fn desks(&self) -> MutexGuard<'_, BTreeMap<u32, Desk>> {
        self.0.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
