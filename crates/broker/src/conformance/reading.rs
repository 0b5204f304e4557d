//! The laws of [`Subscriber`](crate::Subscriber): what an answer holds, and when it comes.

use std::time::Duration;

use events_proxy_core::envelope::Record;
use tokio::time::Instant;

use super::{PATIENCE, Rig, batch, record, records};
use crate::{Bounds, FetchError, FetchLimit};

/// Reading changes nothing: whoever asks again is told the same, from any offset.
pub async fn reading_again_brings_the_same(rig: &dyn Rig) {
    let topic = rig.topic(1).await;
    for at in 0..4 {
        topic.publish(0, &batch(&format!("batch {at}"), 5)).await;
    }
    let first = topic.read(0, 0, 20).await;
    assert_eq!(first.len(), 20);
    for (at, received) in first.iter().enumerate() {
        let again = topic.read(0, received.offset, 20 - at).await;
        assert_eq!(Some(again.as_slice()), first.get(at..));
    }
}

/// A fetch stops at its bytes; a record that alone is larger comes nevertheless.
pub async fn a_fetch_keeps_to_its_bytes_and_brings_at_least_one_record(rig: &dyn Rig) {
    let topic = rig.topic(1).await;
    let sent: Vec<Record> = (0..30).map(|at| Record { payload: vec![b'x'; 2_000], ..record(&format!("large {at}")) }).collect();
    for batch in sent.chunks(10) {
        topic.publish(0, batch).await;
    }
    for max_bytes in [1, 5_000, 20_000] {
        let (mut next, mut received) = (0, Vec::new());
        while received.len() < sent.len() {
            let fetched = topic.fetch(0, next, FetchLimit { max_bytes, max_wait: PATIENCE }).await;
            let bytes: usize = fetched.records.iter().rev().skip(1).map(|received| received.record.bytes()).sum();
            assert!(!fetched.records.is_empty(), "a record exists at {next}, so one must come");
            assert!(bytes < max_bytes, "{bytes} bytes were there already and {max_bytes} allowed, and yet another record came");
            next = fetched.next;
            received.extend(fetched.records);
        }
        assert_eq!(records(received), sent);
    }
}

/// With nothing to read, the answer comes when the wait is over: neither at once nor much later.
pub async fn an_empty_fetch_waits_about_as_long_as_allowed(rig: &dyn Rig) {
    let topic = rig.topic(1).await;
    let end = topic.publish(0, &[record("read already")]).await + 1;
    let max_wait = Duration::from_millis(400);
    let asked = Instant::now();
    let fetched = topic.fetch(0, end, FetchLimit { max_bytes: 1_000, max_wait }).await;
    let waited = asked.elapsed();
    assert!(fetched.records.is_empty(), "nothing is there to read");
    assert_eq!(fetched.next, end);
    assert!(waited >= max_wait / 2, "an answer after {waited:?} is too early: readers would ask in a tight loop");
    assert!(waited < max_wait + PATIENCE, "an answer after {waited:?} is too late");
}

/// A reader at the end is woken by the record that lands there.
pub async fn a_waiting_fetch_wakes_when_a_record_lands(rig: &dyn Rig) {
    let topic = rig.topic(1).await;
    let end = topic.publish(0, &[record("read already")]).await + 1;
    let limit = FetchLimit { max_bytes: 1_000, max_wait: PATIENCE * 2 };
    let asked = Instant::now();
    let (fetched, _) = tokio::join!(topic.fetch(0, end, limit), async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        topic.publish(0, &[record("awaited")]).await
    });
    assert_eq!(records(fetched.records), [record("awaited")]);
    assert!(asked.elapsed() < PATIENCE, "the reader must be woken, not wait to the end");
}

/// Bounds are the first offset that is there and the one that comes next.
pub async fn bounds_tell_what_exists(rig: &dyn Rig) {
    let topic = rig.topic(1).await;
    let empty = topic.subscriber.bounds(0).await.expect("bounds of a healthy topic");
    assert_eq!(empty.earliest, empty.end);
    let first = topic.publish(0, &batch("first", 3)).await;
    let second = topic.publish(0, &batch("second", 4)).await;
    let bounds = topic.subscriber.bounds(0).await.expect("bounds of a healthy topic");
    assert_eq!(bounds, Bounds { earliest: first, end: second + 4 });
}

/// To ask at the end is to wait; to ask beyond it is an error that says what exists.
pub async fn an_offset_beyond_the_end_is_out_of_range(rig: &dyn Rig) {
    let topic = rig.topic(1).await;
    let end = topic.publish(0, &batch("few", 3)).await + 3;
    let limit = FetchLimit { max_bytes: 1_000, max_wait: Duration::from_millis(100) };
    assert!(topic.fetch(0, end, limit).await.records.is_empty());
    for beyond in [end + 1, end + 1_000] {
        let answer = topic.subscriber.fetch(0, beyond, limit).await;
        let told = matches!(&answer, Err(FetchError::OutOfRange { partition: 0, from, bounds }) if *from == beyond && bounds.end == end);
        assert!(told, "offset {beyond} of {end} must be out of range: {answer:?}");
    }
}

/// Records that the topic has dropped are missed aloud, never skipped.
pub async fn a_dropped_offset_is_out_of_range(rig: &dyn Rig) {
    let topic = rig.topic(1).await;
    for at in 0..40 {
        topic.publish(0, &batch(&format!("batch {at}"), 5)).await;
    }
    topic.owner.trim(0, 150).await;
    let bounds = topic.subscriber.bounds(0).await.expect("bounds of a healthy topic");
    assert!((1..=150).contains(&bounds.earliest), "some records before 150 must be gone, and none after: {bounds:?}");
    assert_eq!(bounds.end, 200);
    let limit = FetchLimit { max_bytes: 1_000, max_wait: Duration::from_millis(100) };
    for gone in [0, bounds.earliest - 1] {
        let answer = topic.subscriber.fetch(0, gone, limit).await;
        let told = matches!(&answer, Err(FetchError::OutOfRange { from, bounds: told, .. }) if *from == gone && *told == bounds);
        assert!(told, "offset {gone} was dropped: {answer:?}");
    }
    let there = topic.read(0, bounds.earliest, 10).await;
    assert_eq!(there.first().map(|received| received.offset), Some(bounds.earliest));
}
