//! The bounds of a log to the byte: what still goes in, what no longer does, and what the log says of itself.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use events_proxy_core::envelope::Record;
use tokio::time::Instant;

use super::disk::{self, Disk, Local, Medium};
use super::frame::{self, BODY_BYTES_MAX, FRAME_BYTES, HEADER_BYTES};
use super::{AppendError, CursorError, Log, Options, Recovery, offline};
use crate::{FetchError, FetchLimit};

const LIMIT: FetchLimit = FetchLimit { max_bytes: 1 << 20, max_wait: Duration::ZERO };

fn record() -> Record {
    Record { key: b"k".to_vec(), payload: vec![b'.'; 60], ..Record::default() }
}

/// The size of that record's frame.
fn framed() -> usize {
    frame::encode(&[record()]).unwrap().len()
}

/// The size of a batch of so many of them.
fn batch(records: usize) -> u64 {
    frame::wide(HEADER_BYTES + records * framed())
}

/// The names of a log's files.
fn files(dir: &Path) -> Vec<u64> {
    offline::files(dir).unwrap().into_iter().map(|file| file.base).collect()
}

/// A disk on which no fsync ends while it is held, that counts what is asked of it.
#[derive(Debug, Clone, Default)]
struct Held(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    gate: Mutex<()>,
    syncs: AtomicUsize,
    looks: AtomicUsize,
    free: Mutex<u64>,
}

#[derive(Debug)]
struct HeldFile(Box<dyn Medium>, Held);

impl Disk for Held {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(HeldFile(Local.create(path)?, self.clone())))
    }

    fn reopen(&self, path: &Path, len: u64) -> io::Result<Box<dyn Medium>> {
        Local.reopen(path, len)
    }

    fn free(&self, _dir: &Path) -> io::Result<u64> {
        self.0.looks.fetch_add(1, SeqCst);
        Ok(*self.0.free.lock().unwrap())
    }
}

impl Medium for HeldFile {
    fn write(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write(bytes, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.1.0.syncs.fetch_add(1, SeqCst);
        drop(self.1.0.gate.lock());
        self.0.sync()
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.0.cut(len)
    }
}

impl Held {
    /// Opens a log on it.
    fn open(&self, dir: &Path, options: &Options) -> Log {
        Log::open_on(Box::new(self.clone()), dir, options).unwrap()
    }

    /// Waits until the writer is at its first fsync, for ten seconds at most.
    fn wait_for_sync(&self) {
        let began = Instant::now();
        while self.0.syncs.load(SeqCst) == 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "nothing is written");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[tokio::test]
async fn a_batch_takes_appends_up_to_its_size_and_not_a_byte_more() {
    for (bytes, syncs) in [(batch(2), 3), (batch(2) - 1, 5), (batch(4), 2)] {
        let (dir, held) = (tempfile::tempdir().unwrap(), Held::default());
        let log = held.open(dir.path(), &Options { batch_bytes_max: usize::try_from(bytes).unwrap(), ..Options::default() });
        let gate = held.0.gate.lock().unwrap();
        let first = log.submit(&[record()]).unwrap().unwrap();
        held.wait_for_sync();
        let waiting: Vec<_> = (0..4).map(|_| log.submit(&[record()]).unwrap().unwrap()).collect();
        drop(gate);
        assert_eq!(first.await.unwrap().unwrap(), 0);
        for (answer, offset) in waiting.into_iter().zip(1..) {
            assert_eq!(answer.await.unwrap().unwrap(), offset);
        }
        assert_eq!(held.0.syncs.load(SeqCst), syncs, "batches of {bytes} bytes");
    }
}

#[tokio::test]
async fn so_much_waits_for_the_writer_and_not_a_byte_or_an_append_more() {
    let bytes = |queue_bytes_max| Options { queue_bytes_max, ..Options::default() };
    let places = |queue_max| Options { queue_max, ..Options::default() };
    for (options, fits) in [(bytes(2 * framed()), 2), (bytes(2 * framed() - 1), 1), (bytes(1), 1), (places(2), 2), (places(0), 1)] {
        let (dir, held) = (tempfile::tempdir().unwrap(), Held::default());
        let log = held.open(dir.path(), &options);
        let gate = held.0.gate.lock().unwrap();
        let first = log.submit(&[record()]).unwrap();
        held.wait_for_sync();
        let waiting: Vec<_> = (0..fits).map(|_| log.submit(&[record()]).unwrap()).collect();
        assert!(matches!(log.submit(&[record()]), Err(AppendError::Busy)), "{options:?}");
        drop(gate);
        for answer in waiting.into_iter().chain([first]).flatten() {
            answer.await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_log_holds_as_much_as_it_may_and_not_a_byte_more() {
    for (capacity, landed) in [(batch(1) * 2, 2), (batch(1) * 2 - 1, 1), (batch(1), 1), (batch(1) - 1, 0)] {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), &Options { capacity_bytes: capacity, ..Options::default() }).unwrap();
        for offset in 0..landed {
            assert_eq!(log.append([record()]).await.unwrap(), offset, "{capacity} bytes");
        }
        assert!(matches!(log.append([record()]).await, Err(AppendError::Full)), "{capacity} bytes");
        assert_eq!((log.bytes(), log.capacity_bytes()), (batch(1) * landed, capacity));
    }
}

#[tokio::test]
async fn a_file_is_begun_where_a_batch_no_longer_fits_or_half_the_capacity_is_reached() {
    let small = |segment_bytes| Options { segment_bytes, ..Options::default() };
    let half = Options { capacity_bytes: batch(1) * 8 + 1, ..Options::default() };
    for (options, bases) in [(small(batch(1) * 2), vec![0, 2, 4]), (small(batch(1) * 2 - 1), vec![0, 1, 2, 3, 4]), (half, vec![0, 4])] {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), &options).unwrap();
        for _ in 0..5 {
            log.append([record()]).await.unwrap();
        }
        assert_eq!(files(dir.path()), bases, "{options:?}");
        log.trim(3).await.unwrap();
        let earliest = log.bounds().earliest;
        drop(log);
        assert_eq!(Log::open(dir.path(), &options).unwrap().recovery(), Recovery { records: 5 - earliest, torn_bytes: 0 });
    }
}

#[test]
fn an_append_may_have_as_many_bytes_as_a_batch_and_no_more() {
    let headers = [("a", 3), ("bc", 5)].map(|(name, size)| (name, vec![0; size]));
    // Its lengths take at most 16 bytes, and 8 for each header.
    let around = 1 + (1 + 3 + 2 + 5) + FRAME_BYTES + 16 + 2 * 8;
    let payload = vec![0; usize::try_from(BODY_BYTES_MAX).unwrap() - around];
    let mut record = Record { key: b"k".to_vec(), payload, headers: headers.into_iter().collect() };
    assert!(frame::encode(std::slice::from_ref(&record)).is_some());
    record.payload.push(0);
    assert!(frame::encode(std::slice::from_ref(&record)).is_none());
}

#[tokio::test]
async fn an_answer_ends_with_the_record_that_fills_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    log.append([record(), record(), record()]).await.unwrap();
    log.append([record(), record()]).await.unwrap();
    for (max_bytes, next) in
        [(0, 1), (record().bytes(), 1), (record().bytes() + 1, 2), (record().bytes() * 3, 3), (record().bytes() * 4, 4)]
    {
        assert_eq!(log.read(0, FetchLimit { max_bytes, ..LIMIT }).await.unwrap().next, next, "{max_bytes} bytes");
    }
}

#[tokio::test]
async fn who_reads_at_the_end_waits_for_the_next_record_and_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    let (began, limit) = (Instant::now(), FetchLimit { max_wait: Duration::from_secs(6), ..LIMIT });
    let (read, appended) = tokio::join!(log.read(0, limit), async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        log.append([record()]).await
    });
    let (read, appended) = (read.unwrap(), appended.unwrap());
    assert_eq!((read.records.len(), read.next, appended), (1, 1, 0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let none = log.read(1, FetchLimit { max_wait: Duration::from_millis(30), ..LIMIT }).await.unwrap();
    assert_eq!((none.records.len(), none.next, none.end), (0, 1, 1));
}

#[tokio::test]
async fn a_file_that_does_not_read_is_no_reason_to_pass_its_records_over() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    log.append([record(), record()]).await.unwrap();
    fs::rename(dir.path().join("00000000000000000000.log"), dir.path().join("away")).unwrap();
    for from in 0..2 {
        assert!(matches!(log.read(from, LIMIT).await, Err(FetchError::Retry { partition: 0, .. })), "{from}");
    }
}

#[tokio::test]
async fn the_bytes_of_a_record_are_shown_as_they_stand_whatever_became_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    let labelled = |label: u8| Record { key: vec![label; 3], ..record() };
    let written = |label: u8| frame::encode(&[labelled(label)]).unwrap().split_off(FRAME_BYTES);
    log.append([labelled(0), labelled(1), labelled(2)]).await.unwrap();
    log.append([labelled(3), labelled(4)]).await.unwrap();
    for label in 0..5 {
        assert_eq!(log.raw(u64::from(label)).await, Some(written(label)), "{label}");
    }
    let path = dir.path().join("00000000000000000000.log");
    let (mut bytes, last) = (fs::read(&path).unwrap(), usize::try_from(log.bytes()).unwrap() - 1);
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut rotten = written(4);
    *rotten.last_mut().unwrap() ^= 1;
    assert_eq!(log.raw(4).await, Some(rotten));
    fs::write(&path, &bytes[..20]).unwrap();
    assert_eq!(log.raw(4).await, None);
}

#[tokio::test]
async fn the_last_handle_waits_for_what_is_being_written() {
    let (dir, held) = (tempfile::tempdir().unwrap(), Held::default());
    let log = held.open(dir.path(), &Options::default());
    let gate = held.0.gate.lock().unwrap();
    let answer = log.submit(&[record()]).unwrap().unwrap();
    let dropping = std::thread::spawn(move || drop(log));
    held.wait_for_sync();
    std::thread::sleep(Duration::from_millis(20));
    assert!(!dropping.is_finished());
    drop(gate);
    dropping.join().unwrap();
    assert_eq!(answer.await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn the_time_that_the_writer_is_at_work_is_told() {
    let (dir, held) = (tempfile::tempdir().unwrap(), Held::default());
    let log = held.open(dir.path(), &Options::default());
    assert_eq!(log.busy(), Duration::ZERO);
    let gate = held.0.gate.lock().unwrap();
    let answer = log.submit(&[record()]).unwrap().unwrap();
    held.wait_for_sync();
    std::thread::sleep(Duration::from_millis(30));
    drop(gate);
    answer.await.unwrap().unwrap();
    // It is told once all that was taken from the queue is answered.
    let began = Instant::now();
    while log.busy() < Duration::from_millis(30) {
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", log.busy());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn the_free_space_is_looked_at_now_and_then_and_whenever_much_was_written() {
    let (dir, held) = (tempfile::tempdir().unwrap(), Held::default());
    *held.0.free.lock().unwrap() = u64::MAX;
    let log = held.open(dir.path(), &Options { free_bytes_min: 1, ..Options::default() });
    let began = Instant::now();
    for _ in 0..50 {
        log.append([record()]).await.unwrap();
    }
    let looks = held.0.looks.load(SeqCst);
    assert!(u128::try_from(looks).unwrap() <= 1 + began.elapsed().as_millis() / 250, "{looks} in {:?}", began.elapsed());
    log.append([Record { payload: vec![0; 9 << 20], ..Record::default() }]).await.unwrap();
    *held.0.free.lock().unwrap() = 0;
    assert!(matches!(log.append([record()]).await, Err(AppendError::LowSpace)));
}

#[tokio::test]
async fn a_cursor_has_a_plain_name_and_a_file_that_reads() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    for (name, good) in [("a-1", true), ("-", true), ("", false), ("A", false), ("a_b", false), ("a.b", false)] {
        assert_eq!(log.cursor(name).is_ok(), good, "{name:?}");
    }
    fs::create_dir(dir.path().join("dir.cursor")).unwrap();
    assert!(matches!(log.cursor("dir"), Err(CursorError::File(_))));
}

#[tokio::test]
async fn a_closed_log_is_looked_through_by_its_files_and_cursors() {
    let dir = tempfile::tempdir().unwrap();
    let log = offline::fresh(dir.path()).unwrap();
    assert_eq!(log.capacity_bytes(), u64::MAX, "a log that is mended takes whatever was read");
    log.append(vec![record(); 9]).await.unwrap();
    for (name, to) in [("second", 7), ("first", 5)] {
        log.cursor(name).unwrap().advance(to).await.unwrap();
    }
    assert!(offline::is_in_use(dir.path()));
    drop(log);
    assert!(!offline::is_in_use(dir.path()) && !offline::is_in_use(&dir.path().join("nowhere")));
    assert_eq!(offline::cursors(dir.path()).unwrap(), [("first".to_owned(), 5), ("second".to_owned(), 7)]);
    assert!(offline::fresh(dir.path()).is_err(), "there is a log");
}

#[test]
fn what_the_file_system_says_is_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(&dir.path().join("log"), &Options::default()).unwrap();
    assert!(log.free_bytes().is_some_and(|free| free > 4_096));
    assert!(disk::remove(&dir.path().join("log")).is_err(), "a directory is no file");
    assert!(disk::remove(&dir.path().join("nothing")).is_ok());
    assert!(super::make_dir(Path::new("src")).is_ok(), "a directory of one name lies in the present one");
    assert!(super::is_in_memory(Path::new("/dev/shm")) && !super::is_in_memory(Path::new("/proc")));
}
