//! What operators find, over all sources.

use events_proxy_core::{DeadReason, EventId, SourceId, State};
use storage::{End, PublishedRow, Search, Settled};

use crate::ground::Ground;
use crate::sample::{commit, dead, published, second, settled};

/// An event of another source, received in that second.
fn of(source: &str, event: &str, offset: u64) -> PublishedRow {
    PublishedRow { source_id: SourceId::new(source), ..published(event, offset) }
}

/// The ids that a search finds, page by page.
async fn found(ground: &Ground, search: &Search) -> Vec<String> {
    let (mut search, mut ids) = (search.clone(), Vec::new());
    loop {
        let page = ground.store.search(&search).await.unwrap();
        ids.extend(page.rows.iter().map(|row| format!("{}/{}", row.source_id.as_str(), row.event_id.as_str())));
        let Some(next) = page.next else { return ids };
        search.after = Some(next);
    }
}

pub(crate) async fn pages_of_all_sources_come_newest_first_and_miss_none(ground: &Ground) {
    let rows = [of("a", "1", 5), of("a", "2", 5), of("b", "1", 5), of("b", "3", 9), of("c", "9", 1)];
    ground.store.journal_published(&rows).await.unwrap();
    for limit in 1..=6 {
        assert_eq!(found(ground, &Search { limit, ..Search::default() }).await, ["b/3", "a/1", "a/2", "b/1", "c/9"], "limit {limit}");
    }
}

pub(crate) async fn every_condition_narrows_a_search(ground: &Ground) {
    let other = PublishedRow { name: "order cancelled".to_owned(), trace_id: "f".repeat(32), ..of("b", "2", 20) };
    ground.store.journal_published(&[of("a", "1", 10), other, of("b", "3", 30)]).await.unwrap();
    ground.store.commit(&commit(vec![Settled { source_id: SourceId::new("b"), ..settled("3", 30, dead()) }])).await.unwrap();
    let all = Search { limit: 10, ..Search::default() };
    for (search, expected) in [
        (Search { source_id: Some(SourceId::new("b")), ..all.clone() }, vec!["b/3", "b/2"]),
        (Search { event_id: Some(EventId::new("1")), ..all.clone() }, vec!["a/1"]),
        (Search { trace_id: Some("f".repeat(32)), ..all.clone() }, vec!["b/2"]),
        (Search { name: Some("order cancelled".to_owned()), ..all.clone() }, vec!["b/2"]),
        (Search { state: Some(State::Dead), ..all.clone() }, vec!["b/3"]),
        (Search { reason: Some(DeadReason::Undecodable), ..all.clone() }, vec![]),
        (Search { from: Some(second(20)), ..all.clone() }, vec!["b/3", "b/2"]),
        (Search { to: Some(second(20)), ..all.clone() }, vec!["a/1"]),
    ] {
        assert_eq!(found(ground, &search).await, expected, "{search:?}");
    }
}

pub(crate) async fn dead_letters_are_counted_by_reason(ground: &Ground) {
    assert!(ground.store.dead_groups().await.unwrap().is_empty());
    let refused = || End::Dead { reason: DeadReason::Refused, detail: "no".to_owned() };
    let exhausted = End::Dead { reason: DeadReason::AttemptsExhausted, detail: "away".to_owned() };
    let ends = vec![settled("1", 1, refused()), settled("2", 2, exhausted), settled("3", 3, refused())];
    ground.store.commit(&commit(ends)).await.unwrap();
    let groups = ground.store.dead_groups().await.unwrap();
    let told: Vec<_> = groups.iter().map(|group| (group.reason, group.count, group.first_at, group.last_at)).collect();
    let expected = [(DeadReason::Refused, 2, second(5), second(7)), (DeadReason::AttemptsExhausted, 1, second(6), second(6))];
    assert_eq!(told, expected);
}
