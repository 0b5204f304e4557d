//! What a backlog costs in memory: 200,000 events that were accepted, and ten million that a start finds on the topic.

use std::io::{StdoutLock, Write};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::load::{self, Until};
use crate::process::Product;
use crate::recovery::fill;

/// How many events are accepted.
const ACCEPTED: u64 = 200_000;
/// Connections that send them.
const CONNECTIONS: u16 = 32;
/// How many events lie on the topic.
const FOUND: u64 = 10_000_000;
/// How long the process is left alone before its memory is looked at.
const SETTLED: Duration = Duration::from_secs(5);
/// How often it is asked for the age of the oldest.
const ASKED: u32 = 20;

/// Measures both and prints them.
pub(crate) fn measure(out: &mut StdoutLock<'_>, directory: &Path) -> anyhow::Result<()> {
    accepted(out, &directory.join("backlog"))?;
    found(out, &directory.join("found"))
}

/// Memory with events that were just accepted.
fn accepted(out: &mut StdoutLock<'_>, data: &Path) -> anyhow::Result<()> {
    let product = Product::start(data)?;
    let token = product.log_in()?;
    let before = product.used()?.resident_mib;
    let sent = load::run(product.address, &token, CONNECTIONS, ("backlog", Until::Sent(ACCEPTED / u64::from(CONNECTIONS))))?;
    std::thread::sleep(Duration::from_secs(3));
    let grown = product.used()?.resident_mib - before;
    writeln!(out, "\nbacklog  {:>8} events accepted: {grown:+.1} MiB resident over idle ({} refused)", sent.accepted, sent.other)?;
    Ok(())
}

/// Memory with millions of events on the topic, and how soon the age of the oldest is told.
fn found(out: &mut StdoutLock<'_>, data: &Path) -> anyhow::Result<()> {
    let room = [("SPOOL_MAX_BYTES", (1_u64 << 36).to_string())];
    let idle = Product::start_with(data, &room)?;
    std::thread::sleep(SETTLED);
    let before = idle.used()?.resident_mib;
    drop(idle);
    let bytes = fill(&data.join("topic").join("000"), FOUND)?;
    let product = Product::start_with(data, &room)?;
    std::thread::sleep(SETTLED);
    let (mut longest, mut oldest) = (Duration::ZERO, 0.0_f64);
    for _ in 0..ASKED {
        let began = Instant::now();
        oldest = product.figure("events_pending_oldest_age_seconds")?;
        longest = longest.max(began.elapsed());
    }
    let pending: u64 = product.figure("dispatch_partition_lag{partition=\"0\"}")?;
    let (grown, ready) = (product.used()?.resident_mib - before, product.ready.as_secs_f64());
    writeln!(
        out,
        "         {pending:>8} events found on the topic, {} MiB: first answer after {ready:.2} s, {grown:+.1} MiB resident over idle;\n\
         \x20        the oldest, {oldest:.0} s, told in {:.1} ms at the longest of {ASKED}",
        bytes >> 20,
        longest.as_secs_f64() * 1_000.0,
    )?;
    anyhow::ensure!(pending > FOUND - FOUND / 1_000, "not all events are pending");
    Ok(())
}
