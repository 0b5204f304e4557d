//! A log that was closed, for tests that do something to its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use events_proxy_core::envelope::Record;
use tokio::runtime::Runtime;

use super::frame::{HEADER_BYTES, encode};
use super::offline::{self, Finding};
use super::{Log, OpenError, Options};
use crate::FetchLimit;

/// A log that was closed: its directory, and the batches that were acknowledged, one by one.
pub(super) struct Closed {
    pub(super) dir: tempfile::TempDir,
    pub(super) options: Options,
    pub(super) batches: Vec<Vec<Record>>,
    pub(super) runtime: Runtime,
}

impl Closed {
    /// Writes batches of so many records of so many bytes.
    pub(super) fn write(segment_bytes: u64, shapes: &[(usize, usize)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = Options { segment_bytes, ..Options::default() };
        let log = Log::open(dir.path(), &options).unwrap();
        let mut batches = Vec::new();
        for (at, (count, size)) in shapes.iter().enumerate() {
            let record = |n| Record { key: format!("{at}/{n}").into_bytes(), payload: vec![b'#'; *size], ..Record::default() };
            let batch: Vec<Record> = (0..*count).map(record).collect();
            runtime.block_on(log.append(&batch)).unwrap();
            batches.push(batch);
        }
        Self { dir, options, batches, runtime }
    }

    pub(super) fn open(&self) -> Result<Log, OpenError> {
        Log::open(self.dir.path(), &self.options)
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
        files.sort();
        files
    }

    /// Where each batch of the only file begins, and where the last one ends.
    pub(super) fn places(&self) -> Vec<usize> {
        let mut places = vec![0];
        for batch in &self.batches {
            places.push(places.last().unwrap() + HEADER_BYTES + encode(batch).unwrap().len());
        }
        places
    }

    /// The records that can be read now, and whether the log still takes one and keeps it.
    pub(super) fn read(&self) -> Vec<Record> {
        let log = self.open().unwrap();
        let after = Record { key: b"after".to_vec(), ..Record::default() };
        let offset = self.runtime.block_on(log.append([after.clone()])).unwrap();
        drop(log);
        let log = self.open().unwrap();
        let mut records = self.all(&log);
        assert_eq!((records.pop(), offset), (Some(after), records.len() as u64));
        records
    }

    pub(super) fn all(&self, log: &Log) -> Vec<Record> {
        let (mut records, mut next) = (Vec::new(), 0);
        while next < log.bounds().end {
            let limit = FetchLimit { max_bytes: 3_000, max_wait: Duration::ZERO };
            let fetched = self.runtime.block_on(log.read(next, limit)).unwrap();
            assert!(fetched.next > next, "nothing is read at {next}");
            records.extend(fetched.records.into_iter().map(|received| received.record));
            next = fetched.next;
        }
        records
    }

    pub(super) fn acknowledged(&self, batches: usize) -> Vec<Record> {
        self.batches[..batches].concat()
    }
}

/// What a file holds that has room ahead, which nobody gave back.
pub(super) fn with_room(bytes: &[u8], room: usize) -> Vec<u8> {
    [bytes, &vec![0; room]].concat()
}

pub(super) fn flip(path: &Path, byte: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[byte] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// What a walk through all files finds: readable offsets, unreadable ones, lost offsets, torn bytes.
pub(super) fn walked(closed: &Closed) -> (Vec<u64>, Vec<u64>, u64, u64) {
    let (mut good, mut bad, mut lost, mut torn) = (Vec::new(), Vec::new(), 0, 0);
    for file in offline::files(closed.dir.path()).unwrap() {
        offline::walk(&file, &mut |finding| match finding {
            Finding::Record(received) => good.push(received.offset),
            Finding::Unreadable { offset, .. } => bad.push(offset),
            Finding::Hole { offsets, .. } => lost += offsets.1 - offsets.0,
            Finding::Torn { bytes } => torn += bytes,
        })
        .unwrap();
    }
    (good, bad, lost, torn)
}
