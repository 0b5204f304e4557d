//! What accepting and delivering an event costs: `make bench` and `make bench-kafka` print it.
//!
//! Three servers answer the same requests in turn, each a process of its own, on the machine's cores that the load shares:
//! a bare handler (parses the JSON, verifies the token, stores nothing), the same with a group-commit fsync, and the
//! product with all that it does. Absolute figures say more about the machine than about the code; read the ratios.

mod attack;
mod backlog;
mod deliver;
mod half;
mod kafka;
mod load;
mod process;
mod recording;
mod recovery;
mod servers;
mod storm;

use std::io::{self, StdoutLock, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use chaos::process::used;

use load::{Seen, Until};
use process::{Peer, Product};

/// Connections of the load.
const CONNECTIONS: u16 = 32;
/// How long one server is loaded at a time.
const TURN: Duration = Duration::from_secs(4);
/// How often each server has its turn.
const ROUNDS: usize = 3;

/// What can be measured alone, in the order in which everything is; the last of them takes services and is measured by its name alone.
const PARTS: [Part; 7] = [
    ("accept", accept),
    ("attack", attack::measure),
    ("backlog", backlog::measure),
    ("traces", recording::measure),
    ("recovery", recovery::measure),
    ("deliver", deliver::measure),
    (KAFKA, kafka::measure),
];

/// The part that takes services.
const KAFKA: &str = "kafka";

/// A part's name, and what measures it in a directory and prints it.
type Part = (&'static str, fn(&mut StdoutLock<'_>, &Path) -> anyhow::Result<()>);

/// Plays the server that the first argument names, or measures the parts that are named, all that take no services where none is.
fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    match first.as_deref() {
        Some("serve-bare") => servers::serve(None),
        Some("serve-fsync") => servers::serve(Some(Path::new(&arguments.next().context("say a directory")?))),
        Some("serve-target") => deliver::serve_target(&arguments.next().context("say how many milliseconds an answer takes")?),
        Some("serve-receiver") => recording::serve_receiver(),
        _ => measure(&first.into_iter().chain(arguments).collect::<Vec<String>>()),
    }
}

/// Measures the named parts and prints them.
fn measure(named: &[String]) -> anyhow::Result<()> {
    let names = PARTS.map(|(name, _)| name);
    if let Some(other) = named.iter().find(|name| !names.contains(&name.as_str())) {
        anyhow::bail!("unknown part `{other}`: name some of {}, or none to measure all but `{KAFKA}`", names.join(", "));
    }
    let directory = tempfile::tempdir().context("make a directory")?;
    let mut out = io::stdout().lock();
    let ticks = stolen();
    for (name, part) in PARTS {
        if named.is_empty() && name != KAFKA || named.iter().any(|wanted| wanted == name) {
            part(&mut out, directory.path())?;
        }
    }
    if let (Some(before), Some(after)) = (ticks, stolen()) {
        let share = after.0.saturating_sub(before.0) * 100 / after.1.saturating_sub(before.1).max(1);
        writeln!(out, "\nmachine  its host took {share} % of the CPUs meanwhile; above some 5 % the ratios are not to be trusted either")?;
    }
    Ok(())
}

/// The start, memory when idle, the rate of acceptance, and that under a storm of log-ins.
fn accept(out: &mut StdoutLock<'_>, directory: &Path) -> anyhow::Result<()> {
    let product = Product::start(&directory.join("product"))?;
    std::thread::sleep(Duration::from_secs(1));
    let idle = product.used()?.resident_mib;
    writeln!(out, "start    {:>8.0} ms from the process start to the first answer", product.ready.as_secs_f64() * 1e3)?;
    writeln!(out, "memory   {idle:>8.1} MiB resident when idle")?;
    let token = product.log_in()?;
    let rate = rates(out, directory, &product, &token)?;
    half::measure(out, (directory, &product), (&token, rate))?;
    storm::measure(out, &product, &token)
}

/// The CPU time that the machine's host took from it, and all CPU time, in ticks; none where the kernel does not say.
fn stolen() -> Option<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> = stat.lines().next()?.split_ascii_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
    Some((*ticks.last()?, ticks.iter().sum()))
}

/// Loads the servers in turn and prints the medians; tells the rate that the product sustains.
fn rates(out: &mut impl Write, directory: &Path, product: &Product, token: &str) -> anyhow::Result<f64> {
    let bare = Peer::start(&["serve-bare"])?;
    let log = directory.join("fsync").display().to_string();
    let fsync = Peer::start(&["serve-fsync", &log])?;
    let servers: [(&str, SocketAddr, u32); 3] = [
        ("bare handler", bare.address, bare.id()),
        ("with fsync", fsync.address, fsync.id()),
        ("events-proxy", product.address, product.id()),
    ];
    let (mut seen, mut costs, mut sustained): ([Vec<Seen>; 3], [Vec<f64>; 3], Vec<f64>) = Default::default();
    for round in 0..=ROUNDS {
        for (((name, address, process), seen), costs) in servers.iter().zip(&mut seen).zip(&mut costs) {
            let turn = if round == 0 { Duration::from_secs(1) } else { TURN };
            let before = used(*process)?.cpu;
            let one = load::run(*address, token, CONNECTIONS, (&format!("r{round}"), Until::Passed(turn)))?;
            anyhow::ensure!(one.other == 0, "{name} refused {} of {} events", one.other, one.accepted + one.other);
            let cost = micros_each(used(*process)?.cpu - before, one.accepted);
            // Nobody shares the machine with what the product does later.
            let later = product.settle()?;
            if round > 0 {
                if *address == product.address {
                    sustained.push(one.rate() * one.ran.as_secs_f64() / (one.ran + later).as_secs_f64());
                }
                seen.push(one);
                costs.push(cost);
            }
        }
    }
    writeln!(out, "\naccept   {CONNECTIONS} connections, ~300 B events, medians of {ROUNDS} turns of {} s", TURN.as_secs())?;
    writeln!(
        out,
        "         {:<14}{:>12}{:>10}{:>10}{:>10}{:>9}{:>14}",
        "", "events/s", "p50 ms", "p99 ms", "p99.9 ms", "of bare", "CPU µs/event"
    )?;
    let medians = seen.map(|turns| [0, 500, 990, 999].map(|of| median(&turns, of)));
    let rate_of_bare = medians.first().map_or(1.0, |[rate, ..]| *rate);
    for (((name, ..), [rate, p50, p99, p999]), costs) in servers.iter().zip(medians).zip(costs) {
        let (share, cost) = (rate / rate_of_bare, middle(costs));
        writeln!(out, "         {name:<14}{rate:>12.0}{p50:>10.2}{p99:>10.2}{p999:>10.2}{share:>9.2}{cost:>14.1}")?;
    }
    let sustained = middle(sustained);
    writeln!(out, "         sustained, until all of it is on the topic and in the journal: {sustained:.0} events/s")?;
    Ok(sustained)
}

/// The CPU time of one of so many events, in microseconds.
fn micros_each(cpu: Duration, events: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / f64::from(u32::try_from(events).unwrap_or(u32::MAX))
}

/// The median over all turns of a latency quantile in thousandths, or of the rate when that is 0.
fn median(turns: &[Seen], of: usize) -> f64 {
    middle(turns.iter().map(|seen| if of == 0 { seen.rate() } else { seen.quantile(of) }).collect())
}

/// The median of some values.
fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
