//! The Kafka adapter on a real Kafka: the laws of the ports, and what it does when the broker is ill.
//!
//! Without TEST_KAFKA_URL these tests fail; `make test` sets it.
#![allow(clippy::indexing_slicing, reason = "a test that indexes wrongly fails, as it should")]

#[path = "kafka/cable.rs"]
mod cable;
#[path = "kafka/foreign.rs"]
mod foreign;
#[path = "kafka/rig.rs"]
mod rig;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use broker::kafka::{Options, Reader, Writer, ensure_topic};
use broker::{FetchError, PublishError, Publisher, Subscriber};
use tokio::time::{Instant, timeout};

use cable::{Cable, unused_port};
use rig::{Kafka, broker, fresh, persist, record, unused, within};

broker::conformance_tests!(Kafka);

/// An error and its causes in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Options that lead over a cable and lose patience soon.
fn over(cable: &Cable, options: &Options) -> Options {
    let (connect_timeout, request_timeout) = (Duration::from_millis(500), Duration::from_secs(1));
    Options { brokers: vec![cable.address()], connect_timeout, request_timeout, ..options.clone() }
}

#[tokio::test]
async fn a_broker_that_never_answers_is_given_up_within_the_bound() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = Options::new(vec![silent.local_addr().unwrap().to_string()], "events", 1);
    options.connect_timeout = Duration::from_millis(300);
    options.request_timeout = Duration::from_millis(800);
    let (writer, reader) = (Writer::new(options.clone()), Reader::new(options));
    let (asked, batch) = (Instant::now(), [record("lost")]);
    for _ in 0..3 {
        let (published, bounds, fetched) =
            tokio::join!(writer.publish(0, &batch), reader.bounds(0), reader.fetch(0, 0, within(Duration::from_millis(100))));
        assert!(matches!(&published, Err(error @ PublishError::Retry { .. }) if error.may_have_landed()), "{published:?}");
        assert!(matches!(bounds, Err(FetchError::Retry { .. })), "{bounds:?}");
        assert!(matches!(fetched, Err(FetchError::Retry { .. })), "{fetched:?}");
    }
    assert!(asked.elapsed() < Duration::from_millis(3 * 900 + 300), "three rounds took {:?}", asked.elapsed());
}

#[tokio::test]
async fn a_broker_that_comes_later_is_found() {
    let (options, port) = (fresh(1).await, unused_port().await);
    let late = Options { brokers: vec![format!("127.0.0.1:{port}")], ..options.clone() };
    let (writer, reader) = (Writer::new(late.clone()), Reader::new(late));
    let refused = writer.publish(0, &[record("too early")]).await.unwrap_err();
    assert!(chain(&refused).contains("refused"), "the cause must be told: {}", chain(&refused));
    assert!(matches!(reader.bounds(0).await, Err(FetchError::Retry { .. })));

    let _cable = Cable::lay(&broker(), port).await;
    assert_eq!(persist(&writer, &record("in time")).await, 0);
    let fetched = timeout(Duration::from_secs(10), reader.fetch(0, 0, within(Duration::from_secs(1)))).await.unwrap().unwrap();
    assert_eq!(fetched.records[0].record, record("in time"));
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_replaced() {
    let options = fresh(1).await;
    let cable = Cable::lay(&broker(), 0).await;
    let (writer, reader) = (Writer::new(over(&cable, &options)), Reader::new(over(&cable, &options)));
    writer.publish(0, &[record("before")]).await.unwrap();
    assert_eq!(reader.fetch(0, 0, within(Duration::from_secs(1))).await.unwrap().next, 1);

    cable.silence();
    let (asked, batch) = (Instant::now(), [record("during")]);
    let (published, fetched) = tokio::join!(writer.publish(0, &batch), reader.fetch(0, 1, within(Duration::ZERO)));
    assert!(asked.elapsed() < Duration::from_millis(1_500), "the bound of 1 s was {:?}", asked.elapsed());
    assert!(matches!(published, Err(PublishError::Retry { .. })) && matches!(fetched, Err(FetchError::Retry { .. })));

    cable.restore();
    let offset = persist(&writer, &record("after")).await;
    let fetched = reader.fetch(0, offset, within(Duration::from_secs(1))).await.unwrap();
    assert_eq!(fetched.records[0].record, record("after"));
}

#[tokio::test]
async fn a_connection_that_is_cut_is_replaced() {
    let options = fresh(1).await;
    let cable = Cable::lay(&broker(), 0).await;
    let port: u16 = cable.address().rsplit(':').next().unwrap().parse().unwrap();
    let writer = Writer::new(over(&cable, &options));
    writer.publish(0, &[record("before")]).await.unwrap();
    drop(cable);
    assert!(matches!(writer.publish(0, &[record("during")]).await, Err(PublishError::Retry { .. })));
    let _cable = Cable::lay(&broker(), port).await;
    persist(&writer, &record("after")).await;
}

#[tokio::test]
async fn callers_too_impatient_for_the_deadline_find_the_way_back() {
    let options = fresh(1).await;
    let cable = Cable::lay(&broker(), 0).await;
    let writer = Writer::new(Options { request_timeout: Duration::from_secs(60), ..over(&cable, &options) });
    writer.publish(0, &[record("before")]).await.unwrap();
    cable.silence();
    for _ in 0..4 {
        assert!(timeout(Duration::from_millis(80), writer.publish(0, &[record("during")])).await.is_err(), "nothing may be answered");
    }
    cable.restore();
    let answer = timeout(Duration::from_secs(5), persist(&writer, &record("after"))).await;
    answer.expect("the client must be replaced long before its deadline");
}

#[tokio::test]
async fn what_goes_aside_does_not_queue_behind_a_batch_that_is_not_answered() {
    let options = fresh(1).await;
    let cable = Cable::lay(&broker(), 0).await;
    let writer = Arc::new(Writer::new(over(&cable, &options)));
    writer.publish(0, &[record("before")]).await.unwrap();
    cable.mute_latest();
    let aside = Arc::<Writer>::clone(&writer).aside();
    let (kept, kept_aside) = ([record("during")], [record("aside")]);
    let (on, aside) = tokio::join!(writer.publish(0, &kept), timeout(Duration::from_millis(700), aside.publish(0, &kept_aside)));
    aside.expect("it must not wait for the other").unwrap();
    assert!(matches!(on, Err(PublishError::Retry { .. })), "{on:?}");
}

#[tokio::test]
async fn a_call_whose_caller_stopped_waiting_does_not_hold_up_the_next() {
    let options = fresh(1).await;
    let cable = Cable::lay(&broker(), 0).await;
    let aside = Arc::new(Writer::new(over(&cable, &options))).aside();
    aside.open(0).await.unwrap();
    cable.mute_latest();
    assert!(timeout(Duration::from_millis(200), aside.publish(0, &[record("during")])).await.is_err(), "nothing may be answered");
    let answer = timeout(Duration::from_millis(700), aside.publish(0, &[record("after")])).await;
    answer.expect("it must not go behind the other").unwrap();
}

#[tokio::test]
async fn a_way_that_was_opened_is_the_one_that_batches_take() {
    let options = fresh(2).await;
    let cable = Cable::lay(&broker(), 0).await;
    let aside = Arc::new(Writer::new(over(&cable, &options))).aside();
    for partition in 0..2 {
        aside.open(partition).await.unwrap();
    }
    let made = cable.made();
    for partition in 0..2 {
        aside.publish(partition, &[record("at once")]).await.unwrap();
        aside.open(partition).await.unwrap();
    }
    assert_eq!(cable.made(), made);
}

#[tokio::test]
async fn bounds_and_batches_do_not_queue_behind_a_fetch_that_waits() {
    let options = fresh(1).await;
    let (writer, reader) = (Writer::new(options.clone()), Reader::new(options));
    assert_eq!(reader.bounds(0).await.unwrap().end, 0);
    let asked = Instant::now();
    let waiting = reader.fetch(0, 0, within(Duration::from_secs(20)));
    let others = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(reader.bounds(0).await.unwrap().end, 0);
        writer.publish(0, &[record("awaited")]).await.unwrap();
    };
    let (fetched, ()) = tokio::join!(waiting, others);
    assert_eq!(fetched.unwrap().records.len(), 1);
    assert!(asked.elapsed() < Duration::from_secs(5), "took {:?}", asked.elapsed());
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_told_by_its_offset() {
    let options = fresh(1).await;
    let (writer, reader) = (Writer::new(options.clone()), Reader::new(options.clone()));
    assert_eq!(writer.publish(0, &[record("before"), record("just before")]).await.unwrap(), 0);
    assert_eq!(foreign::write_null_header(&broker(), &options.topic).await, 0, "the broker must take it");
    assert_eq!(writer.publish(0, &[record("after")]).await.unwrap(), 3);

    let limit = within(Duration::from_secs(1));
    let fetched = reader.fetch(0, 0, limit).await.unwrap();
    assert_eq!((fetched.records.len(), fetched.next), (2, 2));
    for _ in 0..2 {
        let unreadable = reader.fetch(0, 2, limit).await;
        assert!(matches!(unreadable, Err(FetchError::Unreadable { partition: 0, offset: 2, .. })), "{unreadable:?}");
    }
    assert_eq!(reader.fetch(0, 3, limit).await.unwrap().records[0].record, record("after"));
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_told_from_a_broker_in_trouble() {
    let writer = Writer::new(fresh(1).await);
    writer.publish(0, &[record("small")]).await.unwrap();
    let mut large = record("");
    large.payload = (0..2 << 20).map(|_| rand::random()).collect();
    assert!(matches!(writer.publish(0, &[large]).await, Err(PublishError::TooLarge { partition: 0 })));
    let asked = Instant::now();
    writer.publish(0, &[record("small")]).await.unwrap();
    assert!(asked.elapsed() < Duration::from_millis(95), "the link must not be built anew for it: {:?}", asked.elapsed());
}

#[tokio::test]
async fn a_topic_is_created_once_and_awaited_while_it_is_missing() {
    let options = unused(2);
    let writer = Writer::new(options.clone());
    let missing = writer.publish(0, &[record("too early")]).await.unwrap_err();
    assert!(missing.may_have_landed() && chain(&missing).contains("does not exist"), "{}", chain(&missing));
    let (one, other) = tokio::join!(ensure_topic(&options), ensure_topic(&options));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(one != other, "it is created once, and whoever did it knows: {one}, {other}");
    assert!(!ensure_topic(&options).await.unwrap());
    persist(&writer, &record("in time")).await;
}

#[tokio::test]
async fn a_topic_with_another_number_of_partitions_is_not_used() {
    let options = Options { partitions: 3, ..fresh(2).await };
    let told = ensure_topic(&options).await.unwrap_err().to_string();
    assert!(told.contains("has 2 partitions where 3 are configured"), "{told}");
    let refused = Writer::new(options.clone()).publish(0, &[record("astray")]).await.unwrap_err();
    assert!(refused.may_have_landed() && chain(&refused).contains(&told), "{}", chain(&refused));
    let refused = Reader::new(options).fetch(0, 0, within(Duration::ZERO)).await.unwrap_err();
    assert!(chain(&refused).contains(&told), "{}", chain(&refused));
}

#[tokio::test]
async fn a_partition_beyond_the_last_is_refused_without_asking() {
    let options = Options::new(vec!["127.0.0.1:1".to_owned()], "events", 2);
    assert!(matches!(Writer::new(options.clone()).publish(2, &[record("astray")]).await, Err(PublishError::Refused { partition: 2, .. })));
    assert!(matches!(Reader::new(options).bounds(2).await, Err(FetchError::Retry { partition: 2, .. })));
}
