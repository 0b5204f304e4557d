//! What a log promises its callers, on a real disk.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use events_proxy_core::envelope::Record;

use super::disk::{Disk, Local};
use super::{AppendError, CursorError, Log, OpenError, Options, Recovery};
use crate::{Bounds, FetchError, FetchLimit};

const LIMIT: FetchLimit = FetchLimit { max_bytes: 1 << 20, max_wait: Duration::from_millis(50) };

fn record(label: &str) -> Record {
    Record { key: label.as_bytes().to_vec(), payload: vec![b'.'; 100], ..Record::default() }
}

fn small_files() -> Options {
    Options { segment_bytes: 1_000, ..Options::default() }
}

async fn keys(log: &Log, from: u64) -> Vec<String> {
    let (mut keys, mut next) = (Vec::new(), from);
    while next < log.bounds().end {
        let fetched = log.read(next, LIMIT).await.unwrap();
        assert!(fetched.next > next, "nothing is read at {next}");
        keys.extend(fetched.records.into_iter().map(|received| String::from_utf8(received.record.key).unwrap()));
        next = fetched.next;
    }
    keys
}

fn labels(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|at| at.to_string()).collect()
}

async fn fill(log: &Log, range: std::ops::Range<u64>) {
    for at in range {
        assert_eq!(log.append([record(&at.to_string())]).await.unwrap(), at);
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_reopening_and_offsets_go_on() {
    let dir = tempfile::tempdir().unwrap();
    for opening in 0..4 {
        let log = Log::open(dir.path(), &small_files()).unwrap();
        assert_eq!(log.recovery(), Recovery { records: opening * 20, torn_bytes: 0 });
        fill(&log, opening * 20..(opening + 1) * 20).await;
        assert_eq!(keys(&log, 0).await, labels(0..(opening + 1) * 20));
    }
}

#[tokio::test]
async fn a_directory_is_open_once_until_the_last_handle_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    let clone = log.clone();
    drop(log);
    assert!(matches!(Log::open(dir.path(), &Options::default()), Err(OpenError::InUse { .. })));
    drop(clone);
    Log::open(dir.path(), &Options::default()).unwrap();
}

#[tokio::test]
async fn trimming_removes_whole_files_for_good_and_keeps_what_lies_behind() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), &small_files()).unwrap();
    fill(&log, 0..60).await;
    let full = log.bytes();
    log.trim(33).await.unwrap();
    let Bounds { earliest, end } = log.bounds();
    assert!((1..=33).contains(&earliest) && end == 60, "{earliest}..{end}");
    assert!(log.bytes() < full);
    assert!(matches!(log.read(earliest - 1, LIMIT).await, Err(FetchError::OutOfRange { .. })));
    assert_eq!(keys(&log, earliest).await, labels(earliest..60));
    drop(log);
    let log = Log::open(dir.path(), &small_files()).unwrap();
    assert_eq!(log.bounds(), Bounds { earliest, end });
    log.trim(u64::MAX).await.unwrap();
    assert_eq!(log.append([record("60")]).await.unwrap(), 60);
    assert_eq!(keys(&log, 60).await, ["60"]);
}

#[tokio::test]
async fn a_full_log_refuses_until_it_is_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), &Options { capacity_bytes: 2_000, ..Options::default() }).unwrap();
    let mut drained = 0;
    for _ in 0..5 {
        let full = loop {
            match log.append([record("r")]).await {
                Ok(offset) => {
                    assert!(offset >= drained, "{offset} is given out again");
                    assert!(offset < 1_000, "it is never full");
                    drained = offset + 1;
                }
                Err(full) => break full,
            }
        };
        assert!(matches!(full, AppendError::Full));
        assert!((1_500..=2_000).contains(&log.bytes()), "{} bytes", log.bytes());
        log.trim(drained).await.unwrap();
    }
    assert!(drained >= 30, "a log that was drained must go on, and it stopped at {drained}");
}

#[tokio::test]
async fn an_append_that_nobody_waits_for_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    for at in 0..50_u64 {
        let patience = Duration::from_micros(at * 40);
        drop(tokio::time::timeout(patience, log.append([record("dropped")])).await);
    }
    let last = log.append([record("last")]).await.unwrap();
    assert_eq!(keys(&log, last).await, ["last"]);
    let before = keys(&log, 0).await;
    drop(log);
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    assert_eq!(keys(&log, 0).await, before);
}

#[tokio::test]
async fn an_append_without_records_or_of_too_many_bytes_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    fill(&log, 0..3).await;
    assert_eq!(log.append([]).await.unwrap(), 3);
    let large = Record { payload: vec![0; 65 << 20], ..Record::default() };
    assert!(matches!(log.append([large]).await, Err(AppendError::TooLarge)));
    assert_eq!(log.bounds(), Bounds { earliest: 0, end: 3 });
}

#[tokio::test]
async fn an_append_larger_than_a_batch_and_a_file_stands_together() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 500, batch_bytes_max: 300, ..Options::default() };
    let log = Log::open(dir.path(), &options).unwrap();
    let many: Vec<Record> = (0..50).map(|at| record(&at.to_string())).collect();
    assert_eq!(log.append(&many).await.unwrap(), 0);
    assert_eq!(log.append(many).await.unwrap(), 50);
    drop(log);
    let log = Log::open(dir.path(), &options).unwrap();
    assert_eq!(keys(&log, 0).await, [labels(0..50), labels(0..50)].concat());
    assert_eq!(keys(&log, 49).await, [labels(49..50), labels(0..50)].concat());
}

#[tokio::test]
async fn readers_far_behind_the_writer_find_every_offset() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), &Options { segment_bytes: 300_000, ..Options::default() }).unwrap();
    let large = |at: u64| Record { key: at.to_le_bytes().to_vec(), payload: vec![b'x'; 9_000], ..Record::default() };
    for at in (0..200).step_by(2) {
        log.append([large(at), large(at + 1)]).await.unwrap();
    }
    for from in 0..200 {
        let fetched = log.read(from, FetchLimit { max_bytes: 1, ..LIMIT }).await.unwrap();
        assert_eq!(fetched.records.iter().map(|received| received.offset).collect::<Vec<_>>(), [from]);
        assert_eq!(fetched.records[0].record, large(from));
        assert_eq!((fetched.next, fetched.end), (from + 1, 200));
    }
}

#[tokio::test]
async fn a_record_that_rots_while_the_log_is_open_is_told_alone() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    log.append((0..3).map(|at| record(&at.to_string())).collect::<Vec<_>>()).await.unwrap();
    let path = dir.path().join("00000000000000000000.log");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = usize::try_from(log.bytes()).unwrap() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(log.read(0, LIMIT).await.unwrap().next, 1);
    assert!(matches!(log.read(1, LIMIT).await, Err(FetchError::Unreadable { offset: 1, .. })));
    assert_eq!(keys(&log, 2).await, ["2"]);
}

#[tokio::test]
async fn a_cursor_is_where_it_was_told_to_go_also_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    fill(&log, 0..9).await;
    let cursor = log.cursor("drained").unwrap();
    assert_eq!(cursor.position(), 0);
    cursor.advance(7).await.unwrap();
    cursor.advance(3).await.unwrap();
    assert_eq!(log.cursor("drained").unwrap().position(), 7);
    assert_eq!(log.cursor("other").unwrap().position(), 0);
    assert!(matches!(log.cursor("../drained"), Err(CursorError::Name(_))));
    drop((log, cursor));
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    assert_eq!(log.cursor("drained").unwrap().position(), 7);
    drop(log);
    std::fs::write(dir.path().join("drained.cursor"), [7; 12]).unwrap();
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    assert!(matches!(log.cursor("drained"), Err(CursorError::Damaged(_))));
}

#[tokio::test]
async fn a_log_without_its_files_goes_on_where_its_cursors_stand() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    fill(&log, 0..9).await;
    for (name, to) in [("drained", 7), ("other", 3)] {
        log.cursor(name).unwrap().advance(to).await.unwrap();
    }
    drop(log);
    std::fs::remove_file(dir.path().join("00000000000000000000.log")).unwrap();
    for goes_on_at in [7, 8] {
        let log = Log::open(dir.path(), &Options::default()).unwrap();
        assert_eq!((log.bounds().earliest, log.bounds().end), (7, goes_on_at));
        assert_eq!(log.append(vec![record("later")]).await.unwrap(), goes_on_at);
    }
}

#[test]
fn a_file_stays_until_the_one_in_its_place_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000000000000000042.log");
    std::fs::write(&path, "before").unwrap();
    let in_the_way = dir.path().join("segment-next");
    std::fs::create_dir(&in_the_way).unwrap();
    Local.create(&path).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), b"before");
    std::fs::remove_dir(&in_the_way).unwrap();
    Local.create(&path).unwrap().write(b"after", 0).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"after");
    assert!(!in_the_way.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moves_of_a_cursor_at_once_end_at_the_furthest() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), &Options::default()).unwrap();
    let cursor = log.cursor("drained").unwrap();
    let mut moves = tokio::task::JoinSet::new();
    for to in 1..=20 {
        let cursor = cursor.clone();
        moves.spawn(async move { cursor.advance(to).await });
    }
    while let Some(moved) = moves.join_next().await {
        moved.unwrap().unwrap();
    }
    drop((log, cursor));
    let log = Arc::new(Log::open(dir.path(), &Options::default()).unwrap());
    assert_eq!(log.cursor("drained").unwrap().position(), 20);
}

#[tokio::test]
async fn batches_keep_the_distance_that_is_asked_for_and_the_first_goes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let gather = Duration::from_millis(200);
    let log = Log::open(dir.path(), &Options { gather, ..Options::default() }).unwrap();
    let began = tokio::time::Instant::now();
    fill(&log, 0..1).await;
    let first = began.elapsed();
    fill(&log, 1..3).await;
    assert!(first < gather && began.elapsed() >= gather * 2, "{first:?}, {:?}", began.elapsed());
}

#[tokio::test]
async fn nobody_but_our_user_may_read_what_is_kept() {
    let above = tempfile::tempdir().unwrap();
    let dir = above.path().join("data").join("spool");
    let log = Log::open(&dir, &small_files()).unwrap();
    fill(&log, 0..20).await;
    log.cursor("reader").unwrap().advance(5).await.unwrap();
    let (mut found, mut left) = (Vec::new(), vec![above.path().join("data")]);
    while let Some(path) = left.pop() {
        let metadata = std::fs::metadata(&path).unwrap();
        if metadata.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.push((metadata.is_dir(), metadata.permissions().mode() & 0o777));
    }
    let (dirs, files): (Vec<_>, Vec<_>) = found.into_iter().partition(|(is_dir, _)| *is_dir);
    assert!(dirs.len() >= 2 && dirs.iter().all(|(_, mode)| *mode == 0o700), "{dirs:?}");
    assert!(files.len() >= 3 && files.iter().all(|(_, mode)| *mode == 0o600), "{files:?}");
}
