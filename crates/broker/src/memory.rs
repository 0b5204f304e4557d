//! A topic in memory: for tests, and for a demonstration that may forget everything.
//!
//! It keeps the laws of the ports except that nothing outlives the process. It holds what was not trimmed, up to a
//! number of bytes; beyond that a batch is put off, as a full broker would.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use events_proxy_core::envelope::Record;
use tokio::sync::watch;

use crate::port::Cause;
use crate::{Bounds, FetchError, FetchLimit, Fetched, PublishError, Publisher, Received, Subscriber};

/// How many bytes of records a topic made by [`Topic::new`] holds.
const CAPACITY_BYTES: usize = 256 << 20;

/// A topic in memory; clones are the same topic.
#[derive(Debug, Clone)]
pub struct Topic {
    /// One sequence for each partition.
    partitions: Arc<[Partition]>,
    /// How many bytes of records one partition may hold.
    capacity_bytes: usize,
}

/// One partition.
#[derive(Debug)]
struct Partition {
    /// Its records.
    held: Mutex<Held>,
    /// The offset after the last record, for those who wait for the next.
    end: watch::Sender<u64>,
}

/// What a partition holds.
#[derive(Debug, Default)]
struct Held {
    /// The offset of the first record that is still there.
    earliest: u64,
    /// The records from `earliest` on.
    records: VecDeque<Record>,
    /// Their size.
    bytes: usize,
}

/// The topic holds as much as it may.
#[derive(Debug, thiserror::Error)]
#[error("the topic in memory is full")]
struct Full;

/// The topic has no such partition.
#[derive(Debug, thiserror::Error)]
#[error("the topic has no such partition")]
struct NoSuchPartition;

impl Topic {
    /// Makes an empty topic.
    #[must_use]
    pub fn new(partitions: u32) -> Self {
        Self::bounded(partitions, CAPACITY_BYTES)
    }

    /// Makes an empty topic whose partitions together hold at most so many bytes of records.
    #[must_use]
    pub fn bounded(partitions: u32, capacity_bytes: usize) -> Self {
        Self::made(partitions, capacity_bytes, &BTreeMap::new())
    }

    /// Makes an empty topic whose partitions begin at these offsets, and at 0 where none is given: what was before is gone.
    #[must_use]
    pub fn beginning_at(partitions: u32, offsets: &BTreeMap<u32, u64>) -> Self {
        Self::made(partitions, CAPACITY_BYTES, offsets)
    }

    /// Makes an empty topic.
    fn made(partitions: u32, capacity_bytes: usize, offsets: &BTreeMap<u32, u64>) -> Self {
        let partition = |number| {
            let earliest = offsets.get(&number).copied().unwrap_or_default();
            Partition { held: Mutex::new(Held { earliest, ..Held::default() }), end: watch::Sender::new(earliest) }
        };
        let share = usize::try_from(partitions.max(1)).map_or(capacity_bytes, |partitions| capacity_bytes / partitions);
        Self { partitions: (0..partitions).map(partition).collect(), capacity_bytes: share }
    }

    /// Drops the records of a partition before an offset.
    pub fn trim(&self, partition: u32, before: u64) {
        let Some(partition) = self.partition(partition) else { return };
        let mut held = partition.lock();
        while held.earliest < before {
            let Some(record) = held.records.pop_front() else { return };
            held.bytes -= record.bytes();
            held.earliest += 1;
        }
    }

    /// The partition of a number.
    fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(number).ok()?)
    }

    /// How many partitions there are.
    fn count(&self) -> u32 {
        u32::try_from(self.partitions.len()).expect("invariant: as many as were asked for by a u32")
    }
}

impl Partition {
    /// Takes the lock; nothing that holds it can leave a record half written.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The offsets that are there.
    fn bounds(&self) -> Bounds {
        Bounds { earliest: self.earliest, end: self.earliest + u64::try_from(self.records.len()).unwrap_or(u64::MAX) }
    }

    /// Reads from an offset on; nothing when the offset is the end.
    fn read(&self, from: u64, max_bytes: usize) -> Result<Fetched, Bounds> {
        let bounds = self.bounds();
        if !(bounds.earliest..=bounds.end).contains(&from) {
            return Err(bounds);
        }
        let skip = usize::try_from(from - self.earliest).unwrap_or(usize::MAX);
        let mut fetched = Fetched { records: Vec::new(), next: from, end: bounds.end };
        let mut bytes = 0;
        for record in self.records.iter().skip(skip) {
            fetched.records.push(Received { offset: fetched.next, record: record.clone() });
            fetched.next += 1;
            bytes += record.bytes();
            if bytes >= max_bytes {
                break;
            }
        }
        Ok(fetched)
    }
}

#[async_trait]
impl Publisher for Topic {
    fn partitions(&self) -> u32 {
        self.count()
    }

    async fn prepare(&self) -> Result<(), Cause> {
        Ok(()) // it is there while the process is
    }

    async fn publish(&self, partition: u32, records: &[Record]) -> Result<u64, PublishError> {
        let Some(target) = self.partition(partition) else {
            return Err(PublishError::Refused { partition, cause: NoSuchPartition.into() });
        };
        let bytes: usize = records.iter().map(Record::bytes).sum();
        if bytes > self.capacity_bytes {
            return Err(PublishError::TooLarge { partition });
        }
        let mut held = target.lock();
        if held.bytes + bytes > self.capacity_bytes {
            return Err(PublishError::Retry { partition, cause: Full.into() });
        }
        let first = held.bounds().end;
        held.bytes += bytes;
        held.records.extend(records.iter().cloned());
        target.end.send_replace(held.bounds().end);
        Ok(first)
    }

    async fn open(&self, _partition: u32) -> Result<(), PublishError> {
        Ok(()) // there is none to go
    }

    fn aside(self: Arc<Self>) -> Arc<dyn Publisher> {
        self
    }
}

#[async_trait]
impl Subscriber for Topic {
    fn partitions(&self) -> u32 {
        self.count()
    }

    async fn fetch(&self, partition: u32, from: u64, limit: FetchLimit) -> Result<Fetched, FetchError> {
        let out_of_range = |bounds| FetchError::OutOfRange { partition, from, bounds };
        let source = self.partition(partition).ok_or_else(|| out_of_range(Bounds { earliest: 0, end: 0 }))?;
        let mut end = source.end.subscribe();
        let fetched = source.lock().read(from, limit.max_bytes).map_err(out_of_range)?;
        if !fetched.records.is_empty() {
            return Ok(fetched);
        }
        // Whether a record landed or the wait is over, the second look tells.
        drop(tokio::time::timeout(limit.max_wait, end.wait_for(|end| *end > from)).await);
        source.lock().read(from, limit.max_bytes).map_err(out_of_range)
    }

    async fn bounds(&self, partition: u32) -> Result<Bounds, FetchError> {
        let source = self.partition(partition);
        let none = FetchError::Retry { partition, cause: NoSuchPartition.into() };
        source.map(|source| source.lock().bounds()).ok_or(none)
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use events_proxy_core::envelope::Record;

    use super::Topic;
    use crate::conformance::{self, Rig, Trim};
    use crate::{PublishError, Publisher};

    struct Memory;

    #[async_trait]
    impl Rig for Memory {
        async fn topic(&self, partitions: u32) -> conformance::Topic {
            conformance::Topic::of(Topic::new(partitions))
        }
    }

    #[async_trait]
    impl Trim for Topic {
        async fn trim(&self, partition: u32, before: u64) {
            Topic::trim(self, partition, before);
        }
    }

    crate::conformance_tests!(Memory);

    #[tokio::test]
    async fn a_full_topic_puts_batches_off_until_it_is_trimmed() {
        let topic = Topic::bounded(1, 100);
        let record = Record { payload: vec![0; 60], ..Record::default() };
        assert_eq!(topic.publish(0, std::slice::from_ref(&record)).await.unwrap(), 0);
        let put_off = topic.publish(0, std::slice::from_ref(&record)).await;
        assert!(matches!(put_off, Err(PublishError::Retry { .. })));
        topic.trim(0, 1);
        assert_eq!(topic.publish(0, std::slice::from_ref(&record)).await.unwrap(), 1);
        assert!(matches!(topic.publish(0, &[record.clone(), record]).await, Err(PublishError::TooLarge { .. })));
    }
}
