//! The one thread that writes a log: it takes all appends that wait, writes them as one batch, fsyncs, answers.
//!
//! While one fsync runs, the next batch gathers in the queue: the slower the disk, the larger the batches.
//! Behind a batch the file has room, written with zeros ahead: an fsync within it has no new size and no new blocks to
//! note, which the file system would do by a transaction of its own. A file that is done with gives its room back.
//!
//! After an error nothing is known about what the file holds behind its last fsynced batch, and a second fsync could
//! claim what is not true. So the descriptor is closed for good, everyone who waited is told, and the next append
//! begins a fresh file, named by the offset that comes next. That name is the seal of the file before it: recovery
//! and readers go no further there than to the offset where the next file begins. Until the seal is there, the
//! unacknowledged batch is a last batch like any other: whole, it has landed after all; torn, it is cut.

use std::iter::Peekable;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::vec::Drain;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::disk::{Disk, Medium};
use super::error::{AppendError, FileError};
use super::frame::{BODY_BYTES_MAX, HEADER_BYTES, Header, wide};
use super::segment::Segment;
use super::{Options, Shared};

/// How much room is made ahead: few batches pay for it, and what it takes of the disk is little.
pub(super) const ROOM_BYTES: u64 = 256 << 10;
/// How many appends are taken from the queue at once.
const TAKE_MAX: usize = 1_024;
/// For how long, and for how many bytes, what is known of the free space holds.
const SPACE_KNOWN: (Duration, u64) = (Duration::from_millis(250), 8 << 20);

/// Records on their way to the disk, and who waits for them.
#[derive(Debug)]
pub(super) struct Append {
    /// The records as frames.
    pub(super) frames: Vec<u8>,
    /// How many they are.
    pub(super) count: u32,
    /// Told the offset of the first, once all are durable.
    pub(super) done: oneshot::Sender<Result<u64, AppendError>>,
}

/// The file that is written.
#[derive(Debug)]
pub(super) struct Active {
    /// Its descriptor.
    pub(super) medium: Box<dyn Medium>,
    /// The offset of its first record.
    pub(super) base: u64,
    /// How many of its bytes are durable batches.
    pub(super) len: u64,
    /// Where the room behind them ends.
    pub(super) room: u64,
}

impl Active {
    /// Ends the file behind its last batch. Room that stays harms nobody: recovery knows it.
    fn give_back(self) {
        drop(self.medium.cut(self.len));
    }
}

/// What is known of the file system's free space.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// When it was asked last.
    asked: Option<Instant>,
    /// How many bytes were written since.
    written: u64,
    /// Whether it was too little.
    low: bool,
}

/// What the thread owns.
#[derive(Debug)]
pub(super) struct Writer {
    /// What readers see.
    pub(super) shared: Arc<Shared>,
    /// Where files are made.
    pub(super) disk: Box<dyn Disk>,
    /// The file that is written; none after an error.
    pub(super) active: Option<Active>,
    /// The offset that the next record has.
    pub(super) next: u64,
    /// The bounds.
    pub(super) options: Options,
    /// The free space.
    pub(super) space: Space,
}

/// One batch and those who wait for it.
#[derive(Default)]
struct Batch {
    /// Room for the header, then the frames.
    bytes: Vec<u8>,
    /// How many records.
    count: u32,
    /// Who waits, each with the place of the first record within the batch.
    waiting: Vec<(u32, oneshot::Sender<Result<u64, AppendError>>)>,
}

impl Batch {
    /// Makes it empty, and gives back the room that one unusually large append took.
    fn reset(&mut self, usual_bytes: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(usual_bytes + HEADER_BYTES);
        self.bytes.resize(HEADER_BYTES, 0);
        self.count = 0;
    }

    /// Says whether an append still belongs into this batch; the first always does.
    fn takes(&self, append: &Append, usual_bytes: usize) -> bool {
        self.count == 0 || (self.bytes.len() + append.frames.len() <= usual_bytes && self.count.checked_add(append.count).is_some())
    }

    /// Adds an append.
    fn add(&mut self, append: Append) {
        self.bytes.extend_from_slice(&append.frames);
        self.waiting.push((self.count, append.done));
        self.count += append.count;
    }
}

impl Writer {
    /// Writes until the last handle of the log is gone and the queue is empty.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Append>) {
        let (mut taken, mut batch) = (Vec::new(), Batch::default());
        while queue.blocking_recv_many(&mut taken, TAKE_MAX) > 0 {
            let began = Instant::now();
            let mut appends = taken.drain(..).peekable();
            while appends.peek().is_some() {
                self.gather(&mut appends, &mut batch);
                self.commit(&mut batch);
            }
            let took = began.elapsed();
            self.shared.busy_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            std::thread::sleep(self.options.gather.saturating_sub(took));
        }
        if let Some(active) = self.active {
            active.give_back();
        }
    }

    /// Fills a batch; refuses what would make the log larger than it may be, or its file system fuller.
    fn gather(&mut self, appends: &mut Peekable<Drain<'_, Append>>, batch: &mut Batch) {
        let usual_bytes = self.options.batch_bytes_max.min(usize::try_from(BODY_BYTES_MAX).unwrap_or(usize::MAX));
        let low = self.is_low();
        let held = self.shared.segments().bytes();
        batch.reset(usual_bytes);
        while let Some(append) = appends.next_if(|append| batch.takes(append, usual_bytes)) {
            self.shared.queued_bytes.fetch_sub(append.frames.len(), Ordering::Relaxed);
            if low {
                // Nobody waits any more if this does not arrive.
                drop(append.done.send(Err(AppendError::LowSpace)));
            } else if held + wide(batch.bytes.len() + append.frames.len()) > self.options.capacity_bytes {
                drop(append.done.send(Err(AppendError::Full)));
            } else {
                batch.add(append);
            }
        }
    }

    /// Says whether the file system has too little space left. It is asked before that is too late: between two looks
    /// no more is written than the reserve leaves room for. A system that does not say is not held to be full.
    fn is_low(&mut self) -> bool {
        if self.options.free_bytes_min == 0 {
            return false;
        }
        let known = self.space.asked.is_some_and(|asked| asked.elapsed() < SPACE_KNOWN.0) && self.space.written < SPACE_KNOWN.1;
        if !known {
            let free = self.disk.free(&self.shared.dir).unwrap_or(u64::MAX);
            self.space = Space { asked: Some(Instant::now()), written: 0, low: free < self.options.free_bytes_min };
        }
        self.space.low
    }

    /// Makes a batch durable and answers everyone who waits for it.
    fn commit(&mut self, batch: &mut Batch) {
        if batch.count == 0 {
            return;
        }
        let base = self.next;
        let written = self.write(batch).map_err(|error| AppendError::Failed(Arc::new(error)));
        for (at, done) in batch.waiting.drain(..) {
            let answer = written.as_ref().map(|()| base + u64::from(at)).map_err(AppendError::clone);
            // The record stands whether or not someone still waits for it.
            drop(done.send(answer));
        }
    }

    /// Makes a batch durable and shows it to readers.
    fn write(&mut self, batch: &mut Batch) -> Result<(), FileError> {
        let bytes = wide(batch.bytes.len());
        let mut active = match self.active.take() {
            Some(active) if active.len == 0 || active.len + bytes <= self.options.segment_bytes => active,
            done => {
                if let Some(full) = done {
                    full.give_back();
                }
                self.begin()?
            }
        };
        let path = Segment::path(&self.shared.dir, active.base);
        let len = u32::try_from(batch.bytes.len() - HEADER_BYTES).expect("invariant: a batch is no larger than BODY_BYTES_MAX");
        let header = Header { len, count: batch.count, base: self.next }.encode(active.len);
        batch.bytes.splice(..HEADER_BYTES, header).for_each(drop);
        // An error of the batch or of its fsync drops the descriptor: see above.
        active.medium.write(&batch.bytes, active.len).map_err(FileError::at("write", &path))?;
        self.space.written += bytes + self.make_room(&mut active, bytes);
        active.medium.sync().map_err(FileError::at("sync", &path))?;
        self.shared.segments().grow(self.next, bytes);
        active.len += bytes;
        self.active = Some(active);
        self.next += u64::from(batch.count);
        self.shared.end.send_replace(self.next);
        Ok(())
    }

    /// Makes room behind a batch of so many bytes, if it used up what there was; tells how much.
    fn make_room(&self, active: &mut Active, bytes: u64) -> u64 {
        let end = active.len + bytes;
        if end <= active.room {
            return 0;
        }
        let room = end.next_multiple_of(ROOM_BYTES).min(self.options.segment_bytes).saturating_sub(end);
        let zeros = vec![0; usize::try_from(room).expect("invariant: no more than ROOM_BYTES")];
        // Without it the batch is no less safe: what a failed write left are zeros, and the next batch is written over them.
        let made = active.medium.write(&zeros, end).map_or(0, |()| room);
        active.room = end + made;
        made
    }

    /// Begins a file at the offset that comes next. A file of that name holds nothing that was acknowledged, and is replaced.
    fn begin(&self) -> Result<Active, FileError> {
        let path = Segment::path(&self.shared.dir, self.next);
        let medium = self.disk.create(&path).map_err(FileError::at("create", &path))?;
        self.shared.segments().begin(self.next);
        Ok(Active { medium, base: self.next, len: 0, room: 0 })
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
