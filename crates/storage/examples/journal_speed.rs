//! Measures the journal: how many rows a second its busy calls write, and how long the questions of a console take when
//! that many rows are there. On PostgreSQL what goes beyond the calls that are measured is filled in by the server itself;
//! without a URL, on SQLite, it begins with what a row's trace id costs.
//!
//! `cargo run --release -p storage --example journal_speed -- [rows] [database url]`
#![allow(clippy::print_stdout, reason = "what it measures goes to the terminal")]
#![allow(clippy::disallowed_methods, reason = "the rows lie in the days that the journal keeps now; nothing is judged by time")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use events_proxy_core::envelope::Record;
use events_proxy_core::{Attempt, DeadReason, EventId, Moment, Outcome, SourceId, State};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbErr};
use storage::{Commit, End, Options, PublishedRow, Query, Search, Settled, Store};
use tokio::time::Instant;

/// Rows of one call.
const CALL: u64 = 500;
/// Over how many of the last days the events are spread.
const DAYS: u64 = 3;
/// How often each question is asked.
const ASKED: u32 = 20;
/// How many rows are written by calls where the server can write the others.
const CALLED: u64 = 100_000;
/// How many rows the server writes by one statement.
const FILLED: u64 = 500_000;

/// Fills a journal, then asks it.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let rows: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let file = format!("sqlite://{}?mode=rwc", directory.path().join("journal.db").display());
    let url = match arguments.next() {
        Some(url) => url,
        None => {
            by_trace_ids(rows).await?;
            file
        }
    };
    let store = Store::connect(&Options { url: url.clone(), max_connections: 4, acquire_timeout: Duration::from_secs(10) }).await?;
    store.migrate().await?;
    // The days that the rows will lie in.
    store.keep_journal(u32::try_from(DAYS)? + 1).await?;
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
    let span = DAYS * 86_400 * 1_000_000;
    let events = Events { rows, first: now - span, step: span / rows.max(1) };
    let called = if url.starts_with("postgres") { rows.min(CALLED) } else { rows };
    fill(&store, &Events { rows: called, ..events }).await?;
    let database = Database::connect(&url).await?;
    for from in (called..rows).step_by(usize::try_from(FILLED)?) {
        events.filled(&database, (from, (from + FILLED).min(rows))).await?;
    }
    if rows > called {
        database.execute_unprepared("ANALYZE journal; ANALYZE dead").await?;
    }
    ask(&store, &events).await
}

/// The events of the measurement: one in ten is still pending, one in a thousand dead.
struct Events {
    /// How many.
    rows: u64,
    /// When the first was received, in microseconds.
    first: u64,
    /// How long after the one before each was received, in microseconds.
    step: u64,
}

impl Events {
    /// The id of one: as sources make them, nothing about them rises.
    fn id(number: u64) -> EventId {
        EventId::new(format!("{number:012}").chars().rev().collect::<String>())
    }

    /// The source of one: one of a hundred.
    fn source(number: u64) -> SourceId {
        SourceId::new(format!("source-{}", number % 100))
    }

    /// One as ingest tells it.
    fn published(&self, number: u64) -> PublishedRow {
        let received_at = Moment::from_micros(i64::try_from(self.first + number * self.step).unwrap_or(i64::MAX));
        PublishedRow {
            source_id: Self::source(number),
            event_id: Self::id(number),
            name: format!("kind {}", number % 7),
            trace_id: format!("{number:032x}"),
            received_at,
            accepted_at: received_at.plus(Duration::from_millis(3)),
            published_at: received_at.plus(Duration::from_millis(8)),
            partition: u32::try_from(number % 24).unwrap_or_default(),
            offset: number / 24,
        }
    }

    /// Has the server write the same rows as the calls would.
    async fn filled(&self, database: &DatabaseConnection, (from, to): (u64, u64)) -> Result<(), DbErr> {
        let (first, step) = (self.first, self.step);
        let [published, dead, delivered] = [State::Published, State::Dead, State::Delivered].map(State::rank);
        let rows = format!(
            "SELECT n, 'source-' || n % 100 AS source, reverse(lpad(n::text, 12, '0')) AS event, lpad(to_hex(n), 32, '0') AS trace,
             {first} + n * {step} AS at, n % 10 <> 7 AS ended, n % 1000 = 0 AS died FROM generate_series({from}::bigint, {to}::bigint - 1) n"
        );
        let attempts =
            format!("'{}'", serde_json::to_string(&self.settled(1).attempts).expect("invariant: an attempt holds numbers and text"));
        let journal = format!(
            "INSERT INTO journal (source_id, event_id, day, name, trace_id, brand, state_rank, received_at, accepted_at, published_at, consumed_at,
             settled_at, \"partition\", \"offset\", attempts, dead_reason, dead_detail)
             SELECT source, event, at / 86400000000, 'kind ' || n % 7, trace, CASE WHEN ended THEN 'ours' END,
             CASE WHEN died THEN {dead} WHEN ended THEN {delivered} ELSE {published} END, at, at + 3000, at + 8000, CASE WHEN ended THEN at + 12000 END,
             CASE WHEN ended THEN at + 30000 END, n % 24, n / 24, CASE WHEN ended THEN {attempts} END, CASE WHEN died THEN 'refused' END,
             CASE WHEN died THEN 'not known' END FROM ({rows}) r"
        );
        let buried = format!(
            "INSERT INTO dead (topic, \"partition\", \"offset\", kind, reason, detail, source_id, event_id, name, trace_id, brand, received_at,
             consumed_at, died_at, attempts, record_key, record_payload, record_headers)
             SELECT 'events', n % 24, n / 24, 'refused', 'refused', 'not known', source, event, 'kind ' || n % 7, trace, 'ours', at, at + 12000,
             at + 30000, '[]', 'k', '{{}}', '\\x00' FROM ({rows}) r WHERE died"
        );
        database.execute_unprepared(&journal).await?;
        database.execute_unprepared(&buried).await?;
        Ok(())
    }

    /// One as a dispatcher tells it.
    fn settled(&self, number: u64) -> Settled {
        let PublishedRow { source_id, event_id, name, trace_id, received_at, partition, offset, .. } = self.published(number);
        let dead = number.is_multiple_of(1_000);
        let outcome = if dead { Outcome::Refused } else { Outcome::Delivered };
        let started_at = received_at.plus(Duration::from_millis(20));
        Settled {
            source_id,
            event_id,
            name,
            trace_id,
            brand: Some("ours".to_owned()),
            received_at,
            consumed_at: received_at.plus(Duration::from_millis(12)),
            settled_at: received_at.plus(Duration::from_millis(30)),
            partition,
            offset,
            attempts: vec![Attempt { number: 1, started_at, duration_us: 1_234, outcome, status: Some(200), detail: String::new() }],
            forgiven: 0,
            end: if dead { End::Dead { reason: DeadReason::Refused, detail: "not known".to_owned() } } else { End::Delivered },
            record: Record { key: b"k".to_vec(), payload: b"{}".to_vec(), ..Record::default() },
        }
    }
}

/// Writes published rows to a file, with trace ids that are random and with those that begin with their second; prints what each kind costs.
async fn by_trace_ids(rows: u64) -> Result<(), Box<dyn std::error::Error>> {
    let events = Events { rows, first: 1_764_344_789_000_000, step: 200 };
    println!("{rows} published rows, written by {CALL} at once");
    for (kind, begins_with_its_second) in [("random trace ids", false), ("begin with their second", true)] {
        let directory = tempfile::tempdir()?;
        let url = format!("sqlite://{}?mode=rwc", directory.path().join("journal.db").display());
        let store = Store::connect(&Options { url, max_connections: 1, acquire_timeout: Duration::from_secs(10) }).await?;
        store.migrate().await?;
        let (began, before) = (Instant::now(), written()?);
        for first in (0..rows).step_by(usize::try_from(CALL)?) {
            let told = |number: u64| {
                // An odd factor: no two numbers give the same.
                let chance = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let second = (events.first + number * events.step) / 1_000_000;
                let trace_id =
                    if begins_with_its_second { format!("{second:08x}{chance:024x}") } else { format!("{chance:016x}{number:016x}") };
                PublishedRow { trace_id, ..events.published(number) }
            };
            store.journal_published(&(first..(first + CALL).min(rows)).map(told).collect::<Vec<_>>()).await?;
        }
        let rows = f64::from(u32::try_from(rows)?);
        let (rate, written) = (rows / began.elapsed().as_secs_f64(), f64::from(u32::try_from((written()? - before) / 1024)?) / rows);
        println!("{kind:>28}  {rate:>7.0} rows/s, {written:.1} KiB written for each");
    }
    Ok(())
}

/// How many bytes this process has had written to disks.
fn written() -> Result<u64, Box<dyn std::error::Error>> {
    let told = std::fs::read_to_string("/proc/self/io")?;
    Ok(told.lines().find_map(|line| line.strip_prefix("write_bytes: ")).ok_or("the kernel counts no bytes")?.parse()?)
}

/// Writes all rows as ingest and dispatchers do.
async fn fill(store: &Store, events: &Events) -> Result<(), Box<dyn std::error::Error>> {
    let (mut news, mut known, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for first in (0..events.rows).step_by(usize::try_from(CALL)?) {
        let numbers = || first..(first + CALL).min(events.rows);
        let rows: Vec<PublishedRow> = numbers().map(|number| events.published(number)).collect();
        let keys: Vec<_> = rows.iter().map(|row| (row.source_id.clone(), row.event_id.clone())).collect();
        let settled = numbers().filter(|number| number % 10 != 7).map(|number| events.settled(number)).collect();
        let commit = Commit { topic: "events".to_owned(), partition: 3, progress: None, settled, undecodable: Vec::new() };
        let began = Instant::now();
        store.journal_published(&rows).await?;
        news.push(began.elapsed());
        let began = Instant::now();
        store.settled_among(&keys).await?;
        known.push(began.elapsed());
        let began = Instant::now();
        store.commit(&commit).await?;
        ends.push(began.elapsed());
    }
    println!("{} rows, written by {CALL} at once", events.rows);
    for (call, times) in [("journal_published", news), ("settled_among", known), ("commit", ends)] {
        let rate = f64::from(u32::try_from(events.rows)?) / times.iter().sum::<Duration>().as_secs_f64();
        println!("{call:>28}  {}, {rate:>7.0} rows/s", spread(times));
    }
    Ok(())
}

/// Asks what consoles and sources ask.
async fn ask(store: &Store, events: &Events) -> Result<(), Box<dyn std::error::Error>> {
    let middle = events.rows / 2;
    let (source, id) = (Events::source(middle), Events::id(middle));
    let all = Search { limit: 50, ..Search::default() };
    let to = Some(events.published(middle).received_at);
    println!("questions, each asked {ASKED} times");
    timed("one event by id", || store.event(&source, &id)).await?;
    timed("a source's page, the newest", || page(store, &source, None)).await?;
    timed("a source's page, delivered", || page(store, &source, Some(State::Delivered))).await?;
    for (question, search) in [
        ("search: the newest", all.clone()),
        ("search: before a moment", Search { to, ..all.clone() }),
        ("search: by id", Search { event_id: Some(id.clone()), ..all.clone() }),
        ("search: by trace", Search { trace_id: Some(events.published(middle).trace_id), ..all.clone() }),
        ("search: by name", Search { name: Some("kind 3".to_owned()), ..all.clone() }),
        ("search: a name nobody has", Search { name: Some("unheard of".to_owned()), ..all.clone() }),
        ("search: dead", Search { state: Some(State::Dead), ..all.clone() }),
        ("search: dead, by reason", Search { state: Some(State::Dead), reason: Some(DeadReason::Refused), ..all.clone() }),
        ("search: a source's dead", Search { state: Some(State::Dead), source_id: Some(Events::source(0)), ..all }),
    ] {
        timed(question, || store.search(&search)).await?;
    }
    timed("oldest pending", || store.oldest_pending()).await?;
    timed("dead by reason", || store.dead_groups()).await?;
    timed("counts by state", || store.counts()).await?;
    timed("balance", || store.balance("events")).await?;
    Ok(())
}

/// A page of a source's events.
async fn page(store: &Store, source: &SourceId, state: Option<State>) -> Result<storage::Page, storage::Error> {
    store.events(source, &Query { state, limit: 50, ..Query::default() }).await
}

/// Asks one question several times, and prints how long it took.
async fn timed<T, A>(question: &str, ask: impl Fn() -> A) -> Result<(), storage::Error>
where
    A: Future<Output = Result<T, storage::Error>>,
{
    let mut times = Vec::new();
    for _ in 0..ASKED {
        let began = Instant::now();
        ask().await?;
        times.push(began.elapsed());
    }
    println!("{question:>28}  {}", spread(times));
    Ok(())
}

/// The median and the longest of some times.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let millis = |at: usize| times.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3;
    format!("median {:>8.2} ms, longest {:>8.2} ms", millis(times.len() / 2), millis(times.len().saturating_sub(1)))
}
