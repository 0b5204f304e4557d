//! An append-only file of JSON lines, written by a thread of its own.
//!
//! At most [`WAITING_MAX`] lines wait; whoever has one more waits with it. What waits is flushed as soon as the thread
//! finds nothing more to write, so a reader is at most moments behind. After an error nothing more is written, the
//! lines that are missing are counted, and the program goes on.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How many lines may wait for the thread.
const WAITING_MAX: usize = 8_192;
/// How long a flush may take.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// What the thread is asked to do.
#[derive(Debug)]
enum Order {
    /// Append this line.
    Append(Vec<u8>),
    /// Say when everything before is written.
    Flush(oneshot::Sender<()>),
}

/// The writing end of a record file; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    /// To the thread, which ends when the last of these is dropped.
    orders: mpsc::Sender<Order>,
    /// Lines that did not reach the file.
    unwritten: Arc<AtomicU64>,
}

impl Recorder {
    /// Opens the file for appending, makes it if it is absent, and starts the thread.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread cannot be started.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let (orders, waiting) = mpsc::channel(WAITING_MAX);
        let unwritten = Arc::new(AtomicU64::new(0));
        let writing = Writing { file: Some(BufWriter::new(file)), unwritten: Arc::clone(&unwritten) };
        thread::Builder::new().name("record".to_owned()).spawn(move || writing.run(waiting))?;
        Ok(Self { orders, unwritten })
    }

    /// Waits for room for one line. Appending to it then never waits, so a caller that is cancelled either appended or did not.
    pub(crate) async fn room(&self) -> Room<'_> {
        Room { permit: self.orders.reserve().await.ok(), unwritten: &self.unwritten }
    }

    /// Waits, for a bounded time, until everything appended before is in the file.
    pub(crate) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        let flushed = timeout(FLUSH_TIMEOUT, async {
            self.orders.send(Order::Flush(done)).await.ok()?;
            written.await.ok()
        });
        if !matches!(flushed.await, Ok(Some(()))) {
            tracing::warn!("the record file may lack its last lines");
        }
    }

    /// Lines that did not reach the file.
    pub(crate) fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }
}

/// Room for one line.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    /// The place among the waiting lines; none when the thread is gone.
    permit: Option<mpsc::Permit<'a, Order>>,
    /// Lines that did not reach the file.
    unwritten: &'a AtomicU64,
}

impl Room<'_> {
    /// Appends one entry as a line of JSON.
    pub(crate) fn append(self, entry: &impl Serialize) {
        match (self.permit, serde_json::to_vec(entry)) {
            (Some(permit), Ok(line)) => permit.send(Order::Append(line)),
            (_, _) => {
                self.unwritten.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// What the thread owns.
#[derive(Debug)]
struct Writing {
    /// The file; none after an error.
    file: Option<BufWriter<File>>,
    /// Lines that did not reach the file.
    unwritten: Arc<AtomicU64>,
}

impl Writing {
    /// Writes until the last recorder is dropped.
    fn run(mut self, mut waiting: mpsc::Receiver<Order>) {
        while let Some(order) = waiting.blocking_recv() {
            match order {
                Order::Append(line) => self.append(line),
                Order::Flush(done) => {
                    self.attempt(BufWriter::flush);
                    if done.send(()).is_err() {
                        tracing::debug!("nobody waits for the flush any more");
                    }
                }
            }
            if waiting.is_empty() {
                self.attempt(BufWriter::flush);
            }
        }
    }

    /// Appends one line, or counts it as missing.
    fn append(&mut self, mut line: Vec<u8>) {
        line.push(b'\n');
        self.attempt(|file| file.write_all(&line));
        if self.file.is_none() {
            self.unwritten.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Does something with the file; the first error is the last try.
    fn attempt(&mut self, act: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        let Some(file) = self.file.as_mut() else { return };
        if let Err(error) = act(file) {
            tracing::error!(%error, "could not write the record file; nothing more is recorded");
            self.file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::Recorder;

    #[tokio::test]
    async fn what_was_appended_before_a_flush_is_in_the_file_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record");
        let recorder = Recorder::open(&path).unwrap();
        for number in 0..20_000 {
            recorder.room().await.append(&number);
        }
        recorder.flush().await;
        let expected: String = (0..20_000).map(|number| format!("{number}\n")).collect();
        assert!(fs::read_to_string(&path).unwrap() == expected);
        assert_eq!(recorder.unwritten(), 0);
    }

    #[tokio::test]
    async fn a_second_recorder_appends_to_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record");
        for word in ["first", "second"] {
            let recorder = Recorder::open(&path).unwrap();
            recorder.room().await.append(&word);
            recorder.flush().await;
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "\"first\"\n\"second\"\n");
    }

    #[tokio::test]
    async fn lines_that_the_disk_refuses_are_counted() {
        let recorder = Recorder::open(Path::new("/dev/full")).unwrap();
        for _ in 0..3 {
            recorder.room().await.append(&"x".repeat(20_000));
            recorder.flush().await;
        }
        assert_eq!(recorder.unwritten(), 3);
    }
}
