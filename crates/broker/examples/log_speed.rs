//! Measures the local log: how many appends a second it acknowledges, and how long each of them waits.
//!
//! `cargo run --release -p broker --example log_speed -- [directory] [writers] [seconds]`
#![allow(clippy::print_stdout, reason = "what it measures goes to the terminal")]

use std::path::PathBuf;
use std::time::Duration;

use broker::log::{Log, Options};
use events_proxy_core::envelope::Record;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// An event of 1 KiB, as the spool sees it.
fn record() -> Record {
    let headers = [("event-id", b"0f8fad5b-d9cb-469f-a165-70867728950e")].into_iter().collect();
    Record { key: b"shop\x000f8fad5b-d9cb-469f-a165-70867728950e".to_vec(), payload: vec![b'x'; 940], headers }
}

/// Runs the measurement in a directory of its own, and prints one line.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let writers: usize = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let dir = parent.join(format!("log-speed-{}", std::process::id()));
    let log = Log::open(&dir, &Options::default())?;
    let began = Instant::now();
    let until = began + Duration::from_secs(seconds);
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let log = log.clone();
        tasks.spawn(async move {
            let (record, mut waits) = (record(), Vec::new());
            while Instant::now() < until {
                let asked = Instant::now();
                log.append(std::slice::from_ref(&record)).await?;
                waits.push(asked.elapsed());
            }
            Ok::<_, broker::log::AppendError>(waits)
        });
    }
    let mut waits = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        waits.extend(ended??);
    }
    let rate = f64::from(u32::try_from(waits.len())?) / began.elapsed().as_secs_f64();
    waits.sort_unstable();
    let at = |permille: usize| waits.get(waits.len() * permille / 1_000).copied().unwrap_or_default();
    println!("{writers} writers: {rate:.0} appends/s, p50 {:?}, p99 {:?}, p99.9 {:?}", at(500), at(990), at(999));
    drop(log);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
