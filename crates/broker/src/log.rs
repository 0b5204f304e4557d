//! A durable log on the local disk: the spool of the accept path, and a partition of the embedded topic.
//!
//! Laws: an append is answered only after fsync; offsets rise by one and are never used twice for what was
//! acknowledged; readers see only what is durable; opening refuses a log whose acknowledged records do not read,
//! and cuts nothing but a torn tail; one process at a time; memory does not grow with the backlog.
//!
//! ```text
//! append ──▶ queue ──▶ writer thread: one batch, one fsync ──▶ segments ◀── read
//! ```
//! The bytes are told in `log/frame.rs`, the fsync rules in `log/writer.rs`, recovery in `log/recovery.rs`.

mod cursor;
mod disk;
mod error;
mod frame;
pub mod offline;
mod reader;
mod recovery;
mod segment;
mod writer;

pub use cursor::Cursor;
pub use error::{AppendError, CursorError, FileError, OpenError};

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use events_proxy_core::envelope::Record;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{Bounds, FetchError, FetchLimit, Fetched};
use disk::Disk;
use reader::Fault;
use segment::{Segment, Segments};
use writer::{Append, Space, Writer};

/// The bounds of a log.
#[derive(Debug, Clone)]
pub struct Options {
    /// A file is closed and the next begun at this size. At most half the capacity is used, so that a drained log can always go on.
    pub segment_bytes: u64,
    /// How many appends may wait for the writer; beyond it they are refused as [`AppendError::Busy`].
    pub queue_max: usize,
    /// How many bytes of appends may wait for the writer; beyond it they are refused as [`AppendError::Busy`]. An append alone may be larger.
    pub queue_bytes_max: usize,
    /// How many bytes of appends share one fsync; a larger append has its own.
    pub batch_bytes_max: usize,
    /// How long after the beginning of one batch the next may begin: appends that nobody waits for gather meanwhile, and leave
    /// the disk to those that somebody does. The first append after a pause goes at once.
    pub gather: Duration,
    /// How many bytes of batches all files may hold, the room ahead of the last one's end not counted; beyond it appends are refused
    /// as [`AppendError::Full`].
    pub capacity_bytes: u64,
    /// How many bytes the file system keeps free; below it appends are refused as [`AppendError::LowSpace`]. 0 does not look.
    pub free_bytes_min: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            queue_max: 4_096,
            queue_bytes_max: 32 << 20,
            batch_bytes_max: 1 << 20,
            gather: Duration::ZERO,
            capacity_bytes: 8 << 30,
            free_bytes_min: 0,
        }
    }
}

/// What opening found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// How many records are there.
    pub records: u64,
    /// How many bytes of a torn tail were cut off; they belonged to an append that was never acknowledged.
    pub torn_bytes: u64,
}

/// A durable log; clones are the same log. The last one to go waits for the writer, and frees the directory.
#[derive(Debug, Clone)]
pub struct Log {
    /// What all clones share.
    handle: Arc<Handle>,
}

/// What ends with the last clone.
#[derive(Debug)]
struct Handle {
    /// What the writer and the readers share.
    shared: Arc<Shared>,
    /// The way to the writer; taken to end it.
    queue: Option<mpsc::Sender<Append>>,
    /// How many bytes may wait on it.
    queue_bytes_max: usize,
    /// From how many bytes on appends are refused.
    capacity_bytes: u64,
    /// The writer; taken to wait for its end.
    thread: Option<JoinHandle<()>>,
    /// What opening found.
    recovery: Recovery,
    /// Cursors by name, so that two of one name are one.
    cursors: Mutex<HashMap<String, Cursor>>,
    /// Keeps others off the directory; freed after the writer's end, being the last to be dropped.
    _lock: File,
}

/// What the writer and the readers share.
#[derive(Debug)]
struct Shared {
    /// The log's directory.
    dir: PathBuf,
    /// Its files.
    segments: Mutex<Segments>,
    /// The offset after the last durable record, for those who wait for the next.
    end: watch::Sender<u64>,
    /// How many bytes of appends wait for the writer.
    queued_bytes: AtomicUsize,
    /// How long the writer has been at work, in microseconds.
    busy_micros: AtomicU64,
}

impl Shared {
    /// Takes the lock, which is never held over a wait or a file's operation.
    fn segments(&self) -> MutexGuard<'_, Segments> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The offsets that may be read.
    fn bounds(&self) -> Bounds {
        let end = *self.end.borrow();
        self.segments().bounds(end)
    }

    /// Reads records on a thread that may block.
    fn read(&self, from: u64, max_bytes: usize) -> Result<Fetched, FetchError> {
        let bounds = self.bounds();
        if !(bounds.earliest..=bounds.end).contains(&from) {
            return Err(FetchError::OutOfRange { partition: 0, from, bounds });
        }
        let place = if from == bounds.end { None } else { self.segments().place(from) };
        let Some(place) = place else { return Ok(Fetched { records: Vec::new(), next: from, end: bounds.end }) };
        let records = reader::read(&self.dir, &place, from, max_bytes).map_err(|fault| match fault {
            // The file may have been trimmed since.
            Fault::File(_) if self.bounds().earliest > from => FetchError::OutOfRange { partition: 0, from, bounds: self.bounds() },
            Fault::File(error) => {
                let cause = FileError::at("read", &Segment::path(&self.dir, place.base))(error).into();
                FetchError::Retry { partition: 0, cause }
            }
            Fault::Record(cause) => FetchError::Unreadable { partition: 0, offset: from, cause },
        })?;
        let next = records.last().map_or(from, |received| received.offset + 1);
        Ok(Fetched { records, next, end: bounds.end.max(next) })
    }

    /// Removes whole files before an offset, oldest first, so that a crash on the way leaves no hole.
    fn trim(&self, before: u64) -> Result<(), FileError> {
        let retired = self.segments().retire(before);
        for base in retired {
            let path = Segment::path(&self.dir, base);
            disk::remove(&path).map_err(FileError::at("remove", &path))?;
            disk::sync_dir(&self.dir).map_err(FileError::at("sync", &self.dir))?;
            self.segments().forget(base);
        }
        Ok(())
    }
}

impl Log {
    /// Opens the log of a directory, which is made if it is not there, and recovers it. Blocks while it reads all files.
    ///
    /// # Errors
    /// [`OpenError`] says whether the log is in use, its disk refuses, or acknowledged records are damaged.
    pub fn open(dir: &Path, options: &Options) -> Result<Self, OpenError> {
        Self::open_on(Box::new(disk::Local), dir, options)
    }

    /// Opens a log whose writer uses the given disk.
    fn open_on(disk: Box<dyn Disk>, dir: &Path, options: &Options) -> Result<Self, OpenError> {
        make_dir(dir).map_err(FileError::at("make", dir)).map_err(OpenError::File)?;
        let lock = lock(dir)?;
        let found = recovery::recover(dir, disk.as_ref())?;
        let earliest = found.segments.bounds(found.next).earliest;
        let recovery = Recovery { records: found.next - earliest, torn_bytes: found.torn_bytes };
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            segments: Mutex::new(found.segments),
            end: watch::Sender::new(found.next),
            queued_bytes: AtomicUsize::new(0),
            busy_micros: AtomicU64::new(0),
        });
        let segment_bytes = options.segment_bytes.min(options.capacity_bytes / 2);
        let options = Options { segment_bytes, queue_max: options.queue_max.max(1), ..options.clone() };
        let (queue, appends) = mpsc::channel(options.queue_max);
        let (queue_bytes_max, capacity_bytes) = (options.queue_bytes_max, options.capacity_bytes);
        let (active, next, space) = (Some(found.active), found.next, Space::default());
        let writer = Writer { shared: Arc::clone(&shared), disk, active, next, options, space };
        let thread = thread::Builder::new().name("log-writer".to_owned()).spawn(move || writer.run(appends));
        let thread = thread.map_err(FileError::at("start the writer of", dir)).map_err(OpenError::File)?;
        let (queue, thread, cursors) = (Some(queue), Some(thread), Mutex::default());
        Ok(Self { handle: Arc::new(Handle { shared, queue, queue_bytes_max, capacity_bytes, thread, recovery, cursors, _lock: lock }) })
    }

    /// Appends records and waits until they are durable; answers the offset of the first. They stand together, in order.
    /// Dropping the future loses nothing: the records may land or not. No records are no append.
    ///
    /// # Errors
    /// [`AppendError`] says what to do; only after [`AppendError::Failed`] can the records be there nevertheless.
    pub async fn append(&self, records: impl AsRef<[Record]> + Send) -> Result<u64, AppendError> {
        let Some(done) = self.submit(records.as_ref())? else { return Ok(self.bounds().end) };
        drop(records);
        done.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Puts records into the queue; answers where the answer will come, or nothing when there are no records.
    fn submit(&self, records: &[Record]) -> Result<Option<oneshot::Receiver<Result<u64, AppendError>>>, AppendError> {
        let count = u32::try_from(records.len()).map_err(|_| AppendError::TooLarge)?;
        if count == 0 {
            return Ok(None);
        }
        let queue = self.handle.queue.as_ref().ok_or(AppendError::Closed)?;
        let place = queue.try_reserve().map_err(|error| match error {
            mpsc::error::TrySendError::Full(()) => AppendError::Busy,
            mpsc::error::TrySendError::Closed(()) => AppendError::Closed,
        })?;
        let frames = frame::encode(records).ok_or(AppendError::TooLarge)?;
        let queued = &self.handle.shared.queued_bytes;
        let before = queued.fetch_add(frames.len(), Ordering::Relaxed);
        if before > 0 && before.saturating_add(frames.len()) > self.handle.queue_bytes_max {
            queued.fetch_sub(frames.len(), Ordering::Relaxed);
            return Err(AppendError::Busy);
        }
        let (done, answer) = oneshot::channel();
        place.send(Append { frames, count, done });
        Ok(Some(answer))
    }

    /// Reads records from an offset on; at the end, waits for the next.
    ///
    /// # Errors
    /// As [`Subscriber::fetch`](crate::Subscriber::fetch), for partition 0.
    pub async fn read(&self, from: u64, limit: FetchLimit) -> Result<Fetched, FetchError> {
        let shared = Arc::clone(&self.handle.shared);
        let mut end = shared.end.subscribe();
        if from == *end.borrow_and_update() {
            // Whether a record landed or the wait is over, the bounds tell.
            drop(tokio::time::timeout(limit.max_wait, end.wait_for(|end| *end > from)).await);
            let bounds = shared.bounds();
            if from == bounds.end {
                return Ok(Fetched { records: Vec::new(), next: from, end: bounds.end });
            }
        }
        let read = tokio::task::spawn_blocking(move || shared.read(from, limit.max_bytes)).await;
        read.unwrap_or_else(|stopped| Err(FetchError::Retry { partition: 0, cause: stopped.into() }))
    }

    /// The offsets that may be read.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.handle.shared.bounds()
    }

    /// How many bytes of batches the log's files hold.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.handle.shared.segments().bytes()
    }

    /// From how many bytes on appends are refused.
    #[must_use]
    pub fn capacity_bytes(&self) -> u64 {
        self.handle.capacity_bytes
    }

    /// How many bytes the log's file system still has for us; none when it does not say.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        disk::Local.free(&self.handle.shared.dir).ok()
    }

    /// How long the writer has been at work since the log was opened: the closer to wall time, the longer appends wait for it.
    #[must_use]
    pub fn busy(&self) -> Duration {
        Duration::from_micros(self.handle.shared.busy_micros.load(Ordering::Relaxed))
    }

    /// The bytes of a record as they stand on the disk, for one that does not read; none when not even its place is known.
    pub async fn raw(&self, offset: u64) -> Option<Vec<u8>> {
        let shared = Arc::clone(&self.handle.shared);
        tokio::task::spawn_blocking(move || {
            let place = shared.segments().place(offset)?;
            reader::raw(&shared.dir, &place, offset)
        })
        .await
        .unwrap_or(None)
    }

    /// What opening found.
    #[must_use]
    pub fn recovery(&self) -> Recovery {
        self.handle.recovery
    }

    /// Drops whole files whose records all lie before an offset; never the one that is written.
    ///
    /// # Errors
    /// When a file cannot be removed; what was to go is no longer read, and the next trim tries again.
    pub async fn trim(&self, before: u64) -> Result<(), FileError> {
        let shared = Arc::clone(&self.handle.shared);
        let trimmed = tokio::task::spawn_blocking(move || shared.trim(before)).await;
        trimmed.unwrap_or_else(|stopped| Err(FileError::at("trim", &self.handle.shared.dir)(io::Error::other(stopped))))
    }

    /// The cursor of a name: lower-case letters, digits, hyphens. A new one stands at the first record that is there.
    ///
    /// # Errors
    /// When its file cannot be read or is damaged.
    pub fn cursor(&self, name: &str) -> Result<Cursor, CursorError> {
        let mut cursors = self.handle.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cursor) = cursors.get(name) {
            return Ok(cursor.clone());
        }
        let cursor = Cursor::open(&self.handle.shared.dir, name, self.bounds().earliest)?;
        cursors.insert(name.to_owned(), cursor.clone());
        Ok(cursor)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the writer has been told to everyone who waited, as `Closed`.
            drop(thread.join());
        }
    }
}

/// Says whether a directory lies in memory alone, as far as the system tells.
#[must_use]
pub fn is_in_memory(dir: &Path) -> bool {
    disk::is_in_memory(dir)
}

/// Makes a directory and keeps its name.
fn make_dir(dir: &Path) -> io::Result<()> {
    disk::make_dir(dir)?;
    match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => disk::sync_dir(Path::new(".")),
        Some(parent) => disk::sync_dir(parent),
        None => Ok(()),
    }
}

/// Takes the lock that keeps others off a directory.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(FileError::at("open", &path)).map_err(OpenError::File)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(OpenError::File(FileError::at("lock", &path)(error))),
    }
}

#[cfg(test)]
mod fake;
#[cfg(test)]
#[path = "log/log_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "log/bounds_tests.rs"]
mod bounds;
