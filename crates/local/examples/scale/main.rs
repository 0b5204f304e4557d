//! What one dispatcher more brings, and what a pod needs: `make scale` prints both as tables for `docs/operations`.
//!
//! Real processes on a real Kafka and PostgreSQL. First a backlog is delivered by one, two and four dispatchers, under several
//! limits, to a target that takes long for each call. Then events come and go at a steady rate, and what `ingest` and
//! `dispatcher` use of CPU and memory is read from the kernel; then the same where the kernel gives them no more than their requests.

mod confine;

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context, ensure};
use chaos::installation::{Installation, PARTITIONS};
use chaos::source::Source;
use simulators::target::{Options, RATE_REQUESTS_MAX, Target};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use confine::confine;

/// Limits per second that are compared: below what one dispatcher delivers, above it, and out of reach.
const LIMITS: [u32; 3] = [50, 150, 1_000];
/// How many dispatchers are compared.
const DISPATCHERS: [u32; 3] = [1, 2, 4];
/// How long the target takes for a call while dispatchers are compared.
const CALL: Duration = Duration::from_millis(100);
/// How many calls a dispatcher has in flight at most meanwhile.
const IN_FLIGHT: u32 = 10;
/// How many events wait for dispatchers that are compared: more than they deliver.
const BACKLOG: u32 = 20_000;
/// How long partitions take to be where they belong.
const SETTLING: Duration = Duration::from_secs(12);
/// How long is measured.
const TURN: Duration = Duration::from_secs(10);
/// Events per second while use is read.
const STEADY: u32 = 500;
/// How long the target takes for a call while use is read.
const STEADY_CALL: Duration = Duration::from_millis(5);
/// What the chart requests for a pod: thousandths of a core, and MiB.
const REQUESTS: (u32, u32) = (100, 64);
/// Sources that send a backlog at once.
const SOURCES: u32 = 10;
/// Sources that send at a steady rate: so many that none waits for an answer when its next event is due.
const STEADY_SOURCES: u32 = 50;
/// How long a source waits for its way in, and for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures both and prints them; with the argument `pods` what a pod needs alone.
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    chassis::tls::install();
    let mut out = io::stdout();
    if std::env::args().nth(1).as_deref() != Some("pods") {
        compare(&mut out).await?;
    }
    writeln!(out, "\nwhat one pod of each uses at {STEADY} events/s that come and go\n")?;
    go_steadily(&mut out, None).await?;
    let (millicores, memory_mib) = REQUESTS;
    writeln!(out, "\nthe same with each pod held to {millicores}m of CPU and {memory_mib}Mi of memory\n")?;
    go_steadily(&mut out, Some(REQUESTS)).await
}

/// Compares numbers of dispatchers under each limit.
async fn compare(out: &mut impl Write) -> anyhow::Result<()> {
    let counts = DISPATCHERS.map(|count| format!(" {count} |")).concat();
    writeln!(out, "events/s by so many dispatchers with {IN_FLIGHT} calls of {} ms in flight\n", CALL.as_millis())?;
    writeln!(out, "| limit |{counts} useful by the rule |\n|---|{}---|", "---|".repeat(DISPATCHERS.len()))?;
    for limit in LIMITS {
        deliver(out, limit).await?;
    }
    Ok(())
}

/// A target without a limit of its own that takes so long for a call.
fn target(latency: Duration) -> anyhow::Result<Target> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
    let options = Options { rate_interval: Duration::from_secs(1), rate_requests: RATE_REQUESTS_MAX, latency, ..Options::default() };
    Target::start(options, listener, CancellationToken::new()).context("start the target")
}

/// Delivers a backlog under a limit by more and more dispatchers.
async fn deliver(out: &mut impl Write, limit: u32) -> anyhow::Result<()> {
    let target = target(CALL)?;
    let in_flight = [("DELIVERY_IN_FLIGHT_MAX", IN_FLIGHT.to_string())];
    let mut installation = Installation::start(target.address(), limit, &in_flight).await?;
    let source = Source::log_in(installation.port, PATIENCE, PATIENCE).await?;
    let mut lanes = JoinSet::new();
    for lane in 0..SOURCES {
        lanes.spawn(send(source.clone(), lane, BACKLOG / SOURCES, None));
    }
    let backlog = u32::try_from(lanes.join_all().await.iter().map(Vec::len).sum::<usize>())?;
    write!(out, "| {limit} per s |")?;
    for dispatchers in DISPATCHERS {
        installation.scale(dispatchers)?;
        sleep(SETTLING).await;
        write!(out, " {:.0} |", received(&target).await?)?;
        out.flush()?;
        ensure!(target.numbers().distinct < u64::from(backlog), "the backlog was too short");
    }
    let each = f64::from(IN_FLIGHT) / CALL.as_secs_f64();
    let useful = (f64::from(limit) / each).ceil().min(f64::from(PARTITIONS));
    writeln!(out, " {useful:.0} |")?;
    Ok(())
}

/// Measures how many calls a target receives per second.
async fn received(target: &Target) -> anyhow::Result<f64> {
    let (before, began) = (target.numbers().received, Instant::now());
    sleep(TURN).await;
    let calls = u32::try_from(target.numbers().received - before).context("count calls")?;
    Ok(f64::from(calls) / began.elapsed().as_secs_f64())
}

/// Lets events come and go at a steady rate, and tells what that takes; of pods that are held to their requests if there are any.
async fn go_steadily(out: &mut impl Write, requests: Option<(u32, u32)>) -> anyhow::Result<()> {
    // Dropped last: a group can go when its process has ended.
    let mut confined = Vec::new();
    let target = target(STEADY_CALL)?;
    let mut installation = Installation::start(target.address(), RATE_REQUESTS_MAX, &[]).await?;
    installation.scale(1)?;
    let source = Source::log_in(installation.port, PATIENCE, PATIENCE).await?;
    if let Some((millicores, memory_mib)) = requests {
        for pod in installation.pods()? {
            confined.push(confine(pod, millicores, memory_mib)?);
        }
    }
    let each = STEADY / STEADY_SOURCES * u32::try_from((SETTLING + TURN * 2).as_secs())?;
    let every = Duration::from_secs(1) * STEADY_SOURCES / STEADY;
    let mut lanes = JoinSet::new();
    for lane in 0..STEADY_SOURCES {
        // One after the other, so that the events are as far apart as they can be.
        let pace = interval_at(Instant::now() + every * lane / STEADY_SOURCES, every);
        lanes.spawn(send(source.clone(), lane, each, Some(pace)));
    }
    sleep(SETTLING).await;
    let (before, began) = (installation.used()?, Instant::now());
    let rate = received(&target).await?;
    let (after, passed) = (installation.used()?, began.elapsed());
    writeln!(out, "| pod | events/s | CPU | resident memory |\n|---|---|---|---|")?;
    for ((name, before), after) in ["ingest", "dispatcher"].into_iter().zip(before).zip(after) {
        let millicores = after.cpu.saturating_sub(before.cpu).as_secs_f64() / passed.as_secs_f64() * 1e3;
        writeln!(out, "| {name} | {rate:.0} | {millicores:.0}m | {:.0} MiB |", after.resident_mib)?;
    }
    let mut answers: Vec<Duration> = lanes.join_all().await.into_iter().flatten().collect();
    let (ended, sent) = (Instant::now(), u64::from(each * STEADY_SOURCES));
    ensure!(answers.len() == usize::try_from(sent)?, "{} of {sent} events were accepted", answers.len());
    while target.numbers().distinct < sent {
        ensure!(ended.elapsed() < PATIENCE, "{} of {sent} events arrived", target.numbers().distinct);
        sleep(Duration::from_millis(10)).await;
    }
    answers.sort_unstable();
    let at = |hundredths: usize| answers.get(answers.len() * hundredths / 100).or(answers.last()).map_or(0, Duration::as_millis);
    writeln!(
        out,
        "\nof {sent} events all were accepted, half within {} ms, 99 of 100 within {} ms, the slowest within {} ms, by the source's clock from \
         when each was due; the last one was delivered {} ms after the last answer",
        at(50),
        at(99),
        at(100),
        ended.elapsed().as_millis()
    )?;
    Ok(())
}

/// Sends events one after the other, at a pace if there is one; tells how long each that was accepted took.
async fn send(source: Source, lane: u32, events: u32, mut pace: Option<Interval>) -> Vec<Duration> {
    let mut accepted = Vec::new();
    for number in 0..events {
        let due = if let Some(pace) = &mut pace { pace.tick().await } else { Instant::now() };
        if source.send(&format!("scale-{lane}-{number}"), None).await == Some(202) {
            accepted.push(due.elapsed());
        }
    }
    accepted
}
