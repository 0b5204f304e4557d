//! Stage 10 of 10 — settle: records how events ended and commits the offset, in one transaction.
//!
//! Laws: an offset is committed only when every record before it has ended or is parked, with the rows that say how; a
//! commit that failed is tried again until it holds. A crash before it repeats deliveries, and loses none. A commit under
//! an epoch that is over writes nothing but what is true whoever says it: that the target has an event.
//! Next: nothing; the path ends here.

mod commits;
mod tally;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chassis::clock::Clock;
use chassis::lifecycle::sentence;
use events_proxy_core::watermark::Watermark;
use events_proxy_core::{EventId, Moment, SourceId};
use storage::{Commit, End, Expired, Progress, Settled, Undecodable, Waiting};
use tokio::sync::{Notify, mpsc};

use crate::metrics::Metrics;
use crate::own::Notice;
use crate::own::hold::Hold;
use crate::together::Together;
pub(crate) use commits::Commits;
use tally::{Tally, Way};

/// The pause after a failed commit; it doubles up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How often the facts of a lost partition are told. What is not told is delivered again, under the same key.
const FACTS_TRIES: u32 = 3;

/// What identifies an event.
pub(crate) type Key = (SourceId, EventId);

/// How a record ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// An event of the topic.
    Event(Box<Settled>),
    /// An event that had been parked before; its offset was committed then.
    Parked(Box<Settled>),
    /// A record that is no event; its offset was committed when it was parked as one, if it was.
    Undecodable(Box<Undecodable>),
    /// A record of an event that has ended, or is under way, by another record.
    Repeat(u64),
    /// Offsets that the topic dropped before they were read.
    Expired(Expired),
    /// So many offsets from one on that have no record: the topic keeps marks of its own there, or has compacted them.
    Absent(u64, u64),
}

impl Ended {
    /// Whether it had been parked before.
    fn was_parked(&self) -> bool {
        match self {
            Self::Parked(_) => true,
            Self::Undecodable(record) => record.was_parked,
            Self::Event(_) | Self::Repeat(_) | Self::Expired(_) | Self::Absent(..) => false,
        }
    }
}

/// The events of a partition that are under way, until their end is stored.
#[derive(Debug, Default)]
struct UnderWay {
    /// All of them.
    events: HashSet<Key>,
    /// The offsets of those that were parked before.
    retried: HashSet<u64>,
}

/// What is known of a partition while it is worked on.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Its number.
    pub(crate) partition: u32,
    /// Offsets under way.
    window: Mutex<Watermark>,
    /// Events under way.
    under_way: Mutex<UnderWay>,
    /// Told when the window has become smaller.
    pub(crate) smaller: Notify,
    /// The offset that is stored.
    committed: AtomicU64,
    /// The offset after the topic's last record.
    end: AtomicU64,
    /// What is parked of the partition.
    parked: Mutex<Option<Waiting>>,
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
            parked: Mutex::default(),
        }
    }

    /// Takes the window's lock, which is never held over a wait.
    pub(crate) fn window(&self) -> MutexGuard<'_, Watermark> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock, which is never held over a wait.
    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an event is under way; `false` if it was already.
    pub(crate) fn begin(&self, key: &Key) -> bool {
        self.under_way().events.insert(key.clone())
    }

    /// Notes that a parked event is under way; `false` if it was already.
    pub(crate) fn begin_again(&self, key: &Key, offset: u64) -> bool {
        let mut under_way = self.under_way();
        under_way.events.insert(key.clone()) && under_way.retried.insert(offset)
    }

    /// The offsets of parked events that are under way.
    pub(crate) fn retried(&self) -> HashSet<u64> {
        self.under_way().retried.clone()
    }

    /// Notes that what was parked at an offset is being buried, for it does not read; `false` if it is already.
    pub(crate) fn begin_burial(&self, offset: u64) -> bool {
        self.under_way().retried.insert(offset)
    }

    /// Notes that what a commit settles is under way no longer.
    fn end_of(&self, commit: &Commit) {
        let mut under_way = self.under_way();
        for settled in &commit.settled {
            under_way.events.remove(&(settled.source_id.clone(), settled.event_id.clone()));
            under_way.retried.remove(&settled.offset);
        }
        for record in &commit.undecodable {
            under_way.retried.remove(&record.offset);
        }
    }

    /// Gives an event up that has not ended: it comes again.
    pub(crate) fn give_up(&self, key: &Key, offset: u64) {
        let mut under_way = self.under_way();
        under_way.events.remove(key);
        under_way.retried.remove(&offset);
    }

    /// The offset that is stored.
    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Notes where the topic ends.
    pub(crate) fn ends_at(&self, end: u64) {
        self.end.fetch_max(end, Ordering::AcqRel);
    }

    /// Where the topic ends, as far as it is known.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// How many records have not ended.
    pub(crate) fn unended(&self) -> u64 {
        self.end().saturating_sub(self.committed())
    }

    /// Notes what is parked, as the storage counts it.
    pub(crate) fn waits(&self, waiting: Option<Waiting>) {
        *self.parked.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
    }

    /// How many events are parked.
    pub(crate) fn parked(&self) -> u64 {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).map_or(0, |waiting| waiting.events)
    }

    /// When ingest received the oldest event that has not ended.
    pub(crate) fn oldest(&self) -> Option<Moment> {
        let parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner).map(|waiting| waiting.oldest);
        self.window().oldest().into_iter().chain(parked).min()
    }

    /// Counts events that were parked, or are so no longer, until the storage is asked again.
    fn count_parked(&self, settled: &[Settled], released: usize) {
        let news: Vec<&Settled> = settled.iter().filter(|settled| matches!(settled.end, End::Parked { .. })).collect();
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = news.iter().map(|settled| settled.received_at).chain(parked.map(|waiting| waiting.oldest)).min();
        let events = parked.map_or(0, |waiting| waiting.events) + u64::try_from(news.len()).unwrap_or(u64::MAX);
        let events = events.saturating_sub(u64::try_from(released).unwrap_or(u64::MAX));
        *parked = oldest.filter(|_| events > 0).map(|oldest| Waiting { events, oldest });
    }
}

/// Stores how events ended.
#[derive(Debug, Clone)]
pub(crate) struct Settle {
    /// Where, together with other partitions or alone.
    pub(crate) commits: Together<Commits>,
    /// The topic's name.
    pub(crate) topic: Arc<str>,
    /// Who we are.
    pub(crate) member: String,
    /// The most rows of one transaction.
    pub(crate) batch_max: usize,
    /// Counts.
    pub(crate) metrics: Metrics,
    /// Tells when.
    pub(crate) clock: Arc<dyn Clock>,
}

/// A partition with the lease that it is settled under.
pub(crate) type Settling<'a> = (&'a Ledger, &'a Hold);

impl Settle {
    /// Settles what comes from a partition until nobody can send any more.
    pub(crate) async fn settle(&self, of: Settling<'_>, mut ended: mpsc::Receiver<Ended>, notices: &mpsc::Sender<Notice>) {
        let (ledger, hold) = of;
        let (mut batch, mut tally) = (Vec::with_capacity(self.batch_max), Tally::default());
        while ended.recv_many(&mut batch, self.batch_max).await > 0 {
            let released = batch.iter().filter(|ended| ended.was_parked()).count();
            let commit = Arc::new(self.commit_of(of, &mut tally, batch.drain(..)));
            if self.store(hold, &commit).await {
                self.stored(ledger, &commit, released);
                continue;
            }
            if !hold.is_lost() {
                hold.lose();
                // An owner that has ended owns nothing that could be lost.
                notices.send(Notice::Fenced(hold.partition, hold.epoch)).await.ok();
            }
            ledger.end_of(&commit);
            self.facts(&commit).await;
        }
    }

    /// What is stored for a batch.
    fn commit_of(&self, (ledger, hold): Settling<'_>, tally: &mut Tally, batch: impl Iterator<Item = Ended>) -> Commit {
        let (mut settled, mut undecodable, mut expired) = (Vec::new(), Vec::new(), Vec::new());
        let mut window = ledger.window();
        for ended in batch {
            match ended {
                Ended::Event(event) => {
                    window.finish(event.offset);
                    tally.note(event.offset, way(&event.end), 1);
                    settled.push(*event);
                }
                Ended::Parked(event) => settled.push(*event),
                Ended::Undecodable(record) => {
                    if !record.was_parked {
                        window.finish(record.offset);
                        tally.note(record.offset, Way::Dead, 1);
                    }
                    undecodable.push(*record);
                }
                Ended::Repeat(offset) => {
                    window.finish(offset);
                    tally.note(offset, Way::Repeated, 1);
                    self.metrics.duplicate();
                }
                Ended::Absent(first, offsets) => tally.note(first, Way::Expired, offsets),
                Ended::Expired(range) => {
                    window.finish(range.first);
                    window.pass_to(range.end);
                    tally.note(range.first, Way::Expired, range.end - range.first);
                    expired.push(range);
                }
            }
        }
        let next = window.committable();
        let next_offset = (next > ledger.committed()).then_some(next);
        let passed = next_offset.map(|next| tally.pass(next)).unwrap_or_default();
        let progress = Progress { member: self.member.clone(), epoch: hold.epoch, next_offset, passed, expired };
        Commit { topic: self.topic.to_string(), partition: ledger.partition, progress: Some(progress), settled, undecodable }
    }

    /// Stores a commit; tries until it holds, `false` when the partition is another's. The first try is together with other
    /// partitions, the next ones are not: a commit that the storage refuses holds up no other.
    async fn store(&self, hold: &Hold, commit: &Arc<Commit>) -> bool {
        let says = |progress: &Progress| progress.next_offset.is_some() || !progress.expired.is_empty();
        if commit.settled.is_empty() && commit.undecodable.is_empty() && !commit.progress.as_ref().is_some_and(says) {
            return true;
        }
        let (mut failures, mut pause) = (0_u32, PAUSE.0);
        loop {
            let asked = Arc::clone(commit);
            let stored = if failures == 0 { self.commits.ask(asked).await } else { self.commits.alone(asked).await };
            match stored {
                Ok(written) => return written,
                Err(_) if hold.is_lost() => return false,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    self.metrics.commit_failed(commit.partition, failures, &error);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Tells what is true whoever says it; the rest is the new owner's.
    async fn facts(&self, commit: &Commit) {
        let settled: Vec<_> = commit.settled.iter().filter(|settled| settled.end == End::Delivered).cloned().collect();
        if settled.is_empty() {
            return;
        }
        let (topic, partition) = (commit.topic.clone(), commit.partition);
        let commit = Arc::new(Commit { topic, partition, progress: None, settled, undecodable: Vec::new() });
        for _ in 0..FACTS_TRIES {
            match self.commits.alone(Arc::clone(&commit)).await {
                Ok(_) => return self.count(&commit),
                Err(error) => {
                    tracing::debug!(error = sentence(error.as_ref()), "cannot tell what was delivered before a partition was lost")
                }
            }
            tokio::time::sleep(PAUSE.0).await;
        }
    }

    /// A commit holds: the partition has come further.
    fn stored(&self, ledger: &Ledger, commit: &Commit, released: usize) {
        if let Some(next) = commit.progress.as_ref().and_then(|progress| progress.next_offset) {
            ledger.committed.store(next, Ordering::Release);
        }
        ledger.end_of(commit);
        ledger.smaller.notify_waiters();
        ledger.count_parked(&commit.settled, released);
        self.count(commit);
    }

    /// Counts what is stored.
    fn count(&self, commit: &Commit) {
        let now = self.clock.now();
        for settled in &commit.settled {
            self.metrics.settled(settled, now.since(settled.received_at));
        }
        for record in &commit.undecodable {
            self.metrics.undecodable(&record.detail, now.since(record.at));
        }
        for range in commit.progress.iter().flat_map(|progress| &progress.expired) {
            self.metrics.expired(range.end - range.first);
        }
    }
}

/// The way of an event that came to this end.
const fn way(end: &End) -> Way {
    match end {
        End::Delivered => Way::Delivered,
        End::Parked { .. } => Way::Parked,
        End::Dead { .. } => Way::Dead,
    }
}
