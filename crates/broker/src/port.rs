//! The two ports of a broker, and the laws every adapter keeps.
//!
//! A topic is a fixed number of partitions; a partition is a sequence of records with rising offsets. The laws
//! are tested by [`crate::conformance`] against every adapter alike.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use events_proxy_core::envelope::Record;

/// The writing side of a topic.
///
/// Laws:
/// 1. `Ok(offset)` means: every record of the batch is durable, in order, the first at `offset` or later.
/// 2. After an `Err` that [may be retried](PublishError::may_have_landed) the batch may be there, in part or
///    whole, once or more: sending it again is safe for delivery, and can repeat records.
/// 3. Two batches of one caller, the second sent after the first was answered, stand in that order.
/// 4. A call ends: with an answer or an error, within the adapter's own bound, whatever the broker does.
/// 5. Dropping the future leaves the adapter usable; the batch may or may not land.
/// 6. Preparing makes the topic where there is none, changes nothing where there is one, and may be repeated.
/// 7. Opening the way to a partition changes nothing on the topic, and may be repeated.
/// 8. What goes aside keeps these laws by itself, and where the adapter has connections, on others; between the two there is no order.
#[async_trait]
pub trait Publisher: Send + Sync + fmt::Debug {
    /// How many partitions the topic has; never changes while the process runs.
    fn partitions(&self) -> u32;

    /// Makes the topic, unless it is there.
    async fn prepare(&self) -> Result<(), Cause>;

    /// Appends a batch to a partition and waits until it is durable.
    async fn publish(&self, partition: u32, records: &[Record]) -> Result<u64, PublishError>;

    /// Opens the way to a partition, or finds that it is open: a batch then need not wait for that.
    async fn open(&self, partition: u32) -> Result<(), PublishError>;

    /// Another way to the same topic.
    fn aside(self: Arc<Self>) -> Arc<dyn Publisher>;
}

/// The reading side of a topic.
///
/// Laws:
/// 1. Records come in offset order, each offset at most once per answer, none skipped silently: the next record
///    is in the answer, or the answer is an error, or it lies at or after [`Fetched::next`].
/// 2. Reading changes nothing: any reader may read any offset again until the topic has dropped it.
/// 3. An empty answer comes after at most `max_wait` (plus the adapter's own bound on a slow broker).
/// 4. At least one record comes if one exists, even if it is larger than `max_bytes`.
/// 5. Dropping the future loses nothing.
#[async_trait]
pub trait Subscriber: Send + Sync + fmt::Debug {
    /// How many partitions the topic has; never changes while the process runs.
    fn partitions(&self) -> u32;

    /// Reads records from an offset on.
    async fn fetch(&self, partition: u32, from: u64, limit: FetchLimit) -> Result<Fetched, FetchError>;

    /// The offsets that exist.
    async fn bounds(&self, partition: u32) -> Result<Bounds, FetchError>;
}

/// How much one fetch may bring, and how long it may wait for the first record.
#[derive(Debug, Clone, Copy)]
pub struct FetchLimit {
    /// Stop once this many bytes of records are there.
    pub max_bytes: usize,
    /// Wait this long for a first record.
    pub max_wait: Duration,
}

/// The answer to one fetch.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Records in offset order.
    pub records: Vec<Received>,
    /// Where to go on; at least the offset asked for.
    pub next: u64,
    /// The offset after the partition's last durable record.
    pub end: u64,
}

/// One record at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its offset in the partition.
    pub offset: u64,
    /// The record.
    pub record: Record,
}

/// The offsets of a partition that exist: `earliest..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset that is still there; equals `end` when there is none.
    pub earliest: u64,
    /// The offset that the next record will have.
    pub end: u64,
}

/// A cause, kept whole.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a batch was not acknowledged; named by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Send the same batch again, later.
    #[error("publish to partition {partition}: the broker cannot take it now")]
    Retry {
        /// The partition.
        partition: u32,
        /// What happened.
        #[source]
        cause: Cause,
    },
    /// The batch is larger than the broker takes: halve it; a single record that is too large can never land.
    #[error("publish to partition {partition}: the batch is too large")]
    TooLarge {
        /// The partition.
        partition: u32,
    },
    /// The broker refuses this batch for good; alone, the record at fault can be told.
    #[error("publish to partition {partition}: the broker refuses the batch")]
    Refused {
        /// The partition.
        partition: u32,
        /// What it said.
        #[source]
        cause: Cause,
    },
}

impl PublishError {
    /// Says whether records of the batch may be on the topic in spite of the error.
    #[must_use]
    pub const fn may_have_landed(&self) -> bool {
        matches!(self, Self::Retry { .. })
    }
}

/// Why a fetch brought nothing; named by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Ask again, later.
    #[error("fetch from partition {partition}: the broker cannot answer now")]
    Retry {
        /// The partition.
        partition: u32,
        /// What happened.
        #[source]
        cause: Cause,
    },
    /// The offset does not exist: records are gone, or the topic is another one. An alarm, never a silent skip.
    #[error("fetch from partition {partition}: offset {from} is outside {}..{}", .bounds.earliest, .bounds.end)]
    OutOfRange {
        /// The partition.
        partition: u32,
        /// The offset asked for.
        from: u64,
        /// What exists.
        bounds: Bounds,
    },
    /// The record at this offset cannot be read by anyone; keep what is known of it and go on after it.
    #[error("fetch from partition {partition}: the record at offset {offset} cannot be read")]
    Unreadable {
        /// The partition.
        partition: u32,
        /// The record's offset.
        offset: u64,
        /// What is wrong with it.
        #[source]
        cause: Cause,
    },
}
