//! Stage 6 of 10 — consume: reads the event from the topic and starts it on its way.
//!
//! Laws: no offset is passed over silently: what cannot be read becomes a dead row, what has ended already is counted, and
//! offsets that the topic dropped are an alarm and counted among the dead. What is read ahead is bounded, in records and in
//! bytes. With an order, an event starts when the one before it of its source has ended. An event's task that breaks stops
//! the process: another owner takes the partition over, instead of nobody noticing that it stands.
//! Next: `crates/dispatcher/src/enrich.rs`.

mod known;
mod lanes;
mod readable;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use broker::{Bounds, FetchError, FetchLimit, Fetched, Received, Subscriber};
use chassis::lifecycle::Cause;
use events_proxy_core::envelope::{self, Record};
use events_proxy_core::{Envelope, Moment};
use storage::{Expired, Undecodable};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};

use crate::own::hold::Hold;
use crate::path::{Journey, Path};
use crate::settle::{Ended, Key, Ledger};
use crate::together::Together;
use chassis::lifecycle::sentence;
pub(crate) use known::Known;
pub use lanes::Order;
use lanes::{Lanes, Traveller};
pub(crate) use readable::Readable;

/// What is read at once.
const FETCH: FetchLimit = FetchLimit { max_bytes: 512 * 1024, max_wait: Duration::from_millis(500) };
/// The pause after a fetch that failed; it doubles up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// After how many of the longest pauses it is said again that a partition stands still.
const TOLD_EACH: u64 = 12;

/// How far a partition may be read ahead of its first unfinished record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// In records.
    pub(crate) records: usize,
    /// In bytes.
    pub(crate) bytes: usize,
}

/// Reads one partition.
#[derive(Debug)]
pub(crate) struct Consumer {
    /// The topic.
    pub(crate) subscriber: Arc<dyn Subscriber>,
    /// Knows what has ended before.
    pub(crate) known: Together<Known>,
    /// The partition's lease.
    pub(crate) hold: Arc<Hold>,
    /// Where the partition stands.
    pub(crate) ledger: Arc<Ledger>,
    /// How far it is read ahead.
    pub(crate) span: Span,
    /// Whether events of a source wait for each other.
    pub(crate) order: Order,
    /// The way of every event.
    pub(crate) path: Arc<Path>,
    /// Bounds the events under way, over all partitions.
    pub(crate) under_way: Arc<Semaphore>,
    /// To the settlement.
    pub(crate) ended: mpsc::Sender<Ended>,
    /// Whether the partition can be read.
    pub(crate) readable: Readable,
}

/// Why reading ends.
#[derive(Debug)]
enum Stop {
    /// The partition is left.
    Left,
    /// The task of an event broke: its offset would never be passed.
    Broken(JoinError),
}

/// What a record is.
#[derive(Debug)]
enum Read {
    /// An event that is under way from now on.
    Event(Box<Envelope>, Key),
    /// An event that is under way already.
    Repeat,
    /// No event.
    Broken(envelope::Undecodable),
}

impl Read {
    /// The event that is under way from now on.
    const fn key(&self) -> Option<&Key> {
        match self {
            Self::Event(_, key) => Some(key),
            Self::Repeat | Self::Broken(_) => None,
        }
    }
}

impl Consumer {
    /// Reads until the partition is left, then waits for the events under way.
    pub(crate) async fn consume(self, from: u64) -> Result<(), Cause> {
        let mut events = JoinSet::new();
        let mut lanes = Lanes::new(self.order);
        let read = self.read(from, &mut lanes, &mut events).await;
        self.readable.left(self.ledger.partition);
        let ended = match read {
            Err(Stop::Broken(error)) => Err(error),
            Ok(()) | Err(Stop::Left) => rest(events).await,
        };
        if ended.is_err() {
            let (partition, unsettled_from) = (self.ledger.partition, self.ledger.committed());
            tracing::error!(
                code = "event_task_panicked",
                partition,
                unsettled_from,
                "an event's task panicked: a mistake of ours; the process stops, and another owner goes on"
            );
        }
        Ok(ended?)
    }

    /// Makes sure that the topic reaches where it did before: one that ends earlier is another one, also where it has grown
    /// beyond what was settled.
    async fn ask_end(&self) -> Result<(), Stop> {
        let mut pause = PAUSE.0;
        loop {
            match self.unless_left(self.subscriber.bounds(self.ledger.partition)).await? {
                Ok(Bounds { end, .. }) if end < self.ledger.end() => return self.stand(end).await,
                Ok(Bounds { end, .. }) => {
                    self.ledger.ends_at(end);
                    return Ok(());
                }
                Err(error) => self.trouble(&error, &mut pause).await?,
            }
        }
    }

    /// Reads on and on, until the partition is left or a task breaks.
    async fn read(&self, mut from: u64, lanes: &mut Lanes, events: &mut JoinSet<()>) -> Result<(), Stop> {
        self.ask_end().await?;
        let mut pause = PAUSE.0;
        loop {
            while let Some(ended) = events.try_join_next() {
                ended.map_err(Stop::Broken)?;
            }
            self.room(events).await?;
            match self.unless_left(self.subscriber.fetch(self.ledger.partition, from, FETCH)).await? {
                Ok(fetched) => {
                    self.readable.reads(self.ledger.partition);
                    pause = PAUSE.0;
                    self.ledger.ends_at(fetched.end);
                    for (first, offsets) in gaps(from, &fetched) {
                        self.hand_on(Ended::Absent(first, offsets)).await;
                    }
                    from = fetched.next;
                    self.path.metrics.consumed(fetched.records.len());
                    self.start(fetched.records, lanes, events).await?;
                }
                Err(FetchError::OutOfRange { bounds, .. }) if from < bounds.earliest => {
                    self.expire(from, bounds.earliest).await;
                    self.ledger.ends_at(bounds.end);
                    from = bounds.earliest;
                }
                Err(FetchError::Unreadable { offset, cause, .. }) => {
                    self.bury(offset, Record::default(), cause.to_string()).await;
                    from = offset + 1;
                }
                Err(FetchError::OutOfRange { bounds, .. }) => return self.stand(bounds.end).await,
                Err(error) => self.trouble(&error, &mut pause).await?,
            }
        }
    }

    /// Tells that the partition cannot be read, and waits a while, longer each time.
    async fn trouble(&self, error: &FetchError, pause: &mut Duration) -> Result<(), Stop> {
        let told = sentence(error);
        self.path.metrics.unread(self.ledger.partition);
        tracing::warn!(error = told, "the topic cannot be read; it is tried again");
        self.readable.fails(self.ledger.partition, told);
        self.unless_left(tokio::time::sleep(*pause)).await?;
        *pause = (*pause * 2).min(PAUSE.1);
        Ok(())
    }

    /// Stands still, and says so, until the partition is left: once another topic has grown as long as the one before, nobody
    /// could tell them apart, and what it has up to there would be passed over.
    async fn stand(&self, end: u64) -> Result<(), Stop> {
        let (partition, ended, settled) = (self.ledger.partition, self.ledger.end(), self.ledger.committed());
        self.readable
            .fails(partition, format!("the topic is another one: partition {partition} ended at offset {ended}, and now at {end}"));
        let mut tick = tokio::time::interval(PAUSE.1);
        for ticks in 0_u64.. {
            self.unless_left(tick.tick()).await?;
            self.path.metrics.unread(partition);
            if ticks.is_multiple_of(TOLD_EACH) {
                tracing::error!(
                    code = "topic_replaced",
                    partition,
                    end,
                    ended,
                    settled,
                    "the topic ends before where it did, so it is another one: this partition stands still until somebody decides"
                );
            }
        }
        Ok(())
    }

    /// Waits until the window has room. A task that broke may be what it waits for.
    async fn room(&self, events: &mut JoinSet<()>) -> Result<(), Stop> {
        loop {
            let smaller = self.ledger.smaller.notified();
            let has_room = {
                let window = self.ledger.window();
                window.span() < self.span.records && window.span_bytes() < self.span.bytes
            };
            if has_room {
                return Ok(());
            }
            // Both arms are cancel-safe: the first only waits, the second takes an end or nothing.
            tokio::select! {
                left = self.unless_left(smaller) => left?,
                Some(ended) = events.join_next() => ended.map_err(Stop::Broken)?,
            }
        }
    }

    /// Starts each record on its way. What was read is noted as under way before it is looked up: whatever ends in the
    /// meantime, no event is begun twice.
    async fn start(&self, records: Vec<Received>, lanes: &mut Lanes, events: &mut JoinSet<()>) -> Result<(), Stop> {
        let consumed_at = self.path.clock.now();
        let taken: Vec<_> = records.into_iter().filter_map(|received| self.take(received, consumed_at)).collect();
        let over = self.over(taken.iter().filter_map(|(_, read)| read.key()).cloned().collect()).await?;
        for (Received { offset, record }, read) in taken {
            let (envelope, key) = match read {
                Read::Event(envelope, key) if !over.contains(&key) => (envelope, key),
                Read::Event(..) | Read::Repeat => {
                    if let Some(key) = read.key() {
                        self.ledger.give_up(key, offset);
                    }
                    self.hand_on(Ended::Repeat(offset)).await;
                    continue;
                }
                Read::Broken(error) => {
                    self.bury(offset, record, sentence(&error)).await;
                    continue;
                }
            };
            let (hold, place) = (Arc::clone(&self.hold), (self.ledger.partition, offset));
            let turn = lanes.turn(&envelope.source_id);
            let journey = Journey { hold, envelope: *envelope, record, place, consumed_at, attempts: Vec::new(), forgiven: 0 };
            // An event that waits for its turn takes no place from those whose turn it is.
            let (permit, places) = match self.order {
                Order::None => (Some(self.unless_left(Arc::clone(&self.under_way).acquire_owned()).await?), None),
                Order::Source => (None, Some(Arc::clone(&self.under_way))),
            };
            let (path, ended, ledger) = (Arc::clone(&self.path), self.ended.clone(), Arc::clone(&self.ledger));
            let traveller = Traveller { path, turn, places };
            events.spawn(async move {
                match traveller.travel(journey).await {
                    // A closed settlement means that it has failed, which stops the process.
                    Some(settled) => drop(ended.send(Ended::Event(Box::new(settled))).await),
                    None => ledger.give_up(&key, offset),
                }
                drop(permit);
            });
        }
        Ok(())
    }

    /// Takes a record into the window, and tells what it is; `None` if it was taken before.
    fn take(&self, received: Received, consumed_at: Moment) -> Option<(Received, Read)> {
        let envelope = Envelope::decode(&received.record);
        let since = envelope.as_ref().map_or(consumed_at, |envelope| envelope.received_at);
        if !self.ledger.window().take_since(received.offset, received.record.bytes(), since) {
            return None;
        }
        let read = match envelope {
            Err(error) => Read::Broken(error),
            Ok(envelope) => {
                let key = (envelope.source_id.clone(), envelope.event.id.clone());
                if self.ledger.begin(&key) { Read::Event(Box::new(envelope), key) } else { Read::Repeat }
            }
        };
        Some((received, read))
    }

    /// Records that offsets are gone for good, and says so: nobody can deliver them any more.
    async fn expire(&self, first: u64, end: u64) {
        tracing::error!(
            code = "events_expired",
            partition = self.ledger.partition,
            first,
            end,
            records = end - first,
            "the topic dropped records before they were read: they are lost, and counted among the dead"
        );
        // They stand as one unfinished record until the settlement has stored them: no commit passes them before.
        let found_at = self.path.clock.now();
        let _known = self.ledger.window().take_since(first, 0, found_at);
        self.hand_on(Ended::Expired(Expired { first, end, found_at })).await;
    }

    /// The events among these that have ended before, or are parked; asks until the storage answers.
    async fn over(&self, keys: Arc<[Key]>) -> Result<Arc<HashSet<Key>>, Stop> {
        let (mut pause, mut failures) = (PAUSE.0, 0_u32);
        loop {
            if keys.is_empty() {
                return Ok(Arc::default());
            }
            match self.unless_left(self.known.ask(Arc::clone(&keys))).await? {
                Ok(over) => return Ok(over),
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures.is_power_of_two() {
                        tracing::warn!(
                            failures,
                            error = sentence(error.as_ref()),
                            "the storage does not tell what has been delivered; nothing is sent meanwhile"
                        );
                    }
                }
            }
            self.unless_left(tokio::time::sleep(pause)).await?;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Makes a dead row of a record that is no event; the partition goes on.
    async fn bury(&self, offset: u64, record: Record, detail: String) {
        // A record that could not even be read has not been taken yet; taking it twice changes nothing.
        let _known = self.ledger.window().take_since(offset, record.bytes(), self.path.clock.now());
        let undecodable =
            Undecodable { partition: self.ledger.partition, offset, record, detail, at: self.path.clock.now(), was_parked: false };
        self.hand_on(Ended::Undecodable(Box::new(undecodable))).await;
    }

    /// Hands on to the settlement.
    async fn hand_on(&self, ended: Ended) {
        // A closed settlement means that it has failed, which stops the process.
        drop(self.ended.send(ended).await);
    }

    /// Waits for something, unless the partition is left.
    async fn unless_left<T>(&self, wait: impl Future<Output = T>) -> Result<T, Stop> {
        self.hold.unless_left(wait).await.ok_or(Stop::Left)
    }
}

/// Offsets of what was fetched that have no record: the first of each gap, and how many they are.
fn gaps(from: u64, fetched: &Fetched) -> Vec<(u64, u64)> {
    let ends = fetched.records.iter().map(|received| received.offset).chain([fetched.next]);
    let mut next = from;
    let mut gaps = Vec::new();
    for offset in ends {
        if offset > next {
            gaps.push((next, offset - next));
        }
        next = next.max(offset.saturating_add(1));
    }
    gaps
}

/// Waits for the events under way.
async fn rest(mut events: JoinSet<()>) -> Result<(), JoinError> {
    while let Some(ended) = events.join_next().await {
        ended?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "consume_tests.rs"]
mod tests;
