//! Topics on the real Kafka that the tests are given.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broker::conformance::{Rig, Topic, Trim};
use broker::kafka::{Options, Reader, Writer, ensure_topic};
use broker::{FetchLimit, Publisher};
use events_proxy_core::envelope::Record;
use rskafka::client::ClientBuilder;
use rskafka::client::partition::UnknownTopicHandling;

/// Where Kafka is.
#[allow(clippy::disallowed_methods, reason = "a test is told by its environment where the services are")]
pub(crate) fn broker() -> String {
    let advice = "TEST_KAFKA_URL must say where a Kafka is: `make test` starts one and runs the tests with it";
    std::env::var("TEST_KAFKA_URL").expect(advice)
}

/// Options for a topic of a name that nobody has used.
pub(crate) fn unused(partitions: u32) -> Options {
    Options::new(vec![broker()], format!("test-{:016x}", rand::random::<u64>()), partitions)
}

/// Options for a fresh topic.
pub(crate) async fn fresh(partitions: u32) -> Options {
    let options = unused(partitions);
    ensure_topic(&options).await.expect("create a topic");
    options
}

/// A record with a payload.
pub(crate) fn record(payload: &str) -> Record {
    Record { payload: payload.into(), ..Record::default() }
}

/// A limit that any test's records fit in.
pub(crate) fn within(max_wait: Duration) -> FetchLimit {
    FetchLimit { max_bytes: 1 << 20, max_wait }
}

/// Publishes until it succeeds, for at most 10 s; answers the offset.
pub(crate) async fn persist(writer: &Writer, record: &Record) -> u64 {
    let trying = async {
        loop {
            match writer.publish(0, std::slice::from_ref(record)).await {
                Ok(offset) => return offset,
                Err(error) => assert!(error.may_have_landed(), "only trouble that passes is expected: {error:?}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), trying).await.expect("the way back must be found")
}

/// Makes topics for the conformance suite.
#[derive(Debug)]
pub(crate) struct Kafka;

#[async_trait]
impl Rig for Kafka {
    async fn topic(&self, partitions: u32) -> Topic {
        let options = fresh(partitions).await;
        Topic {
            publisher: Arc::new(Writer::new(options.clone())),
            subscriber: Arc::new(Reader::new(options.clone())),
            owner: Arc::new(Owner(options)),
        }
    }
}

/// Deletes records, as the topic's operator could.
#[derive(Debug)]
struct Owner(Options);

#[async_trait]
impl Trim for Owner {
    async fn trim(&self, partition: u32, before: u64) {
        let number = i32::try_from(partition).expect("a small number");
        let client = ClientBuilder::new(self.0.brokers.clone()).build().await.expect("connect");
        let client = client.partition_client(&self.0.topic, number, UnknownTopicHandling::Retry).await.expect("find the partition");
        client.delete_records(i64::try_from(before).expect("a small number"), 5_000).await.expect("delete records");
    }
}
