//! The life of the program: prepare the ground, play the scenarios, print what was seen.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Cli;
use crate::field::Field;
use crate::ground::Ground;
use crate::scenario::{Pace, Scenario, disk};
use crate::table::{self, Line, Seen};

/// The directory of the brokers, among what must be quick.
const BROKERS: &str = "brokers";
/// How much must be free in memory for what lives there.
const ROOM_BYTES: u64 = 2 << 30;
/// How long a load runs before something is broken, and after it is healed.
const CALM: Duration = Duration::from_millis(1_500);

/// Runs the program from its command line to its exit code.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let ended = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start").and_then(|runtime| {
        runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate()).context("listen for signals")?;
            // Dropping the runs ends every process that they started.
            tokio::select! {
                ended = all(&cli) => ended,
                _ = terminate.recv() => anyhow::bail!("told to stop"),
                _ = tokio::signal::ctrl_c() => anyhow::bail!("told to stop"),
            }
        })
    });
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            drop(writeln!(io::stderr(), "chaos: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Plays everything; false when something was not as promised.
async fn all(cli: &Cli) -> anyhow::Result<bool> {
    let seed = cli.seed.unwrap_or_else(rand::random);
    let quick = directory(&cli.brokers.clone().unwrap_or_else(memory))?;
    writeln!(io::stdout(), "seed {seed}: three brokers in {}, one database, {} events/s", quick.path().display(), cli.rate)?;
    let good = rounds(cli, seed, quick.path()).await;
    if cli.keep.is_some() || !matches!(good, Ok(true)) {
        keep(&quick.path().join(BROKERS), cli).ok(); // there are none if it failed before them
    }
    good
}

/// Plays each scenario as often as was asked for; what must be quick lives in a directory of its own.
async fn rounds(cli: &Cli, seed: u64, quick: &Path) -> anyhow::Result<bool> {
    let (home, mut out) = (directory(&std::env::temp_dir())?, io::stdout());
    let ground = Ground::prepare(quick.to_owned(), &quick.join(BROKERS)).await?;
    warm_up(&ground, cli, (seed, &home.path().join("warm-up"))).await?;
    let scenarios = if cli.scenarios.is_empty() { <Scenario as clap::ValueEnum>::value_variants() } else { cli.scenarios.as_slice() };
    let mut lines: Vec<(Scenario, Line)> = scenarios.iter().map(|scenario| (*scenario, Line::default())).collect();
    let mut good = true;
    for round in 0..cli.runs {
        for (scenario, line) in &mut lines {
            let seed = seed.wrapping_add(u64::from(round));
            let dir = home.path().join(format!("{}-{round}", scenario.name()));
            std::fs::create_dir_all(&dir).context("make a directory")?;
            let played = one(&ground, *scenario, (seed, &dir), cli).await;
            ground.heal();
            let failed = match played {
                Ok(seen) => {
                    line.add(&seen);
                    let refused = seen.sent.iter().filter(|event| event.status.is_some_and(|status| status != 202)).count();
                    let unanswered = seen.sent.iter().filter(|event| event.status.is_none()).count();
                    let bad = seen.lost > 0 || refused > 0 || (unanswered > 0 && !scenario.takes_ingest_away());
                    bad.then(|| format!("{} lost, {refused} refused, {unanswered} without an answer", seen.lost))
                }
                Err(error) => Some(format!("{error:#}")),
            };
            let verdict = failed.as_deref().unwrap_or("good");
            writeln!(out, "{:<20} round {round} seed {seed}: {verdict}", scenario.name())?;
            if failed.is_some() {
                good = false;
            }
            if failed.is_some() || cli.keep.is_some() {
                keep(&dir, cli)?;
            }
            std::fs::remove_dir_all(&dir).ok();
        }
    }
    table::print(&mut lines, &mut out)?;
    Ok(good)
}

/// Sends events in calm that nobody judges: brokers that have just started take ten times as long to answer, until their virtual machine
/// has compiled what it runs.
async fn warm_up(ground: &Ground, cli: &Cli, (seed, dir): (u64, &Path)) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).context("make a directory")?;
    let warm = one(ground, Scenario::Calm, (seed, dir), cli).await;
    if warm.is_err() {
        keep(dir, cli)?;
    }
    warm.map(drop).context("warm the brokers up")
}

/// Where what must be quick lives unless that is said: in memory, if there is room.
fn memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let free = rustix::fs::statvfs(memory).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize));
    if free >= ROOM_BYTES { memory.to_owned() } else { std::env::temp_dir() }
}

/// Makes a directory of this program's own.
fn directory(within: &Path) -> anyhow::Result<TempDir> {
    let made = tempfile::Builder::new().prefix("events-proxy-chaos").tempdir_in(within);
    made.with_context(|| format!("make a directory in {}", within.display()))
}

/// One run of one scenario.
async fn one(ground: &Ground, scenario: Scenario, (seed, dir): (u64, &Path), cli: &Cli) -> anyhow::Result<Seen> {
    let mut chance = StdRng::seed_from_u64(seed);
    let pace = Pace { fault: Duration::from_secs_f64(cli.fault), outage: Duration::from_secs_f64(cli.outage) };
    let small = disk::mount(scenario, dir, &ground.quick)?;
    let mut field = Field::prepare(ground, dir, cli.rate, &scenario.settings(seed, dir)).await?;
    let load = field.load(&format!("{}-{seed}", scenario.name())).await?;
    tokio::time::sleep(CALM.mul_f64(chance.random_range(0.5..1.0))).await;
    let played = scenario.play(&mut field, pace, &mut chance).await;
    ground.heal();
    tokio::time::sleep(CALM).await;
    let sent = load.end().await;
    played?;
    let obligations: HashSet<String> = sent.iter().filter(|event| event.status == Some(202)).map(|event| event.id.clone()).collect();
    let kept = field.receives(&obligations).await;
    let lost = u64::try_from(field.missing(&obligations)?.len()).unwrap_or(u64::MAX);
    if lost > 0 {
        drop(writeln!(io::stderr(), "chaos: seed {seed}: {:#}", kept.err().unwrap_or_else(|| anyhow::anyhow!("lost"))));
    }
    let late = field.figure("accepted_late_total").await.unwrap_or_default();
    let seen = Seen { sent, lost, repeated: field.repeated(), late: format!("{late:.0}").parse().unwrap_or_default() };
    drop((field, small));
    Ok(seen)
}

/// Keeps a run's logs where they can be looked at.
fn keep(dir: &Path, cli: &Cli) -> anyhow::Result<()> {
    let to = cli.keep.clone().unwrap_or_else(|| std::env::temp_dir().join("events-proxy-chaos-failed"));
    let to = to.join(dir.file_name().unwrap_or_default());
    std::fs::create_dir_all(&to).context("keep logs")?;
    for entry in std::fs::read_dir(dir).context("keep logs")? {
        let path = entry.context("keep logs")?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            std::fs::copy(&path, to.join(name)).context("keep logs")?;
        }
    }
    writeln!(io::stdout(), "  logs are kept in {}", to.display()).context("tell")
}
