//! What several dispatchers do while they are killed, frozen, stopped and scaled: `make chaos-dispatch` prints it.
//!
//! Real processes on a real Kafka and PostgreSQL, with a backlog throughout and a target that fails a tenth of its requests
//! and throttles all of them now and then.
//! Faults come from a seed: `make chaos-dispatch SEED=7 SPAN=300` repeats their order (not their timing to the millisecond).
//! What is judged: nothing is lost; no rolling window of the target's own clock holds more than its limit; each repeated
//! event was in flight when its process ended, or its answer was lost, and came under one key; take-overs are in time; a
//! throttled dispatcher makes all of them pause.

mod fleet;
mod judge;
mod target;

use std::collections::HashSet;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep, timeout};

use fleet::{End, Fleet};
use judge::Judge;
use target::Watched;

/// The target's limit per second.
const LIMIT: u32 = 60;
/// How long everything may take to come right after the last fault.
const HEALING: Duration = Duration::from_secs(420);
/// How long a zombie sleeps.
const SLEEP: Duration = Duration::from_secs(30);
/// How long the target throttles everything, before each fault.
const THROTTLE: Duration = Duration::from_secs(2);

/// What the command line says.
struct Asked {
    /// Where faults come from.
    seed: u64,
    /// How long they come.
    span: Duration,
}

/// Runs, prints, and fails if a law was broken.
#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    chassis::tls::install();
    let asked = asked()?;
    let directory = tempfile::tempdir().context("make a directory")?;
    let watched = Watched::start(directory.path(), LIMIT)?;
    let mut fleet = Fleet::start(directory.path(), &watched.url(), LIMIT).await?;
    let events = usize::try_from(u64::from(LIMIT) * asked.span.as_secs()).context("count events")?;
    say(&format!("seed {}, {} s, {events} events, limit {LIMIT}/s", asked.seed, asked.span.as_secs()))?;
    let accepted = fleet.send(events).await?;
    ensure!(accepted.len() > events * 9 / 10, "only {} of {events} events were accepted", accepted.len());
    fleet.scale(1)?;
    let began = Instant::now();
    wreck(&mut fleet, &watched, &asked).await?;
    say(&format!("no more faults after {:.0} s; what is left is delivered", began.elapsed().as_secs_f64()))?;
    let drained = timeout(HEALING, drain(&mut fleet, &watched, &accepted)).await;
    fleet.stop().await?;
    let lost = watched.missing(&accepted)?;
    let judge = Judge {
        accepted,
        lost,
        arrivals: watched.arrivals(),
        throttles: watched.throttles(),
        ends: fleet.ends().to_vec(),
        gaps: fleet.gaps().to_vec(),
        limit: LIMIT,
    };
    let holds = judge.print(&mut io::stdout().lock())?;
    Ok(if holds && drained.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads the command line.
fn asked() -> anyhow::Result<Asked> {
    let mut asked = Asked { seed: rand::rng().random_range(0..1_000_000), span: Duration::from_secs(300) };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value: u64 =
            arguments.next().and_then(|value| value.parse().ok()).with_context(|| format!("read the number after {argument}"))?;
        match argument.as_str() {
            "--seed" => asked.seed = value,
            "--seconds" => asked.span = Duration::from_secs(value),
            other => bail!("unknown argument `{other}`; there are --seed and --seconds"),
        }
    }
    Ok(asked)
}

/// Lets faults happen: on one dispatcher, then on four, then on two.
async fn wreck(fleet: &mut Fleet, watched: &Watched, asked: &Asked) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(asked.seed);
    let began = Instant::now();
    while began.elapsed() < asked.span {
        let third = began.elapsed().as_secs() * 3 / asked.span.as_secs().max(1);
        fleet.scale([1, 4, 2].get(usize::try_from(third)?).copied().unwrap_or(2))?;
        sleep(Duration::from_millis(random.random_range(3_000..7_000))).await;
        watched.look();
        watched.throttle(THROTTLE)?;
        sleep(THROTTLE + Duration::from_millis(random.random_range(1_000..4_000))).await;
        watched.look();
        let end = [End::Killed, End::Frozen, End::Stopped].get(random.random_range(0..3)).copied().unwrap_or(End::Killed);
        let chosen = random.random_range(0..fleet.len().max(1));
        let gap = fleet.end(chosen, end, SLEEP, || watched.look()).await?;
        let (at, dispatchers) = (began.elapsed().as_secs_f64(), fleet.len());
        say(&format!("{at:>6.1} s  {:<8} of {dispatchers}: taken over {:.1} s later", end.word(), gap.as_secs_f64()))?;
    }
    Ok(())
}

/// Waits until the target has everything.
async fn drain(fleet: &mut Fleet, watched: &Watched, accepted: &HashSet<String>) -> anyhow::Result<()> {
    fleet.scale(2)?;
    while watched.missing(accepted)? > 0 {
        sleep(Duration::from_secs(1)).await;
        watched.look();
    }
    // Ends of attempts whose answer was lost come a little later.
    sleep(Duration::from_secs(8)).await;
    watched.look();
    Ok(())
}

/// Prints a line.
fn say(line: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{line}").context("print")
}
