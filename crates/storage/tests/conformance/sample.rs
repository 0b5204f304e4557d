//! Events, ends and commits to speak about.

use std::time::Duration;

use events_proxy_core::envelope::Record;
use events_proxy_core::{Attempt, DeadReason, EventId, Moment, Outcome, SourceId, State};
use storage::{Beat, Commit, End, JournalRow, Member, ParkedRow, Passed, Progress, PublishedRow, Settled, Standing, Store};

/// The topic of all samples.
pub(crate) const TOPIC: &str = "events";

/// A moment, so many seconds after the first.
pub(crate) fn second(seconds: u64) -> Moment {
    Moment::from_micros(1_700_000_000_000_001).plus(Duration::from_secs(seconds))
}

/// The source of all samples.
pub(crate) fn shop() -> SourceId {
    SourceId::new("shop")
}

/// An event's id.
pub(crate) fn id(event: &str) -> EventId {
    EventId::new(event)
}

/// An event received in that second, published at that offset.
pub(crate) fn published(event: &str, offset: u64) -> PublishedRow {
    PublishedRow {
        source_id: shop(),
        event_id: id(event),
        name: "order placed".to_owned(),
        trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
        received_at: second(offset),
        accepted_at: second(offset + 1),
        published_at: second(offset + 2),
        partition: 3,
        offset,
    }
}

/// The same event with an end.
pub(crate) fn settled(event: &str, offset: u64, end: End) -> Settled {
    let PublishedRow { source_id, event_id, name, trace_id, received_at, partition, .. } = published(event, offset);
    let headers = [("traceparent", [0, 255, 7].as_slice()), ("event-id", event.as_bytes())].into_iter().collect();
    Settled {
        source_id,
        event_id,
        name,
        trace_id,
        brand: Some("ours".to_owned()),
        received_at,
        consumed_at: second(offset + 3),
        settled_at: second(offset + 4),
        partition,
        offset,
        attempts: vec![attempt(1, Outcome::Unknown), attempt(2, Outcome::Delivered)],
        forgiven: 0,
        end,
        record: Record { key: vec![0, 1, 255], payload: b"{\"a\":\"\\u0000\"}\0".to_vec(), headers },
    }
}

/// An attempt.
pub(crate) fn attempt(number: u32, outcome: Outcome) -> Attempt {
    Attempt { number, started_at: second(9), duration_us: 1_234, outcome, status: Some(200), detail: String::new() }
}

/// An end in death.
pub(crate) fn dead() -> End {
    End::Dead { reason: DeadReason::Refused, detail: "the target said no".to_owned() }
}

/// An end in waiting until that second.
pub(crate) fn parked(until: u64) -> End {
    End::Parked { next_attempt_at: second(until) }
}

/// A commit of settled events, without an owner.
pub(crate) fn commit(settled: Vec<Settled>) -> Commit {
    Commit { topic: TOPIC.to_owned(), partition: 3, progress: None, settled, undecodable: Vec::new() }
}

/// A beat of a member of the samples' topic of 24 partitions, whose leases last a minute.
pub(crate) fn beat(member: &str) -> Beat {
    Beat {
        topic: TOPIC.to_owned(),
        partitions: 24,
        member: Member { id: member.to_owned(), pod: "pod".to_owned() },
        ttl: Duration::from_secs(60),
        first: false,
        draining: false,
        ends: Vec::new(),
    }
}

/// Makes "me" the owner of every partition of a topic, under epoch 1.
pub(crate) async fn own(store: &Store, topic: &str) -> Standing {
    store.beat(&Beat { topic: topic.to_owned(), first: true, ..beat("me") }).await.unwrap()
}

/// How far "me" has come under epoch 1.
pub(crate) fn to(next_offset: u64) -> Option<Progress> {
    Some(Progress { member: "me".to_owned(), epoch: 1, next_offset: Some(next_offset), passed: Passed::default(), expired: Vec::new() })
}

/// Where each partition of a topic goes on, if it has come anywhere.
pub(crate) async fn offsets(store: &Store, topic: &str) -> Vec<(u32, u64)> {
    let rows = store.partitions(topic).await.unwrap();
    rows.iter().filter(|row| row.next_offset > 0).map(|row| (row.partition, row.next_offset)).collect()
}

/// What is due of the samples' partition in that second.
pub(crate) async fn due(store: &Store, now: u64) -> Vec<ParkedRow> {
    store.due(TOPIC, &[3], second(now), 100).await.unwrap().rows
}

/// Settles one event.
pub(crate) async fn settle(store: &Store, event: &str, offset: u64, end: End) {
    store.commit(&commit(vec![settled(event, offset, end)])).await.unwrap();
}

/// The journal's row of an event of the shop.
pub(crate) async fn row(store: &Store, event: &str) -> JournalRow {
    store.event(&shop(), &id(event)).await.unwrap().unwrap()
}

/// The state the journal gives an event of the shop.
pub(crate) async fn state(store: &Store, event: &str) -> State {
    row(store, event).await.state
}
