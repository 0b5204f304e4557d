//! Reads records from the topic.
//!
//! A broker hands out whole batches, and rskafka reads an answer whole or not at all. So when an answer cannot be read,
//! the batch at its start is asked for alone: either that one is fine, or the offset is said to be unreadable and
//! the caller goes on after it. Nothing is skipped without a word.

use std::time::Duration;

use async_trait::async_trait;
use events_proxy_core::envelope::Record;
use rskafka::client::partition::OffsetAt;
use rskafka::record::RecordAndOffset;
use tokio::time::Instant;

use super::judge::{Verdict, judge};
use super::live::Lane;
use super::{Error, Link, Options};
use crate::{Bounds, FetchError, FetchLimit, Fetched, Received, Subscriber};

/// The most that one request asks for, compressed; what is beyond the caller's limit would be read for nothing.
const ASK_BYTES_MAX: usize = 1 << 20;

/// The reading side of a topic on Kafka.
#[derive(Debug)]
pub struct Reader {
    /// The way there.
    link: Link,
}

/// What a caller asks for.
#[derive(Debug, Clone, Copy)]
struct Question {
    /// The partition.
    partition: u32,
    /// The first offset.
    from: u64,
    /// How much, and how long to wait.
    limit: FetchLimit,
    /// When the caller must be answered.
    deadline: Instant,
}

impl Reader {
    /// Makes a reader; the broker may be absent.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { link: Link::new(options) }
    }

    /// Asks the broker once, for so many bytes of whole batches or, if that is more, one batch.
    async fn ask(&self, question: Question, bytes: usize, wait: Duration) -> Result<Fetched, Error> {
        let Question { partition, from, limit, deadline } = question;
        let bytes = i32::try_from(bytes.clamp(1, ASK_BYTES_MAX)).unwrap_or(i32::MAX);
        let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // An offset that Kafka's numbers cannot hold is beyond every end, and Kafka's largest will be said to be so.
        let offset = i64::try_from(from).unwrap_or(i64::MAX);
        let line = self.link.line(Lane::Fetch, partition, deadline).await?;
        let call = Box::pin(line.client().fetch_records(offset, 1..bytes.saturating_add(1), wait));
        let (records, end) = line.answer(deadline, call).await?;
        Ok(cut(records, from, u64::try_from(end).unwrap_or_default(), limit.max_bytes))
    }

    /// Asks for the batch at the offset alone, after an answer that was unreadable or strangely empty.
    async fn look_closer(&self, question: Question) -> Result<Fetched, Error> {
        let end = self.offset(question.partition, OffsetAt::Latest, question.deadline).await?;
        let fetched = self.ask(question, 1, Duration::ZERO).await?;
        if fetched.records.is_empty() && end > question.from {
            return Err(Error::NoRecord);
        }
        Ok(fetched)
    }

    /// Asks for one of the two offsets that bound the partition.
    async fn offset(&self, partition: u32, at: OffsetAt, deadline: Instant) -> Result<u64, Error> {
        let line = self.link.line(Lane::Offsets, partition, deadline).await?;
        let offset = line.answer(deadline, Box::pin(line.client().get_offset(at))).await?;
        Ok(u64::try_from(offset).unwrap_or_default())
    }

    /// Asks for both.
    async fn both(&self, partition: u32, deadline: Instant) -> Result<Bounds, Error> {
        let earliest = self.offset(partition, OffsetAt::Earliest, deadline).await?;
        let end = self.offset(partition, OffsetAt::Latest, deadline).await?;
        Ok(Bounds { earliest, end: end.max(earliest) })
    }

    /// Says what a fetch that failed means to its caller.
    async fn refuse(&self, question: Question, error: Error) -> FetchError {
        let Question { partition, from, deadline, .. } = question;
        match judge(&error) {
            Verdict::Undecodable => FetchError::Unreadable { partition, offset: from, cause: error.into() },
            Verdict::OutOfRange => match self.both(partition, deadline).await {
                // The offset may have come to exist since it was asked for.
                Ok(bounds) if (bounds.earliest..=bounds.end).contains(&from) => FetchError::Retry { partition, cause: error.into() },
                Ok(bounds) => FetchError::OutOfRange { partition, from, bounds },
                Err(error) => FetchError::Retry { partition, cause: error.into() },
            },
            Verdict::TooLarge | Verdict::Refused | Verdict::Trouble => FetchError::Retry { partition, cause: error.into() },
        }
    }
}

#[async_trait]
impl Subscriber for Reader {
    fn partitions(&self) -> u32 {
        self.link.options().partitions
    }

    async fn fetch(&self, partition: u32, from: u64, limit: FetchLimit) -> Result<Fetched, FetchError> {
        let deadline = Instant::now() + limit.max_wait + self.link.options().request_timeout;
        let question = Question { partition, from, limit, deadline };
        let mut answer = self.ask(question, limit.max_bytes, limit.max_wait).await;
        let doubtful = match &answer {
            Ok(fetched) => fetched.records.is_empty() && fetched.end > from,
            Err(error) => judge(error) == Verdict::Undecodable,
        };
        if doubtful {
            answer = self.look_closer(question).await;
        }
        match answer {
            Ok(fetched) => Ok(fetched),
            Err(error) => Err(self.refuse(question, error).await),
        }
    }

    async fn bounds(&self, partition: u32) -> Result<Bounds, FetchError> {
        let deadline = Instant::now() + self.link.options().request_timeout;
        self.both(partition, deadline).await.map_err(|error| FetchError::Retry { partition, cause: error.into() })
    }
}

/// Cuts an answer to the caller's limit; at least one record stays.
fn cut(records: Vec<RecordAndOffset>, from: u64, end: u64, max_bytes: usize) -> Fetched {
    let mut fetched = Fetched { records: Vec::with_capacity(records.len()), next: from, end };
    let mut bytes = 0;
    for RecordAndOffset { record, offset } in records {
        let record = Record {
            key: record.key.unwrap_or_default(),
            payload: record.value.unwrap_or_default(),
            headers: record.headers.into_iter().collect(),
        };
        bytes += record.bytes();
        if bytes > max_bytes && !fetched.records.is_empty() {
            break;
        }
        let offset = u64::try_from(offset).unwrap_or(from).max(fetched.next);
        fetched.records.push(Received { offset, record });
        fetched.next = offset + 1;
    }
    fetched.end = fetched.end.max(fetched.next);
    fetched
}
