//! The laws of [`Publisher`](crate::Publisher): what an acknowledgement means, and what it does not cost.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use events_proxy_core::envelope::Record;
use tokio::task::JoinSet;

use super::{Rig, batch, record, records};
use crate::{Publisher, Received};

/// An acknowledged batch is there, whole and in order, at the offset told or later.
pub async fn an_acknowledged_batch_is_readable_in_order(rig: &dyn Rig) {
    let topic = rig.topic(1).await;
    for count in [1, 2, 40] {
        let sent = batch("acknowledged", count);
        let offset = topic.publish(0, &sent).await;
        let received = topic.read(0, offset, count).await;
        assert!(received.iter().all(|received| received.offset >= offset), "records must lie at {offset} or later");
        assert_eq!(records(received), sent);
    }
}

/// A batch that is sent after another was answered stands behind it.
pub async fn batches_of_one_caller_keep_their_order(rig: &dyn Rig) {
    let topic = rig.topic(1).await;
    let (mut sent, mut offsets) = (Vec::new(), Vec::new());
    for at in 0..12 {
        let batch = batch(&format!("batch {at}"), 1 + at % 4);
        offsets.push(topic.publish(0, &batch).await);
        sent.extend(batch);
    }
    assert!(offsets.is_sorted_by(|a, b| a < b), "answers must rise: {offsets:?}");
    let first = offsets.first().copied().unwrap_or_default();
    assert_eq!(records(topic.read(0, first, sent.len()).await), sent);
}

/// What goes to one partition is seen in that one alone.
pub async fn partitions_are_independent(rig: &dyn Rig) {
    let topic = rig.topic(3).await;
    assert_eq!((topic.publisher.partitions(), topic.subscriber.partitions()), (3, 3));
    for partition in [0, 2] {
        topic.publish(partition, &batch(&format!("partition {partition}"), 5)).await;
    }
    for partition in [0, 2] {
        let received = topic.read(partition, 0, 5).await;
        assert_eq!(records(received), batch(&format!("partition {partition}"), 5));
    }
    let bounds = topic.subscriber.bounds(1).await.expect("bounds of a healthy topic");
    assert_eq!(bounds.earliest, bounds.end, "the partition between them must stay empty");
}

/// What was published before stays, and publishing goes on.
pub async fn preparing_a_topic_that_is_there_changes_nothing(rig: &dyn Rig) {
    let topic = rig.topic(2).await;
    let first = topic.publish(1, &batch("before", 2)).await;
    topic.publisher.prepare().await.expect("prepare a topic that is there");
    topic.publish(1, &batch("after", 1)).await;
    let sent: Vec<Record> = [batch("before", 2), batch("after", 1)].concat();
    assert_eq!(records(topic.read(1, first, 3).await), sent);
    assert_eq!(topic.publisher.partitions(), 2);
}

/// Keys, payloads and headers come back as they were, empty and binary ones too.
pub async fn records_survive_byte_for_byte(rig: &dyn Rig) {
    let topic = rig.topic(1).await;
    let bytes: Vec<u8> = (0..=u8::MAX).collect();
    let headers = |pairs: &[(&str, &[u8])]| pairs.iter().copied().collect();
    let sent = vec![
        Record::default(),
        Record { key: bytes.clone(), payload: bytes.clone(), headers: headers(&[("binary", &bytes), ("empty", b""), ("größe", b"\0")]) },
        Record { key: Vec::new(), payload: b"{}".to_vec(), headers: headers(&[]) },
        Record { key: b"\0".to_vec(), payload: Vec::new(), headers: headers(&[("traceparent", b"00-1-2-01"), ("a", b"b")]) },
        Record { key: b"large".to_vec(), payload: bytes.repeat(400), headers: headers(&[("a", b"b")]) },
    ];
    let offset = topic.publish(0, &sent).await;
    for (received, sent) in topic.read(0, offset, sent.len()).await.iter().zip(&sent) {
        assert_eq!((&received.record.key, &received.record.headers), (&sent.key, &sent.headers));
        assert!(received.record.payload == sent.payload, "the payload at {} must come back as it was", received.offset);
    }
}

/// A caller that stops waiting harms nobody: its batch may land or not, and the next one lands.
pub async fn a_dropped_call_leaves_the_topic_usable(rig: &dyn Rig) {
    let topic = rig.topic(1).await;
    let limit = crate::FetchLimit { max_bytes: 1 << 20, max_wait: Duration::from_secs(1) };
    let mut sent = HashSet::new();
    for at in 0..20_u32 {
        let batch = batch(&format!("dropped {at}"), 3);
        sent.extend(batch.iter().map(|record| record.key.clone()));
        let patience = Duration::from_micros(u64::from(at) * 200);
        drop(tokio::time::timeout(patience, topic.publisher.publish(0, &batch)).await);
        drop(tokio::time::timeout(patience, topic.subscriber.fetch(0, 0, limit)).await);
    }
    let last = record("last");
    topic.publish(0, std::slice::from_ref(&last)).await;
    let mut next = 0;
    loop {
        let received = topic.read(0, next, 1).await;
        next = received.last().map_or(next, |received| received.offset + 1);
        if received.iter().any(|received| received.record == last) {
            break;
        }
        assert!(received.iter().all(|received| sent.contains(&received.record.key)), "only what was sent may be there");
    }
}

/// Opening the way to a partition, once or again, adds nothing to it.
pub async fn opening_a_way_changes_nothing(rig: &dyn Rig) {
    let topic = rig.topic(2).await;
    for publisher in [Arc::clone(&topic.publisher), Arc::clone(&topic.publisher).aside()] {
        for partition in [0, 1, 1] {
            publisher.open(partition).await.expect("open the way to a healthy topic");
        }
    }
    let bounds = topic.subscriber.bounds(1).await.expect("bounds of a healthy topic");
    assert_eq!(bounds.earliest, bounds.end);
    topic.publish(1, &batch("after", 1)).await;
    assert_eq!(records(topic.read(1, bounds.end, 1).await), batch("after", 1));
}

/// What goes aside is on the same topic, acknowledged in the same way, in the order of whoever sent it there.
pub async fn what_goes_aside_lands_on_the_same_topic(rig: &dyn Rig) {
    let topic = rig.topic(1).await;
    let aside = Arc::clone(&topic.publisher).aside();
    assert_eq!(aside.partitions(), 1);
    let sending = |publisher: Arc<dyn Publisher>, label: &'static str| async move {
        for at in 0..12 {
            publisher.publish(0, &batch(&format!("{label}/{at:02}"), 2)).await.expect("publish to a healthy topic");
        }
    };
    tokio::join!(sending(Arc::clone(&topic.publisher), "straight on"), sending(aside, "aside"));
    let received = records(topic.read(0, 0, 48).await);
    for label in ["straight on", "aside"] {
        let mine: Vec<Record> = received.iter().filter(|record| record.key.starts_with(label.as_bytes())).cloned().collect();
        assert_eq!(mine, (0..12).flat_map(|at| batch(&format!("{label}/{at:02}"), 2)).collect::<Vec<_>>());
    }
}

/// Many callers at once: everything acknowledged is there once, in each caller's order.
pub async fn concurrent_publishers_lose_nothing(rig: &dyn Rig) {
    /// How many callers publish at once.
    const CALLERS: usize = 16;
    /// How many batches each of them sends, one after the other.
    const BATCHES: usize = 12;
    let topic = rig.topic(1).await;
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let publisher = Arc::clone(&topic.publisher);
        callers.spawn(async move {
            for at in 0..BATCHES {
                let records = batch(&format!("caller {caller}/{at:02}"), 2);
                publisher.publish(0, &records).await.expect("publish to a healthy topic");
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.expect("a caller must not panic");
    }
    let received = topic.read(0, 0, CALLERS * BATCHES * 2).await;
    assert_eq!(received.len(), CALLERS * BATCHES * 2, "nothing may be there that was not sent");
    for caller in 0..CALLERS {
        let mine = |received: &&Received| received.record.key.starts_with(format!("caller {caller}/").as_bytes());
        let received: Vec<Record> = received.iter().filter(mine).map(|received| received.record.clone()).collect();
        let sent: Vec<Record> = (0..BATCHES).flat_map(|at| batch(&format!("caller {caller}/{at:02}"), 2)).collect();
        assert_eq!(received, sent);
    }
}
