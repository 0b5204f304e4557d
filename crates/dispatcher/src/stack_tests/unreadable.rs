//! A record, or a whole partition, that the adapter cannot read.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broker::{Bounds, FetchError, FetchLimit, Fetched, Subscriber, memory};
use chassis::lifecycle::Tasks;
use events_proxy_core::DeadReason;
use events_proxy_core::envelope::Record;
use simulators::target::Options;

use super::{Ground, not_ready, office, start, until};
use crate::consume::Order;
use crate::stack::Parts;

/// A topic that answers like one whose adapter cannot read an offset, or none at all.
#[derive(Debug)]
struct Odd {
    topic: memory::Topic,
    /// No one can read this one.
    unreadable: u64,
    /// Nothing can be read, as where batches are packed by what we were not built for.
    packed: bool,
}

#[async_trait]
impl Subscriber for Odd {
    fn partitions(&self) -> u32 {
        Subscriber::partitions(&self.topic)
    }

    async fn fetch(&self, partition: u32, from: u64, limit: FetchLimit) -> Result<Fetched, FetchError> {
        if self.packed {
            return Err(FetchError::Retry { partition, cause: "the batch is packed by zstd".into() });
        }
        if from == self.unreadable {
            return Err(FetchError::Unreadable { partition, offset: from, cause: "a header without a value".into() });
        }
        let mut fetched = self.topic.fetch(partition, from, limit).await?;
        if from < self.unreadable && fetched.next > self.unreadable {
            fetched.records.retain(|received| received.offset < self.unreadable);
            fetched.next = self.unreadable;
        }
        Ok(fetched)
    }

    async fn bounds(&self, partition: u32) -> Result<Bounds, FetchError> {
        self.topic.bounds(partition).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_no_adapter_can_read_is_dead_without_bytes_and_the_rest_is_delivered() {
    let ground = Ground::new(Options::default()).await;
    ground.publish("shop", 0..3).await;
    let odd = Odd { topic: ground.topic.clone(), unreadable: 1, packed: false };
    let parts = Parts { subscriber: Arc::new(odd), ..ground.parts("one", Order::None) };
    let running = start(parts, &Tasks::new()).unwrap().0;
    until("everything is settled", async || running.committed().get(&0) == Some(&3)).await;
    let letters = ground.store.dead_letters(10).await.unwrap();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!((letter.offset, letter.reason, &letter.record), (1, DeadReason::Undecodable, &Record::default()));
    assert!(letter.detail.contains("a header without a value"), "{}", letter.detail);
    assert_eq!(ground.target.numbers().distinct, 2);
    running.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_cannot_be_read_stands_and_the_replica_says_why_it_is_not_ready() {
    let (ground, tasks) = (Ground::new(Options::default()).await, Tasks::new());
    ground.publish("shop", 0..3).await;
    let odd = Odd { topic: ground.topic.clone(), unreadable: 9, packed: true };
    let parts = Parts { subscriber: Arc::new(odd), ..ground.parts("one", Order::None) };
    let (running, private) = office(parts, &[], &tasks).await;
    until("it says that the topic cannot be read", async || not_ready(&private, "topic").await.contains("packed by zstd")).await;
    assert_eq!((running.committed().get(&0), ground.target.numbers().received, running.numbers().dead), (Some(&0), 0, 0));
    running.stop(Duration::from_secs(5)).await;
    tasks.stop(Duration::from_secs(5)).await;
}
