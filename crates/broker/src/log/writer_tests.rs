//! What the writer does when its disk fails, and how it shares an fsync.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use events_proxy_core::envelope::Record;
use tokio::task::JoinSet;

use crate::FetchLimit;
use crate::log::disk::{Disk, Local, Medium};
use crate::log::segment::Segment;
use crate::log::writer::ROOM_BYTES;
use crate::log::{AppendError, Log, OpenError, Options};

/// What goes wrong next; each fault happens once.
#[derive(Debug, Default)]
struct Faults {
    create: AtomicBool,
    write: AtomicBool,
    sync: AtomicBool,
    /// There is no room behind a batch.
    room: AtomicBool,
    /// The file system is read-only, until this is false again.
    read_only: AtomicBool,
    /// The free space, if it is not the real one.
    free: Mutex<Option<u64>>,
    /// How often a file was fsynced after a write.
    syncs: AtomicUsize,
    /// While this is locked, no fsync ends.
    gate: Mutex<()>,
}

#[derive(Debug)]
struct FaultyDisk(Arc<Faults>);

#[derive(Debug)]
struct FaultyFile {
    faults: Arc<Faults>,
    file: Box<dyn Medium>,
    /// A descriptor that failed once is not to be used again.
    spent: AtomicBool,
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        if self.0.read_only.load(SeqCst) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        if self.0.create.swap(false, SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(Box::new(FaultyFile { faults: Arc::clone(&self.0), file: Local.create(path)?, spent: AtomicBool::new(false) }))
    }

    fn reopen(&self, path: &Path, len: u64) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(FaultyFile { faults: Arc::clone(&self.0), file: Local.reopen(path, len)?, spent: AtomicBool::new(false) }))
    }

    fn free(&self, dir: &Path) -> io::Result<u64> {
        self.0.free.lock().unwrap().map_or_else(|| Local.free(dir), Ok)
    }
}

impl FaultyFile {
    fn spend(&self, error: io::ErrorKind) -> io::Result<()> {
        self.spent.store(true, SeqCst);
        Err(error.into())
    }
}

impl Medium for FaultyFile {
    fn write(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        assert!(!self.spent.load(SeqCst), "a descriptor that failed was used again");
        if self.faults.read_only.load(SeqCst) {
            return self.spend(io::ErrorKind::ReadOnlyFilesystem);
        }
        if self.faults.write.swap(false, SeqCst) {
            self.file.write(&bytes[..bytes.len() / 2], position)?;
            return self.spend(io::ErrorKind::StorageFull);
        }
        if bytes.first() == Some(&0) && self.faults.room.swap(false, SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write(bytes, position)
    }

    fn sync(&self) -> io::Result<()> {
        assert!(!self.spent.load(SeqCst), "a descriptor that failed was used again");
        drop(self.faults.gate.lock());
        self.faults.syncs.fetch_add(1, SeqCst);
        if self.faults.sync.swap(false, SeqCst) {
            return self.spend(io::ErrorKind::Other);
        }
        self.file.sync()
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.file.cut(len)
    }
}

fn open(dir: &Path, options: &Options) -> (Log, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    (Log::open_on(Box::new(FaultyDisk(Arc::clone(&faults))), dir, options).unwrap(), faults)
}

fn record(label: &str) -> Record {
    Record { key: label.as_bytes().to_vec(), payload: vec![b'.'; 60], ..Record::default() }
}

async fn keys(log: &Log) -> Vec<String> {
    let (mut keys, mut next) = (Vec::new(), 0);
    while next < log.bounds().end {
        let fetched = log.read(next, FetchLimit { max_bytes: 1 << 20, max_wait: Duration::ZERO }).await.unwrap();
        assert!(fetched.next > next, "nothing is read at {next}");
        keys.extend(fetched.records.into_iter().map(|received| String::from_utf8(received.record.key).unwrap()));
        next = fetched.next;
    }
    keys
}

#[tokio::test]
async fn after_a_failed_fsync_or_write_the_log_goes_on_in_a_fresh_file() {
    for at_the_fsync in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (log, faults) = open(dir.path(), &Options::default());
        let fault = if at_the_fsync { &faults.sync } else { &faults.write };
        log.append([record("a")]).await.unwrap();
        fault.store(true, SeqCst);
        assert!(matches!(log.append([record("lost")]).await, Err(AppendError::Failed(_))));
        assert_eq!(log.bounds().end, 1);
        assert_eq!(log.append([record("b")]).await.unwrap(), 1);
        fault.store(true, SeqCst);
        assert!(matches!(log.append([record("lost")]).await, Err(AppendError::Failed(_))));
        fault.store(true, SeqCst);
        assert!(matches!(log.append([record("lost in an empty file")]).await, Err(AppendError::Failed(_))));
        assert_eq!(log.append([record("c")]).await.unwrap(), 2);
        assert_eq!(keys(&log).await, ["a", "b", "c"]);
        drop(log);
        let log = Log::open(dir.path(), &Options::default()).unwrap();
        assert_eq!(keys(&log).await, ["a", "b", "c"]);
        assert_eq!(log.append([record("d")]).await.unwrap(), 3);
    }
}

#[tokio::test]
async fn room_is_made_ahead_up_to_the_size_of_a_file_and_given_back_at_the_end() {
    let (dir, segment_bytes) = (tempfile::tempdir().unwrap(), ROOM_BYTES * 2 + 5_000);
    let file = Segment::path(dir.path(), 0);
    let size = || std::fs::metadata(&file).unwrap().len();
    let (log, _) = open(dir.path(), &Options { segment_bytes, ..Options::default() });
    let large = || Record { payload: vec![b'.'; 100_000], ..Record::default() };
    assert_eq!(size(), 0);
    for expected in [1, 1, 2].map(|rooms| rooms * ROOM_BYTES) {
        log.append([large()]).await.unwrap();
        assert_eq!(size(), expected);
    }
    log.append([large(), large()]).await.unwrap();
    log.append([Record { payload: vec![b'.'; 25_000], ..Record::default() }]).await.unwrap();
    assert_eq!(size(), segment_bytes);
    let written = log.bytes();
    drop(log);
    assert_eq!(size(), written);
    let (log, faults) = open(dir.path(), &Options::default());
    faults.room.store(true, SeqCst);
    assert_eq!(log.append([record("without room")]).await.unwrap(), 6);
    assert_eq!(size(), log.bytes());
    assert_eq!(log.append([record("with room")]).await.unwrap(), 7);
    assert!(size() > log.bytes());
}

#[tokio::test]
async fn a_failed_append_may_be_there_after_reopening_but_never_in_part() {
    let dir = tempfile::tempdir().unwrap();
    let (log, faults) = open(dir.path(), &Options::default());
    log.append([record("a")]).await.unwrap();
    faults.write.store(true, SeqCst);
    assert!(matches!(log.append([record("torn"), record("torn")]).await, Err(AppendError::Failed(_))));
    drop(log);
    let (log, faults) = open(dir.path(), &Options::default());
    assert_eq!(keys(&log).await, ["a"]);
    faults.sync.store(true, SeqCst);
    assert!(matches!(log.append([record("landed"), record("landed")]).await, Err(AppendError::Failed(_))));
    drop(log);
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    assert_eq!(keys(&log).await, ["a", "landed", "landed"]);
}

#[tokio::test]
async fn without_a_fresh_file_appends_fail_until_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let (log, faults) = open(dir.path(), &Options { segment_bytes: 100, ..Options::default() });
    log.append([record("a")]).await.unwrap();
    for _ in 0..3 {
        faults.create.store(true, SeqCst);
        let failed = log.append([record("lost")]).await.unwrap_err();
        assert!(matches!(failed, AppendError::Failed(_)));
    }
    assert_eq!(log.append([record("b")]).await.unwrap(), 1);
    assert_eq!(keys(&log).await, ["a", "b"]);
}

#[tokio::test]
async fn a_file_system_that_turns_read_only_refuses_until_it_is_writable_again_and_still_reads() {
    let dir = tempfile::tempdir().unwrap();
    let (log, faults) = open(dir.path(), &Options::default());
    log.append([record("a")]).await.unwrap();
    faults.read_only.store(true, SeqCst);
    for _ in 0..3 {
        let failed = log.append([record("lost")]).await.unwrap_err();
        assert!(matches!(&failed, AppendError::Failed(error) if error.to_string().contains(".log")), "{failed}");
        assert_eq!(keys(&log).await, ["a"]);
    }
    faults.read_only.store(false, SeqCst);
    assert_eq!(log.append([record("b")]).await.unwrap(), 1);
    drop(log);
    assert_eq!(keys(&Log::open(dir.path(), &Options::default()).unwrap()).await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_that_wait_together_share_one_fsync_and_one_fate() {
    let dir = tempfile::tempdir().unwrap();
    let (log, faults) = open(dir.path(), &Options::default());
    log.append([record("first")]).await.unwrap();
    for fails in [false, true] {
        let before = faults.syncs.load(SeqCst);
        let mut appends = JoinSet::new();
        let gate = faults.gate.lock().unwrap();
        for _ in 0..100 {
            let log = log.clone();
            appends.spawn(async move { log.append([record("together")]).await });
        }
        std::thread::sleep(Duration::from_millis(100));
        faults.sync.store(fails, SeqCst);
        drop(gate);
        let answers: Vec<_> = appends.join_all().await;
        let refused = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!(refused > 0, fails);
        let syncs = faults.syncs.load(SeqCst) - before;
        assert!(syncs <= 3, "{syncs} fsyncs for 100 appends that waited together");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_full_refuses_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (log, faults) = open(dir.path(), &Options { queue_max: 2, ..Options::default() });
    let mut appends = JoinSet::new();
    let gate = faults.gate.lock().unwrap();
    for _ in 0..20 {
        let log = log.clone();
        appends.spawn(async move { log.append([record("many")]).await });
    }
    std::thread::sleep(Duration::from_millis(100));
    drop(gate);
    let answers: Vec<_> = appends.join_all().await;
    let busy = answers.iter().filter(|answer| matches!(answer, Err(AppendError::Busy))).count();
    let landed = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(busy > 0 && landed > 0 && busy + landed == 20, "{busy} refused, {landed} landed");
    assert_eq!(log.bounds().end, u64::try_from(landed).unwrap());
}

#[tokio::test]
async fn a_batch_whose_fsync_failed_is_shown_after_reopening_only_once_it_was_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (log, faults) = open(dir.path(), &Options::default());
    faults.sync.store(true, SeqCst);
    assert!(matches!(log.append([record("unsure")]).await, Err(AppendError::Failed(_))));
    drop(log);
    let faults = Arc::new(Faults { sync: AtomicBool::new(true), ..Faults::default() });
    let refused = Log::open_on(Box::new(FaultyDisk(Arc::clone(&faults))), dir.path(), &Options::default());
    assert!(matches!(refused, Err(OpenError::File(_))));
    let log = Log::open_on(Box::new(FaultyDisk(Arc::clone(&faults))), dir.path(), &Options::default()).unwrap();
    assert_eq!(faults.syncs.load(SeqCst), 2);
    assert_eq!(keys(&log).await, ["unsure"]);
}

#[tokio::test]
async fn too_little_free_space_refuses_appends_before_a_write_fails_and_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (log, faults) = open(dir.path(), &Options { free_bytes_min: 1 << 20, ..Options::default() });
    log.append([record("a")]).await.unwrap();
    *faults.free.lock().unwrap() = Some((1 << 20) - 1);
    let refused = async {
        loop {
            match log.append([record("before it is looked again")]).await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => return error,
            }
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(5), refused).await.unwrap();
    assert!(matches!(refused, AppendError::LowSpace), "{refused}");
    *faults.free.lock().unwrap() = Some(1 << 20);
    let again = async { while log.append([record("b")]).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(5), again).await.unwrap();
    assert_eq!(keys(&log).await.last().unwrap(), "b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_holds_no_more_than_so_many_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (log, faults) = open(dir.path(), &Options { queue_bytes_max: 10_000, ..Options::default() });
    let large = || Record { payload: vec![0; 3_000], ..Record::default() };
    let mut appends = JoinSet::new();
    let gate = faults.gate.lock().unwrap();
    for _ in 0..20 {
        let log = log.clone();
        appends.spawn(async move { log.append([large()]).await });
    }
    std::thread::sleep(Duration::from_millis(100));
    drop(gate);
    let answers = appends.join_all().await;
    let busy = answers.iter().filter(|answer| matches!(answer, Err(AppendError::Busy))).count();
    let landed = answers.iter().filter(|answer| answer.is_ok()).count();
    // One is at the disk, and three times 3,000 bytes wait.
    assert!((1..=8).contains(&landed) && busy + landed == 20, "{busy} refused, {landed} landed");
    assert!(log.append([Record { payload: vec![0; 50_000], ..Record::default() }]).await.is_ok(), "one append may be larger");
}
