//! Laws of what lasts: migrations, the end of a process, a commit that fails.

use events_proxy_core::{DeadReason, EventId, SourceId, State};
use storage::{Account, Commit, Due, End, Error, NewSession, Rotated, Rotation, Store};
use tokio::task::JoinSet;

use crate::ground::Ground;
use crate::sample::{TOPIC, commit, dead, due, id, offsets, own, parked, published, row, second, settle, settled, shop, to};

pub(crate) async fn migrating_again_changes_nothing(ground: &Ground) {
    settle(&ground.store, "a", 1, End::Delivered).await;
    let before = row(&ground.store, "a").await;
    assert_eq!(ground.store.migrate().await.unwrap(), 0);
    ground.store.ping().await.unwrap();
    assert_eq!(row(&ground.store, "a").await, before);
}

pub(crate) async fn two_processes_may_migrate_at_once(ground: &Ground) {
    const TABLES: [&str; 12] = [
        "refresh_token",
        "session",
        "account",
        "journal",
        "parked",
        "dead",
        "dispatch_member",
        "dispatch_partition",
        "expired",
        "pace_slot",
        "replay",
        "seaql_migrations",
    ];
    for round in 0..3 {
        ground.run(&TABLES.iter().map(|table| format!("DROP TABLE {table};")).collect::<String>()).await;
        let stores = [ground.another().await, ground.another().await, ground.another().await];
        let migrated = tokio::join!(stores[0].migrate(), stores[1].migrate(), stores[2].migrate());
        let (Ok(one), Ok(other), Ok(third)) = migrated else { panic!("round {round}: {migrated:?}") };
        let mut steps = [one, other, third];
        steps.sort_unstable();
        assert!(matches!(steps, [0, 0, run] if run > 0), "round {round}: each step is run once, by one of them: {steps:?}");
        settle(&stores[2], "a", 1, End::Delivered).await;
    }
}

pub(crate) async fn an_older_version_goes_on_beside_a_newer_ones_steps(ground: &Ground) {
    ground.run("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_of_a_newer_version', 0)").await;
    assert_eq!(ground.store.migrate().await.unwrap(), 0);
    settle(&ground.store, "a", 1, End::Delivered).await;
}

pub(crate) async fn two_processes_may_write_at_once(ground: &Ground) {
    let mut writers = JoinSet::new();
    for writer in 0..6u8 {
        let store = if writer % 2 == 0 { ground.store.clone() } else { ground.another().await };
        writers.spawn(async move {
            let session = NewSession {
                id: format!("s{writer}"),
                account_id: shop(),
                ip: "10.0.0.1".to_owned(),
                started_at: second(0),
                token_hash: [writer; 32],
                token_expires_at: second(99),
            };
            store.open_session(&session).await.unwrap();
            for round in 0..30 {
                let (spent_hash, next_hash) = ([writer + round * 6; 32], [writer + (round + 1) * 6; 32]);
                let rotation = Rotation { spent_hash, next_hash, ip: session.ip.clone(), now: second(1), next_expires_at: second(99) };
                assert!(matches!(store.rotate(&rotation).await.unwrap(), Rotated::Done(_)), "writer {writer}, round {round}");
            }
        });
    }
    writers.join_all().await;
}

pub(crate) async fn everything_survives_the_end_of_the_process(ground: &Ground) {
    let account = Account { id: shop(), auth_id: "shop".to_owned(), secret_hash: "hash".to_owned(), brand: Some("ours".to_owned()) };
    ground.store.put_account(&account).await.unwrap();
    ground.store.journal_published(&[published("a", 1), published("z", 9)]).await.unwrap();
    let ends = vec![settled("a", 1, End::Delivered), settled("b", 2, dead()), settled("c", 3, parked(9))];
    own(&ground.store, TOPIC).await;
    ground.store.commit(&Commit { progress: to(4), ..commit(ends) }).await.unwrap();

    /// All that was stored above.
    async fn stored(store: &Store) -> impl PartialEq + std::fmt::Debug {
        let rows = [row(store, "a").await, row(store, "b").await, row(store, "c").await, row(store, "z").await];
        let (due, dead) = (due(store, 9).await, store.dead_letters(9).await.unwrap());
        let (offsets, counts) = (offsets(store, TOPIC).await, store.counts().await.unwrap());
        (rows, due, dead, offsets, counts, store.account("shop").await.unwrap(), store.brands().await.unwrap())
    }
    let reopened = ground.another().await;
    reopened.migrate().await.unwrap();
    assert_eq!(stored(&reopened).await, stored(&ground.store).await);
    assert_eq!(offsets(&reopened, TOPIC).await, [(3, 4)]);
}

pub(crate) async fn a_commit_that_fails_leaves_nothing(ground: &Ground) {
    ground.run("ALTER TABLE parked RENAME TO elsewhere").await;
    let ends = vec![settled("a", 1, End::Delivered), settled("b", 2, dead()), settled("c", 3, parked(9))];
    own(&ground.store, TOPIC).await;
    let commit = Commit { progress: to(4), ..commit(ends) };
    assert!(matches!(ground.store.commit(&commit).await, Err(Error::Refused(_))));
    assert_eq!(ground.store.event(&SourceId::new("shop"), &EventId::new("a")).await.unwrap(), None);
    assert_eq!(ground.store.dead_letters(9).await.unwrap(), []);
    assert_eq!(offsets(&ground.store, TOPIC).await, []);
    ground.run("ALTER TABLE elsewhere RENAME TO parked").await;
    ground.store.commit(&commit).await.unwrap();
    assert_eq!(ground.store.event(&shop(), &id("a")).await.unwrap().unwrap().offset, 1);
}

pub(crate) async fn a_parked_row_that_does_not_read_is_told_apart_and_dies_with_its_payload(ground: &Ground) {
    for (event, offset) in [("a", 1), ("b", 2), ("c", 3)] {
        settle(&ground.store, event, offset, parked(10)).await;
    }
    ground.run(r#"UPDATE parked SET record_headers = record_payload WHERE "offset" = 1"#).await;
    ground.run(r#"UPDATE parked SET attempts = 'none' WHERE "offset" = 3"#).await;
    let Due { rows, broken } = ground.store.due(TOPIC, &[3], second(99), 9).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.offset).collect::<Vec<_>>(), [2]);
    for (broken, event, offset, column) in [(&broken[0], "a", 1, "record_headers"), (&broken[1], "c", 3, "attempts")] {
        let whole = settled(event, offset, parked(10)).record;
        assert_eq!((broken.offset, broken.at, &broken.record.payload), (offset, second(99), &whole.payload));
        assert!(broken.was_parked && broken.detail.contains(column), "{}", broken.detail);
        assert!(column == "record_headers" || broken.record == whole, "what reads is kept: {:?}", broken.record);
    }
    for _again in 0..2 {
        ground.store.commit(&storage::Commit { undecodable: broken.clone(), ..commit(Vec::new()) }).await.unwrap();
    }
    assert_eq!(ground.store.due(TOPIC, &[3], second(99), 9).await.unwrap().rows.len(), 1);
    for (event, state) in [("a", State::Dead), ("b", State::Parked), ("c", State::Dead)] {
        let row = row(&ground.store, event).await;
        assert_eq!((row.state, row.dead_reason), (state, (state == State::Dead).then_some(DeadReason::Undecodable)));
    }
    assert_eq!(ground.store.dead_letters(9).await.unwrap().len(), 2);
    assert_eq!(ground.store.balance(TOPIC).await.unwrap().unaccounted(), 0);
}
