//! Replays: what they choose, what a turn moves, and that nothing is moved twice or lost on the way.

use std::time::Duration;

use events_proxy_core::envelope::Record;
use events_proxy_core::{DeadReason, Envelope, Event, EventId, Moment, SourceId, State, TraceContext};
use storage::{Choice, Commit, End, Moved, NewReplay, Of, ReplayState, Settled, Store, Turn, Undecodable};

use crate::ground::Ground;
use crate::sample::{TOPIC, commit, parked, second, settled, shop};

/// The record of a real event, so that it can be sent again.
fn record(id: &str) -> Record {
    let body = format!(r#"{{"id":"{id}","name":"order placed","body":"b","timestamp":0}}"#);
    let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None).unwrap();
    Envelope { source_id: shop(), event: Event::judge(body.as_bytes()).unwrap(), received_at: second(0), trace }.encode().unwrap()
}

/// An event that can be sent again, with an end.
fn event(id: &str, offset: u64, end: End) -> Settled {
    Settled { record: record(id), ..settled(id, offset, end) }
}

/// A death for that reason.
fn dead(reason: DeadReason) -> End {
    End::Dead { reason, detail: "no".to_owned() }
}

/// An order of that choice, given in that second.
fn order(id: &str, choice: Choice, at: u64) -> NewReplay {
    NewReplay {
        id: id.to_owned(),
        topic: TOPIC.to_owned(),
        operator: "ada".to_owned(),
        choice,
        share_thousandths: 200,
        begun_at: second(at),
        trace: None,
    }
}

/// Takes a turn without a pause.
async fn turn(store: &Store, id: &str, at_most: u32, now: Moment) -> Option<Moved> {
    store.replay_turn(&Turn { id: id.to_owned(), at_most, pause: Duration::ZERO, now }).await.unwrap()
}

/// The state of an event.
async fn state(store: &Store, id: &str) -> State {
    store.event(&shop(), &EventId::new(id)).await.unwrap().unwrap().state
}

pub(crate) async fn a_replay_moves_dead_events_turn_by_turn_until_it_is_done(ground: &Ground) {
    let store = &ground.store;
    let ends = (0..5).map(|at| event(&format!("e{at}"), at, dead(DeadReason::Refused))).collect();
    store.commit(&commit(ends)).await.unwrap();
    assert_eq!(store.begin_replay(&order("r", Choice::default(), 100)).await.unwrap(), 5);
    assert_eq!(turn(store, "r", 2, second(200)).await, Some(Moved { moved: 2, done: false }));
    assert_eq!((state(store, "e0").await, state(store, "e1").await, state(store, "e2").await), (State::Parked, State::Parked, State::Dead));
    assert_eq!(turn(store, "r", 10, second(201)).await, Some(Moved { moved: 3, done: true }));
    assert_eq!(turn(store, "r", 10, second(202)).await, None, "a replay that is done takes no turn");
    let replay = store.replay("r").await.unwrap().unwrap();
    assert_eq!((replay.state, replay.chosen, replay.moved, replay.ended_at), (ReplayState::Done, 5, 5, Some(second(201))));
    assert!(store.dead_letters(10).await.unwrap().is_empty());
    let due = store.due(TOPIC, &[3], second(201), 10).await.unwrap().rows;
    assert_eq!(due.len(), 5);
    assert!(due.iter().all(|row| row.attempts.len() == 2 && row.forgiven == 2), "attempts are kept and count no more");
}

pub(crate) async fn an_event_that_dies_again_is_not_of_the_same_replay(ground: &Ground) {
    let store = &ground.store;
    store.commit(&commit(vec![event("a", 1, dead(DeadReason::Refused))])).await.unwrap();
    store.begin_replay(&order("r", Choice::default(), 100)).await.unwrap();
    assert_eq!(turn(store, "r", 1, second(200)).await, Some(Moved { moved: 1, done: false }));
    let again = Settled { settled_at: second(300), ..event("a", 1, dead(DeadReason::Refused)) };
    store.commit(&commit(vec![again])).await.unwrap();
    assert_eq!(state(store, "a").await, State::Dead);
    assert_eq!(turn(store, "r", 1, second(301)).await, Some(Moved { moved: 0, done: true }));
    assert_eq!(store.begin_replay(&order("r2", Choice::default(), 400)).await.unwrap(), 1, "the next replay has it");
}

pub(crate) async fn a_replayed_event_that_is_delivered_is_so_for_good(ground: &Ground) {
    let store = &ground.store;
    store.commit(&commit(vec![event("a", 1, dead(DeadReason::AttemptsExhausted))])).await.unwrap();
    store.begin_replay(&order("r", Choice::default(), 100)).await.unwrap();
    turn(store, "r", 9, second(200)).await.unwrap();
    store.commit(&commit(vec![Settled { settled_at: second(201), ..event("a", 1, End::Delivered) }])).await.unwrap();
    let row = store.event(&shop(), &EventId::new("a")).await.unwrap().unwrap();
    assert_eq!((row.state, row.dead_reason, row.replays), (State::Delivered, None, 1));
    assert!(store.due(TOPIC, &[3], second(999), 10).await.unwrap().rows.is_empty(), "its parked row is gone");
}

pub(crate) async fn a_choice_chooses_by_every_condition(ground: &Ground) {
    let store = &ground.store;
    let other = Settled { source_id: SourceId::new("b"), name: "other".to_owned(), ..event("y", 2, dead(DeadReason::Refused)) };
    store.commit(&commit(vec![event("x", 1, dead(DeadReason::AttemptsExhausted)), other])).await.unwrap();
    for (choice, chosen) in [
        (Choice::default(), 2),
        (Choice { reason: Some(DeadReason::Refused), ..Choice::default() }, 1),
        (Choice { source_id: Some(shop()), ..Choice::default() }, 1),
        (Choice { event_id: Some(EventId::new("y")), ..Choice::default() }, 1),
        (Choice { name: Some("other".to_owned()), ..Choice::default() }, 1),
        (Choice { from: Some(second(6)), ..Choice::default() }, 1),
        (Choice { to: Some(second(6)), ..Choice::default() }, 1),
        (Choice { reason: Some(DeadReason::Undecodable), ..Choice::default() }, 0),
    ] {
        assert_eq!(store.count_chosen(TOPIC, &choice).await.unwrap(), chosen, "{choice:?}");
    }
    assert_eq!(store.count_chosen("another", &Choice::default()).await.unwrap(), 0);
}

pub(crate) async fn an_event_that_the_topic_refused_is_replayed_past_it(ground: &Ground) {
    let store = &ground.store;
    for spool in ["(spool a)", "(spool b)"] {
        let id = spool.replace(['(', ')', ' '], "");
        let refused = commit(vec![event(&id, 7, dead(DeadReason::Unpublishable))]);
        store.commit(&storage::Commit { topic: spool.to_owned(), partition: 0, ..refused }).await.unwrap();
    }
    store.begin_replay(&order("r", Choice::default(), 100)).await.unwrap();
    assert_eq!(turn(store, "r", 9, second(200)).await, Some(Moved { moved: 2, done: true }));
    let due = store.due(TOPIC, &[0], second(200), 10).await.unwrap().rows;
    assert_eq!(due.len(), 2, "two spools' events at the same offset are two events");
    let place = (due[0].partition, due[0].offset);
    let delivered = Settled { partition: place.0, offset: place.1, settled_at: second(201), ..event("spoola", 7, End::Delivered) };
    let other = Settled { partition: due[1].partition, offset: due[1].offset, event_id: EventId::new("spoolb"), ..delivered.clone() };
    store.commit(&storage::Commit { partition: 0, ..commit(vec![delivered, other]) }).await.unwrap();
    assert!(store.due(TOPIC, &[0], second(999), 10).await.unwrap().rows.is_empty());
    assert_eq!(state(store, "spoola").await, State::Delivered);
}

pub(crate) async fn a_record_that_is_no_event_stays_dead_and_is_told(ground: &Ground) {
    let store = &ground.store;
    store.commit(&commit(vec![settled("broken", 1, dead(DeadReason::Refused)), event("a", 2, dead(DeadReason::Refused))])).await.unwrap();
    store.begin_replay(&order("r", Choice::default(), 100)).await.unwrap();
    assert_eq!(turn(store, "r", 9, second(200)).await, Some(Moved { moved: 1, done: true }));
    let replay = store.replay("r").await.unwrap().unwrap();
    assert_eq!((replay.moved, replay.skipped), (1, 1));
    assert_eq!(store.dead_letters(9).await.unwrap().len(), 1);
}

pub(crate) async fn a_cancelled_replay_moves_no_more(ground: &Ground) {
    let store = &ground.store;
    store.commit(&commit(vec![event("a", 1, dead(DeadReason::Refused)), event("b", 2, dead(DeadReason::Refused))])).await.unwrap();
    store.begin_replay(&order("r", Choice::default(), 100)).await.unwrap();
    assert_eq!(turn(store, "r", 1, second(200)).await, Some(Moved { moved: 1, done: false }));
    assert!(store.cancel_replay("r", second(201)).await.unwrap());
    assert!(!store.cancel_replay("r", second(202)).await.unwrap());
    assert_eq!(turn(store, "r", 1, second(203)).await, None);
    assert_eq!((state(store, "a").await, state(store, "b").await), (State::Parked, State::Dead));
    assert_eq!(store.replay("r").await.unwrap().unwrap().ended_at, Some(second(201)));
}

pub(crate) async fn parked_events_become_due_before_their_time(ground: &Ground) {
    let store = &ground.store;
    store.commit(&commit(vec![event("a", 1, parked(5_000)), event("b", 2, parked(6_000))])).await.unwrap();
    assert!(store.due(TOPIC, &[3], second(200), 10).await.unwrap().rows.is_empty());
    let choice = Choice { of: Of::Parked, event_id: Some(EventId::new("b")), ..Choice::default() };
    assert_eq!(store.begin_replay(&order("r", choice, 100)).await.unwrap(), 1);
    assert_eq!(turn(store, "r", 9, second(200)).await, Some(Moved { moved: 1, done: true }));
    let due = store.due(TOPIC, &[3], second(200), 10).await.unwrap().rows;
    assert_eq!(due.iter().map(|row| row.offset).collect::<Vec<_>>(), [2]);
}

pub(crate) async fn of_many_turns_at_once_one_is_taken(ground: &Ground) {
    let store = &ground.store;
    store.commit(&commit((0..20).map(|at| event(&format!("e{at}"), at, dead(DeadReason::Refused))).collect())).await.unwrap();
    store.begin_replay(&order("r", Choice::default(), 100)).await.unwrap();
    let one = Turn { id: "r".to_owned(), at_most: 5, pause: Duration::from_secs(60), now: second(200) };
    let turns = futures_util::future::join_all((0..4).map(|_| store.replay_turn(&one))).await;
    let taken = turns.into_iter().filter(|turn| matches!(turn, Ok(Some(_)))).count();
    assert_eq!(taken, 1);
    assert_eq!(store.replay("r").await.unwrap().unwrap().moved, 5);
}

pub(crate) async fn the_oldest_event_that_has_not_ended_is_told(ground: &Ground) {
    let store = &ground.store;
    assert_eq!(store.oldest_pending().await.unwrap(), None);
    store.commit(&commit(vec![event("a", 1, End::Delivered), event("b", 7, parked(99)), event("c", 9, parked(99))])).await.unwrap();
    assert_eq!(store.oldest_pending().await.unwrap(), Some(second(7)));
    for (id, kept) in [("a", None), ("b", Some(record("b")))] {
        let row = store.event(&shop(), &EventId::new(id)).await.unwrap().unwrap();
        assert_eq!(store.kept(TOPIC, &row).await.unwrap(), kept, "{id}");
    }
}

pub(crate) async fn what_did_not_read_when_it_died_is_replayed_as_the_event_it_is(ground: &Ground) {
    let store = &ground.store;
    store.commit(&commit(vec![event("a", 1, parked(10))])).await.unwrap();
    // As a version says that does not know this record's.
    let broken = Undecodable { partition: 3, offset: 1, record: record("a"), detail: "later".to_owned(), at: second(20), was_parked: true };
    store.commit(&Commit { undecodable: vec![broken], ..commit(Vec::new()) }).await.unwrap();
    assert_eq!(state(store, "a").await, State::Dead);
    assert_eq!(store.begin_replay(&order("r", Choice::default(), 100)).await.unwrap(), 1);
    assert_eq!(turn(store, "r", 9, second(200)).await, Some(Moved { moved: 1, done: true }));
    assert_eq!(state(store, "a").await, State::Parked);
    let again = Settled { settled_at: second(210), ..event("a", 1, parked(220)) };
    store.commit(&commit(vec![again])).await.unwrap();
    assert_eq!(store.due(TOPIC, &[3], second(220), 9).await.unwrap().rows.len(), 1, "it is tried again until it ends");
    assert_eq!(store.balance(TOPIC).await.unwrap().unaccounted(), 0);
}
