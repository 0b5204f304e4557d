//! Laws of the journal.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use events_proxy_core::{DeadReason, EventId, Moment, SourceId, State};
use storage::{Counts, Cursor, End, JournalRow, Options, PAGE_ROWS_MAX, Page, PublishedRow, Query, Search, Settled, Store};

use crate::ground::Ground;
use crate::sample::{commit, dead, id, parked, published, row, second, settle, settled, shop, state};

pub(crate) async fn a_published_event_is_found_with_its_times(ground: &Ground) {
    ground.store.journal_published(&[published("a", 17)]).await.unwrap();
    let expected = JournalRow {
        source_id: shop(),
        event_id: id("a"),
        name: "order placed".to_owned(),
        trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
        brand: None,
        state: State::Published,
        received_at: second(17),
        accepted_at: Some(second(18)),
        published_at: Some(second(19)),
        consumed_at: None,
        settled_at: None,
        next_attempt_at: None,
        partition: 3,
        offset: 17,
        attempts: Vec::new(),
        dead_reason: None,
        dead_detail: None,
        replays: 0,
    };
    assert_eq!(row(&ground.store, "a").await, expected);
    assert_eq!(ground.store.event(&shop(), &id("b")).await.unwrap(), None);
    assert_eq!(ground.store.event(&SourceId::new("bank"), &id("a")).await.unwrap(), None);
}

pub(crate) async fn an_event_told_twice_stays_as_it_was_first_told(ground: &Ground) {
    ground.store.journal_published(&[]).await.unwrap();
    ground.store.journal_published(&[published("a", 1)]).await.unwrap();
    let first = row(&ground.store, "a").await;
    ground.store.journal_published(&[published("a", 9)]).await.unwrap();
    assert_eq!(row(&ground.store, "a").await, first);
}

pub(crate) async fn a_row_only_moves_forward_in_whatever_order_it_is_told(ground: &Ground) {
    let ends = [None, Some(parked(50)), Some(dead()), Some(End::Delivered)];
    for (first, one) in ends.iter().enumerate() {
        for (second, other) in ends.iter().enumerate() {
            let event = format!("{first} then {second}");
            for end in [one, other] {
                match end {
                    None => ground.store.journal_published(&[published(&event, 1)]).await.unwrap(),
                    Some(end) => settle(&ground.store, &event, 1, end.clone()).await,
                }
            }
            let highest = [State::Published, State::Parked, State::Dead, State::Delivered][first.max(second)];
            assert_eq!(state(&ground.store, &event).await, highest, "{event}");
        }
    }
}

pub(crate) async fn an_event_published_after_its_delivery_gets_its_times(ground: &Ground) {
    settle(&ground.store, "a", 7, End::Delivered).await;
    let before = row(&ground.store, "a").await;
    assert_eq!((before.accepted_at, before.published_at), (None, None));
    ground.store.journal_published(&[published("a", 7)]).await.unwrap();
    let complete = JournalRow { accepted_at: Some(second(8)), published_at: Some(second(9)), ..before };
    assert_eq!(row(&ground.store, "a").await, complete);
    assert_eq!(complete.attempts.len(), 2);
    assert_eq!((complete.consumed_at, complete.settled_at), (Some(second(10)), Some(second(11))));
    assert_eq!(complete.brand.as_deref(), Some("ours"));
}

pub(crate) async fn the_later_of_two_parkings_stays(ground: &Ground) {
    let mut later = settled("a", 7, parked(90));
    later.settled_at = second(60);
    later.attempts.truncate(1);
    for parking in [settled("a", 7, parked(50)), later, settled("a", 7, parked(70))] {
        ground.store.commit(&commit(vec![parking])).await.unwrap();
    }
    let row = row(&ground.store, "a").await;
    assert_eq!((row.next_attempt_at, row.settled_at, row.attempts.len()), (Some(second(90)), Some(second(60)), 1));
}

pub(crate) async fn more_rows_than_one_statement_takes_are_written(ground: &Ground) {
    let rows: Vec<PublishedRow> = (0..1_201).map(|n| published(&format!("e{n}"), n)).collect();
    ground.store.journal_published(&rows).await.unwrap();
    assert_eq!(ground.store.counts().await.unwrap().published, 1_201);
    let ways = [End::Delivered, dead(), parked(5)];
    let ends = (0..1_201).zip(ways.iter().cycle()).map(|(n, end)| settled(&format!("e{n}"), n, end.clone()));
    ground.store.commit(&commit(ends.collect())).await.unwrap();
    let counts = ground.store.counts().await.unwrap();
    assert_eq!((counts.published, counts.delivered, counts.dead, counts.parked), (0, 401, 400, 400));
}

pub(crate) async fn an_event_twice_in_one_call_is_one_row(ground: &Ground) {
    ground.store.journal_published(&[published("a", 1), published("b", 2), published("a", 3)]).await.unwrap();
    assert_eq!(row(&ground.store, "a").await.offset, 1);
    assert_eq!(ground.store.counts().await.unwrap().published, 2);
}

/// Reads all pages of a query.
async fn all_pages(ground: &Ground, query: Query) -> Vec<Page> {
    let mut pages = Vec::new();
    let mut cursor = None;
    loop {
        let page = ground.store.events(&shop(), &Query { cursor, ..query.clone() }).await.unwrap();
        cursor = page.next.clone();
        pages.push(page);
        if cursor.is_none() {
            return pages;
        }
    }
}

/// The ids on these pages.
fn ids(pages: &[Page]) -> Vec<&str> {
    pages.iter().flat_map(|page| &page.rows).map(|row| row.event_id.as_str()).collect()
}

pub(crate) async fn pages_follow_each_other_without_gap_or_overlap(ground: &Ground) {
    // Five of one moment, spelled so that a locale would order them otherwise; then one each in later seconds.
    let same_moment = ["B", "a", "_", "ä", "A"].map(|event| PublishedRow { received_at: second(0), ..published(event, 0) });
    ground.store.journal_published(&same_moment).await.unwrap();
    ground.store.journal_published(&[published("y", 2), published("x", 1), published("z", 3)]).await.unwrap();
    let expected = ["z", "y", "x", "A", "B", "_", "a", "ä"];
    for limit in 1..=9 {
        let pages = all_pages(ground, Query { limit, ..Query::default() }).await;
        assert_eq!(ids(&pages), expected, "by {limit}");
        assert_eq!(pages.len(), 8usize.div_ceil(limit as usize), "no page is empty");
    }
    let first = ground.store.events(&shop(), &Query { limit: 0, ..Query::default() }).await.unwrap();
    assert_eq!(first.next, Some(Cursor { received_at: second(3), event_id: id("z") }), "at least one row comes");
    let many: Vec<PublishedRow> = (0..300).map(|n| published(&format!("m{n}"), n)).collect();
    ground.store.journal_published(&many).await.unwrap();
    let page = ground.store.events(&shop(), &Query { limit: u32::MAX, ..Query::default() }).await.unwrap();
    assert_eq!(page.rows.len(), PAGE_ROWS_MAX as usize);
}

pub(crate) async fn pages_keep_to_what_is_asked_for(ground: &Ground) {
    let rows: Vec<PublishedRow> = (0..6).map(|n| published(&format!("e{n}"), n)).collect();
    ground.store.journal_published(&rows).await.unwrap();
    settle(&ground.store, "e1", 1, End::Delivered).await;
    settle(&ground.store, "e4", 4, End::Delivered).await;
    let delivered = Query { state: Some(State::Delivered), limit: 1, ..Query::default() };
    assert_eq!(ids(&all_pages(ground, delivered.clone()).await), ["e4", "e1"]);
    let between = Query { from: Some(second(1)), to: Some(second(4)), limit: 2, ..Query::default() };
    assert_eq!(ids(&all_pages(ground, between.clone()).await), ["e3", "e2", "e1"]);
    let both = Query { state: delivered.state, ..between };
    assert_eq!(ids(&all_pages(ground, both).await), ["e1"]);
    settle(&ground.store, "e5", 5, dead()).await;
    let refused = Query { reason: Some(DeadReason::Refused), limit: 5, ..Query::default() };
    assert_eq!(ids(&all_pages(ground, refused).await), ["e5"]);
    let other = PublishedRow { name: "order paid".to_owned(), ..published("paid", 7) };
    ground.store.journal_published(&[other]).await.unwrap();
    let paid = Query { name: Some("order paid".to_owned()), limit: 5, ..Query::default() };
    assert_eq!(ids(&all_pages(ground, paid).await), ["paid"]);
}

pub(crate) async fn a_source_sees_its_own_events_only(ground: &Ground) {
    let bank = PublishedRow { source_id: SourceId::new("bank"), ..published("a", 1) };
    ground.store.journal_published(&[bank, published("b", 2)]).await.unwrap();
    let pages = all_pages(ground, Query { limit: 10, ..Query::default() }).await;
    assert_eq!(ids(&pages), ["b"]);
}

pub(crate) async fn counts_are_by_state(ground: &Ground) {
    assert_eq!(ground.store.counts().await.unwrap(), Counts::default());
    ground.store.journal_published(&[published("a", 1), published("b", 2)]).await.unwrap();
    settle(&ground.store, "c", 3, End::Delivered).await;
    settle(&ground.store, "d", 4, dead()).await;
    settle(&ground.store, "e", 5, parked(50)).await;
    let counts = ground.store.counts().await.unwrap();
    assert_eq!(counts, Counts { accepted: 0, published: 2, parked: 1, dead: 1, delivered: 1 });
    assert_eq!(State::ALL.map(|state| counts.of(state)), [0, 2, 1, 1, 1]);
}

pub(crate) async fn text_with_a_nul_is_kept_without_it(ground: &Ground) {
    let event = PublishedRow { name: "a\0b".to_owned(), ..published("n\0l", 1) };
    ground.store.journal_published(&[event]).await.unwrap();
    let mut end = settled("n\0l", 1, dead());
    end.brand = Some("\0".to_owned());
    end.attempts[0].detail = "\0x\\u0000".to_owned();
    if let End::Dead { detail, .. } = &mut end.end {
        "\0why".clone_into(detail);
    }
    ground.store.commit(&commit(vec![end.clone()])).await.unwrap();
    let row = row(&ground.store, "n\0l").await;
    assert_eq!((row.event_id, row.name.as_str(), row.brand.as_deref()), (id("n\u{fffd}l"), "a\u{fffd}b", Some("\u{fffd}")));
    assert_eq!(row.attempts[0].detail, "\u{fffd}x\\u0000");
    assert_eq!(row.dead_detail.as_deref(), Some("\u{fffd}why"));
    let letters = ground.store.dead_letters(1).await.unwrap();
    assert_eq!(letters[0].record, end.record, "bytes keep their NULs");
    let key = (shop(), EventId::new("n\0l"));
    assert!(ground.store.settled_among(std::slice::from_ref(&key)).await.unwrap().contains(&key), "asked for as it was told");
}

/// The time of the machine, by which the database makes days and lets them go.
#[expect(clippy::disallowed_methods, reason = "the database has its own clock")]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

pub(crate) async fn days_that_are_over_go_and_later_ones_stay(ground: &Ground) {
    let today = now().as_secs() / 86_400;
    let days_ago = |days: u64| Moment::from_micros(i64::try_from((today - days) * 86_400_000_000 + 7).unwrap());
    let events = [("now", 0), ("kept", 2), ("over", 3), ("long over", 400)];
    let rows = events.map(|(event, days)| PublishedRow { received_at: days_ago(days), ..published(event, 1) });
    ground.store.journal_published(&rows).await.unwrap();
    let still = async || {
        let page = ground.store.events(&shop(), &Query { limit: 9, ..Query::default() }).await.unwrap();
        ids(&[page]).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        ground.store.keep_journal(2).await.unwrap();
        assert_eq!(still().await, ["now", "kept"]);
    }
    // What comes late for a day that went finds a place all the same, and goes the next time.
    settle_at(ground, "over", days_ago(3)).await;
    assert_eq!(state(&ground.store, "over").await, State::Delivered);
    ground.store.keep_journal(2).await.unwrap();
    assert_eq!(still().await, ["now", "kept"]);
    settle_at(ground, "kept", days_ago(2)).await;
    assert_eq!(state(&ground.store, "kept").await, State::Delivered);
}

/// Settles an event that was received at that moment.
async fn settle_at(ground: &Ground, event: &str, received_at: Moment) {
    let end = storage::Settled { received_at, ..settled(event, 1, End::Delivered) };
    ground.store.commit(&commit(vec![end])).await.unwrap();
}

pub(crate) async fn an_event_sent_again_on_another_day_is_known_by_its_furthest_row(ground: &Ground) {
    settle(&ground.store, "a", 1, End::Delivered).await;
    let again = PublishedRow { received_at: second(200_000), ..published("a", 9) };
    ground.store.journal_published(&[again]).await.unwrap();
    assert_eq!(state(&ground.store, "a").await, State::Delivered);
    let key = (shop(), id("a"));
    assert!(ground.store.settled_among(std::slice::from_ref(&key)).await.unwrap().contains(&key), "and is not delivered twice");
}

pub(crate) async fn news_of_publication_alone_is_committed_without_an_fsync(ground: &Ground) {
    ground
        .run(
            "CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF (current_setting('synchronous_commit') = 'off') <> (NEW.published_at IS NOT NULL) THEN
                    RAISE EXCEPTION 'synchronous_commit is %', current_setting('synchronous_commit');
                END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER judge BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION judge()",
        )
        .await;
    // On one connection: a setting that stays behind meets whoever comes next.
    let store = Store::connect(&Options { max_connections: 1, ..ground.options.clone() }).await.unwrap();
    for round in 0..2 {
        store.journal_published(&[published(&format!("told-{round}"), round)]).await.unwrap();
        settle(&store, &format!("settled-{round}"), round, End::Delivered).await;
    }
}

pub(crate) async fn a_day_of_many_rows_without_a_table_holds_up_no_other_day(ground: &Ground) {
    let today = now().as_secs() / 86_400;
    // Nobody made a table for days: dispatchers were at zero.
    for (day, rows) in [(today, 25_000), (today - 1, 12), (today - 400, 12_000)] {
        let columns = r#"source_id, event_id, day, name, trace_id, state_rank, received_at, "partition", "offset""#;
        let values = format!("'shop', number::text, {day}, 'order', 'none', 1, {day} * 86400000000, 0, number");
        ground.run(&format!("INSERT INTO journal ({columns}) SELECT {values} FROM generate_series(1, {rows}) AS number")).await;
    }
    ground.store.keep_journal(2).await.unwrap();
    let tables = [(today - 2, true), (today - 1, true), (today, false), (today + 1, true), (today + 2, true)];
    let tables = tables.map(|(day, there)| format!("(to_regclass('journal_d{day}') IS NOT NULL) = {there}")).join(" AND ");
    ground
        .run(&format!(
            "DO $$ BEGIN
                ASSERT {tables}, 'other days have tables';
                ASSERT (SELECT count(*) FROM journal_rest) = 25000, 'and their rows; what is over is gone';
                ASSERT (SELECT count(*) FROM journal) = 25012, 'no other row is';
            END $$"
        ))
        .await;
}

pub(crate) async fn names_of_any_length_are_written_and_found(ground: &Ground) {
    // The tables of days are what has the indexes.
    ground.store.keep_journal(1).await.unwrap();
    let now = Moment::from_micros(i64::try_from(now().as_micros()).unwrap());
    // A thousand letters of four bytes each, which no database makes much shorter.
    let letter = |at: u32, seed: u32| char::from_u32(0x2_0000 + (at.wrapping_mul(2_654_435_761) ^ seed) % 40_000).unwrap();
    let name = |seed| (0..1_000).map(|at| letter(at, seed)).collect::<String>();
    let (long, other) = (name(1), name(1).chars().take(999).chain(['x']).collect::<String>());
    let rows =
        [("a", &long), ("b", &other)].map(|(event, name)| PublishedRow { name: name.clone(), received_at: now, ..published(event, 1) });
    ground.store.journal_published(&rows).await.unwrap();
    let ends =
        [("a", &long), ("c", &long)].map(|(event, name)| Settled { name: name.clone(), received_at: now, ..settled(event, 2, dead()) });
    ground.store.commit(&commit(ends.to_vec())).await.unwrap();
    let search = Search { name: Some(long), limit: 9, ..Search::default() };
    let found = ground.store.search(&search).await.unwrap().rows;
    assert_eq!(found.iter().map(|row| row.event_id.as_str()).collect::<Vec<_>>(), ["a", "c"], "those that begin alike are other names");
}
