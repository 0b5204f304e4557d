//! The laws of the two ports, as code that every adapter runs alike.
//!
//! An adapter brings a [`Rig`] and names it once in [`conformance_tests!`](crate::conformance_tests); each law then
//! is a test of its own. A law works on a fresh topic of a healthy broker and panics where it is broken. What an
//! adapter does when its broker is ill is tested beside the adapter.
#![allow(clippy::missing_panics_doc, reason = "a law says that it is broken by a panic: that is all it is for")]

mod reading;
mod writing;

pub use reading::{
    a_dropped_offset_is_out_of_range, a_fetch_keeps_to_its_bytes_and_brings_at_least_one_record, a_waiting_fetch_wakes_when_a_record_lands,
    an_empty_fetch_waits_about_as_long_as_allowed, an_offset_beyond_the_end_is_out_of_range, bounds_tell_what_exists,
    reading_again_brings_the_same,
};
pub use writing::{
    a_dropped_call_leaves_the_topic_usable, an_acknowledged_batch_is_readable_in_order, batches_of_one_caller_keep_their_order,
    concurrent_publishers_lose_nothing, opening_a_way_changes_nothing, partitions_are_independent,
    preparing_a_topic_that_is_there_changes_nothing, records_survive_byte_for_byte, what_goes_aside_lands_on_the_same_topic,
};

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use events_proxy_core::envelope::Record;
use tokio::time::Instant;

use crate::{FetchLimit, Fetched, Publisher, Received, Subscriber};

/// How long a law waits for what must come, before it says that it does not.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Makes topics of one adapter.
#[async_trait]
pub trait Rig: Send + Sync {
    /// Makes a topic that nobody has used, ready to be written and read.
    async fn topic(&self, partitions: u32) -> Topic;
}

/// Makes a topic drop its oldest records.
#[async_trait]
pub trait Trim: Send + Sync + Debug {
    /// Drops records before an offset; may keep some of them, but not all.
    async fn trim(&self, partition: u32, before: u64);
}

/// A fresh topic, from both sides.
#[derive(Debug)]
pub struct Topic {
    /// The writing side.
    pub publisher: Arc<dyn Publisher>,
    /// The reading side.
    pub subscriber: Arc<dyn Subscriber>,
    /// The side of its owner.
    pub owner: Arc<dyn Trim>,
}

impl Topic {
    /// Makes a topic of an adapter whose one type has all three sides.
    pub fn of<T: Publisher + Subscriber + Trim + 'static>(topic: T) -> Self {
        let topic = Arc::new(topic);
        let publisher: Arc<dyn Publisher> = Arc::<T>::clone(&topic);
        let subscriber: Arc<dyn Subscriber> = Arc::<T>::clone(&topic);
        Self { publisher, subscriber, owner: topic }
    }

    /// Publishes to a healthy topic; answers the offset that it was told.
    async fn publish(&self, partition: u32, records: &[Record]) -> u64 {
        self.publisher.publish(partition, records).await.expect("publish to a healthy topic")
    }

    /// Fetches once from a healthy topic and checks what holds for every answer.
    async fn fetch(&self, partition: u32, from: u64, limit: FetchLimit) -> Fetched {
        let fetched = self.subscriber.fetch(partition, from, limit).await.expect("fetch from a healthy topic");
        let offsets: Vec<u64> = fetched.records.iter().map(|received| received.offset).collect();
        assert!(offsets.is_sorted_by(|a, b| a < b), "offsets must rise: {offsets:?}");
        assert!(offsets.iter().all(|offset| (from..fetched.next).contains(offset)), "{offsets:?} must lie in {from}..{}", fetched.next);
        assert!(fetched.next >= from, "next ({}) must not go back before {from}", fetched.next);
        assert!(fetched.end >= fetched.next, "end ({}) must not lie before next ({})", fetched.end, fetched.next);
        fetched
    }

    /// Reads so many records, in as many fetches as it takes.
    async fn read(&self, partition: u32, from: u64, count: usize) -> Vec<Received> {
        let limit = FetchLimit { max_bytes: 1 << 20, max_wait: Duration::from_millis(500) };
        let give_up = Instant::now() + PATIENCE;
        let (mut received, mut next) = (Vec::new(), from);
        while received.len() < count {
            assert!(Instant::now() < give_up, "{} of {count} records came before patience ran out", received.len());
            let fetched = self.fetch(partition, next, limit).await;
            next = fetched.next;
            received.extend(fetched.records);
        }
        received
    }
}

/// A record that can be told from others by its label.
fn record(label: &str) -> Record {
    let headers = [("label", label)].into_iter().collect();
    Record { key: label.as_bytes().to_vec(), payload: format!("payload of {label}").into_bytes(), headers }
}

/// A batch of labelled records.
fn batch(label: &str, count: usize) -> Vec<Record> {
    (0..count).map(|at| record(&format!("{label}/{at}"))).collect()
}

/// The records without their offsets.
fn records(received: Vec<Received>) -> Vec<Record> {
    received.into_iter().map(|received| received.record).collect()
}

/// Declares one test for each law; the expression makes the [`Rig`] and may await.
#[macro_export]
macro_rules! conformance_tests {
    ($rig:expr) => {
        $crate::conformance_tests! { $rig =>
            an_acknowledged_batch_is_readable_in_order
            batches_of_one_caller_keep_their_order
            partitions_are_independent
            records_survive_byte_for_byte
            a_dropped_call_leaves_the_topic_usable
            concurrent_publishers_lose_nothing
            preparing_a_topic_that_is_there_changes_nothing
            opening_a_way_changes_nothing
            what_goes_aside_lands_on_the_same_topic
            reading_again_brings_the_same
            a_fetch_keeps_to_its_bytes_and_brings_at_least_one_record
            an_empty_fetch_waits_about_as_long_as_allowed
            a_waiting_fetch_wakes_when_a_record_lands
            bounds_tell_what_exists
            an_offset_beyond_the_end_is_out_of_range
            a_dropped_offset_is_out_of_range
        }
    };
    ($rig:expr => $($law:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                $crate::conformance::$law(&$rig).await;
            }
        )+
    };
}
