//! How many rows a second the two busy calls take. A measurement, not a law: it judges nothing and is run by hand.
//!
//! `cargo test -p storage --test conformance throughput -- --ignored --nocapture --test-threads 1`

use std::time::Duration;

use events_proxy_core::Outcome;
use storage::{Commit, End, PublishedRow, Settled};
use tokio::time::Instant;

use crate::ground::Ground;
use crate::sample::{TOPIC, attempt, commit, dead, own, parked, published, settled, to};

/// Calls of each kind.
const CALLS: u64 = 60;
/// Rows of each call.
const ROWS: u64 = 500;

fn event(call: u64, row: u64) -> (String, u64) {
    // Ids as sources make them: nothing about them rises.
    let offset = call * ROWS + row;
    (format!("{:016x}-{:016x}", offset.wrapping_mul(0x9e37_79b9_7f4a_7c15), offset), offset)
}

fn ended(call: u64, row: u64, end: End) -> Settled {
    let (event, offset) = event(call, row);
    Settled { attempts: vec![attempt(1, Outcome::Delivered)], ..settled(&event, offset, end) }
}

/// Prints rows per second, and the calls' median and slowest.
fn tell(what: &str, mut took: Vec<Duration>) {
    let total: Duration = took.iter().sum();
    took.sort();
    let rows = f64::from(u32::try_from(took.len() as u64 * ROWS).unwrap()) / total.as_secs_f64();
    println!("{what:>28}: {rows:>8.0} rows/s, a call of {ROWS}: median {:?}, slowest {:?}", took[took.len() / 2], took[took.len() - 1]);
}

async fn measure(ground: &Ground) {
    let (mut news, mut ends, mut mixed, mut asked) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    own(&ground.store, TOPIC).await;
    for call in 0..CALLS {
        let rows: Vec<PublishedRow> = (0..ROWS).map(|row| event(call, row)).map(|(event, offset)| published(&event, offset)).collect();
        let keys: Vec<_> = rows.iter().map(|row| (row.source_id.clone(), row.event_id.clone())).collect();
        let all = Commit { progress: to(call * ROWS), ..commit((0..ROWS).map(|row| ended(call, row, End::Delivered)).collect()) };
        let start = Instant::now();
        ground.store.journal_published(&rows).await.unwrap();
        news.push(start.elapsed());
        let start = Instant::now();
        ground.store.settled_among(&keys).await.unwrap();
        asked.push(start.elapsed());
        let start = Instant::now();
        ground.store.commit(&all).await.unwrap();
        ends.push(start.elapsed());
    }
    for call in CALLS..CALLS + 10 {
        let end = |row| {
            if row % 10 == 0 {
                parked(row)
            } else if row % 10 == 1 {
                dead()
            } else {
                End::Delivered
            }
        };
        let some = commit((0..ROWS).map(|row| ended(call, row, end(row))).collect());
        let start = Instant::now();
        ground.store.commit(&some).await.unwrap();
        mixed.push(start.elapsed());
    }
    tell("journal_published", news);
    tell("settled_among", asked);
    tell("commit, all delivered", ends);
    tell("commit, 10 % parked, 10 % dead", mixed);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn throughput_on_a_sqlite_file() {
    measure(&Ground::file().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn throughput_on_postgresql() {
    measure(&Ground::server().await).await;
}
