//! A topic on the local disk: the embedded broker of one process.
//!
//! Each partition is a [`Log`] in a directory of its own, `000`, `001` and so on. The number of partitions decides
//! where a key goes, so a directory with more of them than asked for is not opened: their records would be lost
//! from sight.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use events_proxy_core::envelope::Record;

use crate::log::{self, AppendError, FileError, Log, Recovery};
use crate::port::Cause;
use crate::{Bounds, FetchError, FetchLimit, Fetched, PublishError, Publisher, Subscriber};

/// How long one call may wait for a disk that does not answer.
const DISK_PATIENCE: Duration = Duration::from_secs(10);

/// A topic on the local disk; clones are the same topic.
#[derive(Debug, Clone)]
pub struct Topic {
    /// One log for each partition.
    partitions: Arc<[Log]>,
}

/// Why a topic does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log of a partition does not open.
    #[error("open partition {partition}")]
    Log {
        /// The partition.
        partition: u32,
        /// What is wrong with it.
        #[source]
        source: log::OpenError,
    },
    /// The topic was made with more partitions: ask for as many, or for another directory.
    #[error("open topic {}: it has partition {found}, and {asked} partitions were asked for", .dir.display())]
    Partitions {
        /// The topic's directory.
        dir: PathBuf,
        /// The highest partition that is there, from zero.
        found: u32,
        /// How many were asked for.
        asked: u32,
    },
    /// The topic's directory cannot be read.
    #[error("open topic {}", .dir.display())]
    Directory {
        /// The topic's directory.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The topic has no such partition.
#[derive(Debug, thiserror::Error)]
#[error("the topic has no such partition")]
struct NoSuchPartition;

/// The disk did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("the disk did not answer in {} s", DISK_PATIENCE.as_secs())]
struct Slow;

impl Topic {
    /// Opens the topic of a directory, which is made if it is not there, and recovers it; the options hold for each
    /// partition. Blocks while it reads all files.
    ///
    /// # Errors
    /// [`OpenError`] says which partition does not open, and why.
    pub fn open(dir: &Path, partitions: u32, options: &log::Options) -> Result<Self, OpenError> {
        let highest = highest(dir).map_err(|source| OpenError::Directory { dir: dir.to_owned(), source })?;
        if let Some(found) = highest.filter(|found| *found >= partitions) {
            return Err(OpenError::Partitions { dir: dir.to_owned(), found, asked: partitions });
        }
        let open = |partition| {
            let log = Log::open(&dir.join(format!("{partition:03}")), options);
            log.map_err(|source| OpenError::Log { partition, source })
        };
        Ok(Self { partitions: (0..partitions).map(open).collect::<Result<_, _>>()? })
    }

    /// Drops whole files of a partition whose records all lie before an offset.
    ///
    /// # Errors
    /// When a file cannot be removed; the next trim tries again.
    pub async fn trim(&self, partition: u32, before: u64) -> Result<(), FileError> {
        let Some(log) = self.partition(partition) else { return Ok(()) };
        log.trim(before).await
    }

    /// How many bytes the files of all partitions hold.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.partitions.iter().map(Log::bytes).sum()
    }

    /// What opening found, partition by partition.
    pub fn recovery(&self) -> impl Iterator<Item = Recovery> {
        self.partitions.iter().map(Log::recovery)
    }

    /// The log of a partition.
    fn partition(&self, number: u32) -> Option<&Log> {
        self.partitions.get(usize::try_from(number).ok()?)
    }

    /// How many partitions there are.
    fn count(&self) -> u32 {
        u32::try_from(self.partitions.len()).expect("invariant: as many as were asked for by a u32")
    }
}

#[async_trait]
impl Publisher for Topic {
    fn partitions(&self) -> u32 {
        self.count()
    }

    async fn prepare(&self) -> Result<(), Cause> {
        Ok(()) // opening made it
    }

    async fn publish(&self, partition: u32, records: &[Record]) -> Result<u64, PublishError> {
        let Some(log) = self.partition(partition) else {
            return Err(PublishError::Refused { partition, cause: NoSuchPartition.into() });
        };
        match tokio::time::timeout(DISK_PATIENCE, log.append(records)).await {
            Ok(Ok(offset)) => Ok(offset),
            Ok(Err(AppendError::TooLarge)) => Err(PublishError::TooLarge { partition }),
            Ok(Err(
                error @ (AppendError::Full | AppendError::LowSpace | AppendError::Busy | AppendError::Failed(_) | AppendError::Closed),
            )) => Err(PublishError::Retry { partition, cause: error.into() }),
            Err(_) => Err(PublishError::Retry { partition, cause: Slow.into() }),
        }
    }

    async fn open(&self, _partition: u32) -> Result<(), PublishError> {
        Ok(()) // its files are open
    }

    fn aside(self: Arc<Self>) -> Arc<dyn Publisher> {
        self // a log takes whatever has come to it as one batch
    }
}

#[async_trait]
impl Subscriber for Topic {
    fn partitions(&self) -> u32 {
        self.count()
    }

    async fn fetch(&self, partition: u32, from: u64, limit: FetchLimit) -> Result<Fetched, FetchError> {
        let none = FetchError::OutOfRange { partition, from, bounds: Bounds { earliest: 0, end: 0 } };
        let log = self.partition(partition).ok_or(none)?;
        match tokio::time::timeout(limit.max_wait + DISK_PATIENCE, log.read(from, limit)).await {
            Ok(answer) => answer.map_err(|error| in_partition(partition, error)),
            Err(_) => Err(FetchError::Retry { partition, cause: Slow.into() }),
        }
    }

    async fn bounds(&self, partition: u32) -> Result<Bounds, FetchError> {
        let none = FetchError::Retry { partition, cause: NoSuchPartition.into() };
        self.partition(partition).map(Log::bounds).ok_or(none)
    }
}

/// Names the partition in what a log says, which knows of none.
fn in_partition(partition: u32, error: FetchError) -> FetchError {
    match error {
        FetchError::Retry { cause, .. } => FetchError::Retry { partition, cause },
        FetchError::OutOfRange { from, bounds, .. } => FetchError::OutOfRange { partition, from, bounds },
        FetchError::Unreadable { offset, cause, .. } => FetchError::Unreadable { partition, offset, cause },
    }
}

/// The highest partition that a directory has; none when it is not there.
fn highest(dir: &Path) -> io::Result<Option<u32>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let mut highest = None;
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).and_then(|name| name.parse().ok());
        highest = highest.max(number);
    }
    Ok(highest)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;
    use events_proxy_core::envelope::Record;

    use super::{OpenError, Topic};
    use crate::conformance::{self, Rig, Trim};
    use crate::log::{self, Options};
    use crate::{FetchError, FetchLimit, PublishError, Publisher, Subscriber};

    struct Disk {
        dir: tempfile::TempDir,
        topics: AtomicUsize,
    }

    impl Disk {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap(), topics: AtomicUsize::new(0) }
        }
    }

    #[async_trait]
    impl Rig for Disk {
        async fn topic(&self, partitions: u32) -> conformance::Topic {
            let name = self.topics.fetch_add(1, Ordering::Relaxed).to_string();
            let options = Options { segment_bytes: 2_000, ..Options::default() };
            conformance::Topic::of(Topic::open(&self.dir.path().join(name), partitions, &options).unwrap())
        }
    }

    #[async_trait]
    impl Trim for Topic {
        async fn trim(&self, partition: u32, before: u64) {
            Topic::trim(self, partition, before).await.unwrap();
        }
    }

    crate::conformance_tests!(Disk::new());

    #[tokio::test]
    async fn a_topic_with_more_partitions_than_asked_for_does_not_open() {
        let dir = tempfile::tempdir().unwrap();
        drop(Topic::open(dir.path(), 3, &Options::default()).unwrap());
        assert!(matches!(Topic::open(dir.path(), 2, &Options::default()), Err(OpenError::Partitions { found: 2, asked: 2, .. })));
        let topic = Topic::open(dir.path(), 4, &Options::default()).unwrap();
        let twice = Topic::open(dir.path(), 4, &Options::default());
        assert!(matches!(twice, Err(OpenError::Log { partition: 0, source: log::OpenError::InUse { .. } })));
        topic.publish(3, &[Record::default()]).await.unwrap();
        assert_eq!(topic.bytes(), 24 + 8 + 3);
        assert_eq!(topic.recovery().map(|found| found.records).sum::<u64>(), 0);
    }

    #[tokio::test]
    async fn errors_name_the_partition() {
        let dir = tempfile::tempdir().unwrap();
        let topic = Topic::open(dir.path(), 2, &Options { capacity_bytes: 1_000, ..Options::default() }).unwrap();
        let limit = FetchLimit { max_bytes: 1, max_wait: Duration::ZERO };
        assert!(matches!(topic.fetch(1, 5, limit).await, Err(FetchError::OutOfRange { partition: 1, from: 5, .. })));
        let large = [Record { payload: vec![0; 900], ..Record::default() }];
        topic.publish(1, &large).await.unwrap();
        assert!(matches!(topic.publish(1, &large).await, Err(PublishError::Retry { partition: 1, .. })));
        assert!(matches!(topic.publish(2, &large).await, Err(PublishError::Refused { partition: 2, .. })));
    }
}
