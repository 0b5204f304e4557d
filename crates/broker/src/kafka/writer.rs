//! Appends batches to the topic.
//!
//! Ok means that every in-sync replica has the batch. rskafka sends again on its own when a leader moves or the
//! broker throttles, so a batch that was answered once can stand on the topic twice: the first at the offset told.
//!
//! On loopback a request of some 9 to 64 kB waits 40 ms for a delayed acknowledgement, because rskafka sets no
//! `TCP_NODELAY`; smaller and larger ones do not. Who cares for that shapes the batches.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use events_proxy_core::envelope::Record;
use rskafka::chrono::{DateTime, Utc};
use rskafka::client::partition::{Compression, OffsetAt};
use tokio::time::Instant;

use super::judge::{Verdict, judge};
use super::live::Lane;
use super::{Error, Link, Options, ensure_topic};
use crate::port::Cause;
use crate::{PublishError, Publisher};

/// The writing side of a topic on Kafka.
#[derive(Debug)]
pub struct Writer {
    /// The way there.
    link: Link,
    /// Which of the link's connections it uses.
    lane: Lane,
}

impl Writer {
    /// Makes a writer; the broker may be absent.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { link: Link::new(options), lane: Lane::Produce }
    }

    /// Appends a batch; answers the first offset.
    async fn append(&self, partition: u32, records: &[Record]) -> Result<u64, Error> {
        let deadline = Instant::now() + self.link.options().request_timeout;
        let line = self.link.line(self.lane, partition, deadline).await?;
        let now = now();
        let batch = records.iter().map(|record| written(record, now)).collect();
        let call = Box::pin(line.client().produce(batch, Compression::Lz4));
        let offsets = line.answer(deadline, call).await?;
        Ok(offsets.first().and_then(|first| u64::try_from(*first).ok()).unwrap_or_default())
    }

    /// Connects to a partition, and asks it for what costs it least: an answer shows that the connection is alive.
    async fn look(&self, partition: u32) -> Result<(), Error> {
        let deadline = Instant::now() + self.link.options().request_timeout;
        let line = self.link.line(self.lane, partition, deadline).await?;
        line.answer(deadline, Box::pin(line.client().get_offset(OffsetAt::Latest))).await.map(drop)
    }
}

#[async_trait]
impl Publisher for Writer {
    fn partitions(&self) -> u32 {
        self.link.options().partitions
    }

    async fn prepare(&self) -> Result<(), Cause> {
        ensure_topic(self.link.options()).await?;
        Ok(())
    }

    async fn publish(&self, partition: u32, records: &[Record]) -> Result<u64, PublishError> {
        self.append(partition, records).await.map_err(|error| told(partition, error))
    }

    async fn open(&self, partition: u32) -> Result<(), PublishError> {
        self.look(partition).await.map_err(|error| told(partition, error))
    }

    fn aside(self: Arc<Self>) -> Arc<dyn Publisher> {
        Arc::new(Self { link: self.link.clone(), lane: Lane::Aside })
    }
}

/// What an error means to the caller.
fn told(partition: u32, error: Error) -> PublishError {
    match judge(&error) {
        Verdict::TooLarge => PublishError::TooLarge { partition },
        Verdict::Refused => PublishError::Refused { partition, cause: error.into() },
        Verdict::OutOfRange | Verdict::Undecodable | Verdict::Trouble => PublishError::Retry { partition, cause: error.into() },
    }
}

/// A record as rskafka takes it.
fn written(record: &Record, timestamp: DateTime<Utc>) -> rskafka::record::Record {
    rskafka::record::Record {
        key: Some(record.key.clone()),
        value: Some(record.payload.clone()),
        headers: record.headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
        timestamp,
    }
}

/// The wall time. The broker counts a topic's retention from it, so it is the machine's own and nobody else's.
#[expect(clippy::disallowed_methods, reason = "the broker compares it with its own wall time; nothing here is decided by it")]
fn now() -> DateTime<Utc> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    DateTime::UNIX_EPOCH + since
}
