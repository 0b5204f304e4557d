//! A directory of a log for one input, and what a log reads from it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use broker::log::offline::{self, Finding};
use broker::log::{Log, OpenError, Options};
use broker::{FetchError, FetchLimit};
use events_proxy_core::envelope::Record;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Small files, so that few records fill several.
const SEGMENT_BYTES: u64 = 256;

/// A new directory, in memory where the machine has a place for that: thousands of logs a second are no work for a disk.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("make a directory")
}

/// Waits for what needs a runtime.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: RefCell<Runtime> =
            RefCell::new(tokio::runtime::Builder::new_current_thread().enable_all().build().expect("make a runtime"));
    }
    RUNTIME.with_borrow(|runtime| runtime.block_on(future))
}

/// Opens the log of a directory.
pub(crate) fn open(dir: &Path) -> Result<Log, OpenError> {
    Log::open(dir, &Options { segment_bytes: SEGMENT_BYTES, ..Options::default() })
}

/// Every record of a log by its offset; of one that does not read, nothing.
pub(crate) fn all(log: &Log) -> BTreeMap<u64, Option<Record>> {
    let bounds = log.bounds();
    let (mut found, mut next) = (BTreeMap::new(), bounds.earliest);
    while next < bounds.end {
        match wait(log.read(next, FetchLimit { max_bytes: 100, max_wait: Duration::ZERO })) {
            Ok(fetched) => {
                assert!(fetched.next > next && fetched.next <= bounds.end, "a read that does not go on");
                for received in fetched.records {
                    assert_eq!(received.offset, next, "an offset is missing");
                    found.insert(next, Some(received.record));
                    next += 1;
                }
                assert_eq!(next, fetched.next);
            }
            Err(FetchError::Unreadable { offset, .. }) => {
                assert_eq!(offset, next);
                assert!(wait(log.raw(offset)).is_some(), "a record that does not read has no bytes");
                found.insert(offset, None);
                next += 1;
            }
            Err(other) => unreachable!("law: what recovery found can be read: {other}"),
        }
    }
    found
}

/// What a walk through the files of a directory finds.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// Every record by its offset; of one that does not read, nothing.
    pub(crate) records: BTreeMap<u64, Option<Record>>,
    /// Whether everything in the files reads, a torn tail aside.
    pub(crate) whole: bool,
}

/// Walks through the files of a directory, in which no process has a log open.
pub(crate) fn walk(dir: &Path) -> Walked {
    let mut walked = Walked { whole: true, ..Walked::default() };
    for file in offline::files(dir).expect("list the files") {
        let shown = offline::walk(&file, &mut |finding| match finding {
            Finding::Record(received) => drop(walked.records.insert(received.offset, Some(received.record))),
            Finding::Unreadable { offset, .. } => drop(walked.records.insert(offset, None)),
            Finding::Hole { .. } => walked.whole = false,
            Finding::Torn { .. } => {}
        });
        shown.expect("read a file");
    }
    walked
}
