//! A lane: reads a stretch of the spool in order, hands each record to its partition's worker, and knows what is done.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use broker::log::Log;
use broker::{FetchError, FetchLimit, Fetched, Received};
use chassis::lifecycle::Cause;
use events_proxy_core::envelope::Record;
use events_proxy_core::partition;
use events_proxy_core::watermark::Watermark;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::courtesy::Courtesy;
use super::refused::Refused;
use crate::accept::Overtaken;
use crate::metrics::Metrics;

/// What is read from the spool at once.
const READ: FetchLimit = FetchLimit { max_bytes: 512 << 10, max_wait: Duration::from_millis(500) };
/// How many records may wait for one partition's worker.
const QUEUE_RECORDS: usize = 2_048;
/// How many offsets may lie between the first that is not done and the last that was read: a partition in trouble
/// does not hold up the others before that.
const SPAN: usize = 200_000;
/// The pause after a read that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// How much may be under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    /// Records.
    pub(super) records: usize,
    /// Their bytes.
    pub(super) bytes: usize,
}

/// A record on its way to a partition.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Its offset in the spool.
    pub(super) offset: u64,
    /// The record.
    pub(super) record: Record,
    /// Whether it passes a backlog.
    pub(super) fresh: bool,
}

/// Records that are on the topic, or kept elsewhere.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Their offsets.
    pub(super) offsets: Vec<u64>,
    /// Their bytes.
    pub(super) bytes: usize,
}

/// What goes from a lane to the workers and back.
#[derive(Debug)]
pub(super) struct Outlets {
    /// A queue per partition.
    queues: Vec<mpsc::Sender<Waiting>>,
    /// What is done.
    done: mpsc::Receiver<Done>,
    /// Whether what goes this way passes a backlog.
    fresh: bool,
}

/// What one worker has of both lanes, the backlog's first.
#[derive(Debug)]
pub(super) struct Inlet {
    /// What comes.
    pub(super) queues: [mpsc::Receiver<Waiting>; 2],
    /// Where is told what is done.
    pub(super) done: [mpsc::Sender<Done>; 2],
}

impl Outlets {
    /// The outlets of the backlog's and the fresh lane, and an inlet for each partition.
    pub(super) fn pair(partitions: u32) -> ([Self; 2], Vec<Inlet>) {
        let told = || mpsc::channel(usize::try_from(partitions).unwrap_or(1).saturating_mul(2).max(1));
        let ((backlog_done, backlog), (fresh_done, fresh)) = (told(), told());
        let mut outlets = [Self { queues: Vec::new(), done: backlog, fresh: false }, Self { queues: Vec::new(), done: fresh, fresh: true }];
        let mut inlets = Vec::new();
        for _ in 0..partitions {
            let queues = outlets.each_mut().map(|outlets| {
                let (queue, waiting) = mpsc::channel(QUEUE_RECORDS);
                outlets.queues.push(queue);
                waiting
            });
            inlets.push(Inlet { queues, done: [backlog_done.clone(), fresh_done.clone()] });
        }
        (outlets, inlets)
    }

    /// Puts a record into the first partition's queue.
    #[cfg(test)]
    pub(super) fn offer(&self, waiting: Waiting, fresh: bool) {
        self.queues[0].try_send(Waiting { fresh, ..waiting }).unwrap();
    }

    /// Whether what goes this way passes a backlog.
    #[cfg(test)]
    pub(super) const fn is_fresh(&self) -> bool {
        self.fresh
    }
}

/// A read that is under way, or failed and waits.
type Reading = Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send>>;

/// What happened to a lane.
#[derive(Debug)]
pub(super) enum Step {
    /// Records are done.
    Done(Done),
    /// Records were read, or not.
    Read(Result<Fetched, FetchError>),
}

/// Reads a stretch of the spool.
pub(super) struct Lane {
    /// Where records come from.
    spool: Log,
    /// Where they go.
    outlets: Outlets,
    /// What may be under way.
    bound: Bound,
    /// What is.
    open: Bound,
    /// Done and open offsets.
    window: Watermark,
    /// The next offset to read.
    from: u64,
    /// Where the stretch ends.
    until: u64,
    /// The read that is under way; kept, for it would be done again if it were dropped.
    reading: Option<Reading>,
    /// How many reads in a row failed.
    failures: u32,
    /// When something was done last.
    last_done: Option<Instant>,
    /// What it needs besides.
    beside: Beside,
}

/// What a lane needs besides the spool and its outlets.
#[derive(Debug)]
pub(super) struct Beside {
    /// Records that need not be published any more.
    pub(super) overtaken: Overtaken,
    /// Those that cannot be.
    pub(super) refused: Refused,
    /// Waits for others before a read.
    pub(super) courtesy: Courtesy,
    /// Counts.
    pub(super) metrics: Metrics,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("from", &self.from).field("until", &self.until).finish_non_exhaustive()
    }
}

impl Lane {
    /// A lane over everything from an offset on.
    pub(super) fn new((spool, from): (Log, u64), outlets: Outlets, bound: Bound, beside: Beside) -> Self {
        Self {
            spool,
            outlets,
            bound,
            open: Bound { records: 0, bytes: 0 },
            window: Watermark::new(from),
            from,
            until: u64::MAX,
            reading: None,
            failures: 0,
            last_done: None,
            beside,
        }
    }

    /// The spool it reads.
    pub(super) const fn spool(&self) -> &Log {
        &self.spool
    }

    /// The spool's end.
    pub(super) fn end(&self) -> u64 {
        self.spool.bounds().end
    }

    /// Everything of the stretch before this offset is done.
    pub(super) fn position(&self) -> u64 {
        self.window.committable()
    }

    /// The next offset to read.
    pub(super) const fn read_up_to(&self) -> u64 {
        self.from
    }

    /// When something was done last.
    pub(super) const fn last_done(&self) -> Option<Instant> {
        self.last_done
    }

    /// Whether all of the stretch is read and done.
    pub(super) fn is_at_its_end(&self) -> bool {
        self.from >= self.until && self.window.span() == 0
    }

    /// Reads no further than to an offset.
    pub(super) fn end_at(&mut self, until: u64) {
        self.until = until.max(self.from);
    }

    /// Reads no further than it has.
    pub(super) fn end_here(&mut self) {
        self.until = self.from;
    }

    /// Whether its stretch has an end.
    pub(super) const fn is_ending(&self) -> bool {
        self.until < u64::MAX
    }

    /// Goes on somewhere else, with everything done before.
    pub(super) fn go_on_at(&mut self, from: u64) {
        (self.from, self.until, self.window, self.reading) = (from, u64::MAX, Watermark::new(from), None);
    }

    /// Waits for what happens next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Step {
        let room = self.open.records < self.bound.records && self.open.bytes < self.bound.bytes && self.window.span() < SPAN;
        let reads = self.from < self.until && (room || self.reading.is_some());
        let reading = self.reading.get_or_insert_with(|| read(&self.spool, &self.beside.courtesy, (self.from, self.failures)));
        // Cancel-safe: the read is kept, and a channel keeps what is not received.
        tokio::select! {
            biased;
            done = self.outlets.done.recv() => match done {
                Some(done) => Step::Done(done),
                // The workers have ended, which stops the process.
                None => std::future::pending().await,
            },
            read = reading, if reads => {
                self.reading = None;
                Step::Read(read)
            }
        }
    }

    /// Does what follows. Not cancel-safe: records that are read would be left out.
    pub(super) async fn take(&mut self, step: Step) -> Result<(), Cause> {
        match step {
            Step::Done(done) => self.finish(&done),
            Step::Read(Ok(fetched)) => {
                self.failures = 0;
                let until = self.until;
                for received in fetched.records.into_iter().take_while(|received| received.offset < until) {
                    self.hand_on(received).await;
                }
                self.from = fetched.next.min(self.until).max(self.from);
            }
            Step::Read(Err(FetchError::Unreadable { offset, cause, .. })) => {
                let raw = Record { payload: self.spool.raw(offset).await.unwrap_or_default(), ..Record::default() };
                self.beside.refused.keep(&raw, (offset, &format!("the spool's record does not read: {cause}"))).await;
                self.pass_over(offset);
                self.from = offset + 1;
            }
            Step::Read(Err(error @ FetchError::Retry { .. })) => {
                self.failures = self.failures.saturating_add(1);
                self.beside.metrics.spool_unreadable(self.failures, &error);
            }
            // Records are gone that were not published: an alarm, never a silent skip.
            Step::Read(Err(error @ FetchError::OutOfRange { .. })) => return Err(error.into()),
        }
        Ok(())
    }

    /// Gives a record to its partition's worker, taking what is done while the worker's queue is full.
    async fn hand_on(&mut self, received: Received) {
        let Received { offset, record } = received;
        if self.beside.overtaken.take(&record) {
            self.beside.metrics.overtaken();
            return self.pass_over(offset);
        }
        let bytes = record.bytes();
        if !self.window.take(offset, bytes) {
            return;
        }
        let count = u32::try_from(self.outlets.queues.len()).unwrap_or(u32::MAX);
        let chosen = usize::try_from(partition::assign(&record.key, count)).unwrap_or_default();
        let Some(queue) = self.outlets.queues.get(chosen).cloned() else { return };
        self.open = Bound { records: self.open.records + 1, bytes: self.open.bytes + bytes };
        let sending = queue.reserve_owned();
        tokio::pin!(sending);
        let place = loop {
            // Both arms are cancel-safe: the place in the line is kept, and so is what is not received.
            tokio::select! {
                place = &mut sending => break place,
                Some(done) = self.outlets.done.recv() => self.finish(&done),
            }
        };
        // A closed queue means that the worker has failed, which stops the process.
        if let Ok(place) = place {
            drop(place.send(Waiting { offset, record, fresh: self.outlets.fresh }));
        }
    }

    /// Counts a record as done that goes nowhere.
    fn pass_over(&mut self, offset: u64) {
        if self.window.take(offset, 0) {
            self.window.finish(offset);
        }
    }

    /// Notes what is done.
    fn finish(&mut self, done: &Done) {
        for offset in &done.offsets {
            self.window.finish(*offset);
        }
        let records = self.open.records.saturating_sub(done.offsets.len());
        self.open = Bound { records, bytes: self.open.bytes.saturating_sub(done.bytes) };
        self.last_done = Some(Instant::now());
    }
}

/// Reads from an offset on, when nobody needs the machine more; after a failure not at once.
fn read(spool: &Log, courtesy: &Courtesy, (from, failures): (u64, u32)) -> Reading {
    let (spool, courtesy) = (spool.clone(), courtesy.clone());
    Box::pin(async move {
        if failures > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        courtesy.give_way(&spool, from).await;
        spool.read(from, READ).await
    })
}
