//! Stage 10 of 10 — settle: records how events ended and commits the offset, in one transaction.
//!
//! Laws: an offset is committed only when every record before it has ended or is parked, with the rows that say how; a
//! commit that failed is tried again until it holds. A crash before it repeats deliveries, and loses none.
//! Next: nothing; the path ends here.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chassis::clock::Clock;
use events_proxy_core::watermark::Watermark;
use events_proxy_core::{EventId, SourceId};
use storage::{Commit, End, Settled, Store, Undecodable};
use tokio::sync::{Notify, mpsc};

use crate::metrics::Metrics;

/// The pause after a failed commit; it doubles up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What identifies an event.
pub(crate) type Key = (SourceId, EventId);

/// How a record ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// An event of the topic.
    Event(Box<Settled>),
    /// An event that had been parked before; its offset was committed then.
    Parked(Box<Settled>),
    /// A record that is no event.
    Undecodable(Box<Undecodable>),
    /// A record of an event that has ended, or is under way, by another record.
    Repeat(u64),
}

/// What is known of a partition while it is worked on.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Its number.
    pub(crate) partition: u32,
    /// Offsets under way.
    window: Mutex<Watermark>,
    /// Events under way, until their end is stored.
    under_way: Mutex<HashSet<Key>>,
    /// Told when the window has become smaller.
    pub(crate) smaller: Notify,
    /// The offset that is stored.
    committed: AtomicU64,
    /// The offset after the topic's last record.
    end: AtomicU64,
}

impl Ledger {
    /// A partition that is read from an offset on.
    pub(crate) fn new(partition: u32, next: u64) -> Self {
        Self {
            partition,
            window: Mutex::new(Watermark::new(next)),
            under_way: Mutex::default(),
            smaller: Notify::new(),
            committed: AtomicU64::new(next),
            end: AtomicU64::new(next),
        }
    }

    /// Takes the window's lock, which is never held over a wait.
    pub(crate) fn window(&self) -> MutexGuard<'_, Watermark> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an event is under way; `false` if it was already.
    pub(crate) fn begin(&self, key: &Key) -> bool {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone())
    }

    /// Notes that the ends of these events are stored.
    fn end(&self, settled: &[Settled]) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        for settled in settled {
            under_way.remove(&(settled.source_id.clone(), settled.event_id.clone()));
        }
    }

    /// Gives an event up that has not ended: it comes again.
    pub(crate) fn give_up(&self, key: &Key) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// The offset that is stored.
    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Notes where the topic ends.
    pub(crate) fn ends_at(&self, end: u64) {
        self.end.fetch_max(end, Ordering::AcqRel);
    }

    /// How many records have not ended.
    pub(crate) fn unended(&self) -> u64 {
        self.end.load(Ordering::Acquire).saturating_sub(self.committed())
    }
}

/// Stores how events ended.
#[derive(Debug, Clone)]
pub(crate) struct Settle {
    /// Where.
    pub(crate) store: Store,
    /// The topic's name.
    pub(crate) topic: Arc<str>,
    /// The most rows of one transaction.
    pub(crate) batch_max: usize,
    /// Counts.
    pub(crate) metrics: Metrics,
    /// Tells when.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Settle {
    /// Settles what comes from a partition until nobody can send any more.
    pub(crate) async fn settle(&self, ledger: &Ledger, mut ended: mpsc::Receiver<Ended>) {
        let mut batch = Vec::with_capacity(self.batch_max);
        while ended.recv_many(&mut batch, self.batch_max).await > 0 {
            let released = batch.iter().filter(|ended| matches!(ended, Ended::Parked(_))).count();
            let commit = self.commit_of(ledger, batch.drain(..));
            self.store(&commit).await;
            if let Some(next) = commit.next_offset {
                ledger.committed.store(next, Ordering::Release);
            }
            ledger.end(&commit.settled);
            ledger.smaller.notify_waiters();
            self.count(&commit, released);
        }
    }

    /// What is stored for a batch.
    fn commit_of(&self, ledger: &Ledger, batch: impl Iterator<Item = Ended>) -> Commit {
        let (mut settled, mut undecodable) = (Vec::new(), Vec::new());
        let mut window = ledger.window();
        for ended in batch {
            match ended {
                Ended::Event(event) => {
                    window.finish(event.offset);
                    settled.push(*event);
                }
                Ended::Parked(event) => settled.push(*event),
                Ended::Undecodable(record) => {
                    window.finish(record.offset);
                    undecodable.push(*record);
                }
                Ended::Repeat(offset) => {
                    window.finish(offset);
                    self.metrics.duplicate();
                }
            }
        }
        let next = window.committable();
        let next_offset = (next > ledger.committed()).then_some(next);
        Commit { topic: self.topic.to_string(), partition: ledger.partition, next_offset, settled, undecodable }
    }

    /// Stores a commit; tries until it holds.
    async fn store(&self, commit: &Commit) {
        if commit.next_offset.is_none() && commit.settled.is_empty() && commit.undecodable.is_empty() {
            return;
        }
        let (mut failures, mut pause) = (0_u32, PAUSE.0);
        while let Err(error) = self.store.commit(commit).await {
            failures = failures.saturating_add(1);
            self.metrics.commit_failed(commit.partition, failures, &error);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Counts what is stored.
    fn count(&self, commit: &Commit, released: usize) {
        let now = self.clock.now();
        for settled in &commit.settled {
            self.metrics.settled(settled.end.state(), now.since(settled.received_at));
        }
        for record in &commit.undecodable {
            self.metrics.settled(events_proxy_core::State::Dead, now.since(record.at));
            self.metrics.died("unknown", "undecodable", &record.detail);
        }
        let parked = commit.settled.iter().filter(|settled| matches!(settled.end, End::Parked { .. })).count();
        let (parked, released) = (i64::try_from(parked).unwrap_or(i64::MAX), i64::try_from(released).unwrap_or(i64::MAX));
        if parked != released {
            self.metrics.parked(parked - released);
        }
    }
}
