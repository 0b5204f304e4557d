//! The command line of `events-proxy`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use simulators::program;

use crate::account::Account;
use crate::operate::{Limit, Replay};
use crate::reconcile::Reconcile;
use crate::reference;
use crate::spool::Spool;

/// What follows the options in `--help`.
const MORE: &str = "\
Settings come from the environment, for example
  TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL=50 TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS=1000 events-proxy
or from the TOML file that EVENTS_PROXY_CONFIG names. All of them, with their meaning: crates/chassis/src/defaults.toml.

Ctrl-C answers what is being asked, waits for the attempts in flight and says what stays; the next start goes on from there.
Exit codes: 0 stopped as asked, 1 failed, 64 a setting or an option is wrong.";

/// Accepts events, keeps each one safe, and delivers them no faster than the target allows – all in one process.
///
/// With a simulated source and a simulated target, nothing else has to run.
#[derive(Debug, Clone, Parser)]
#[command(name = "events-proxy", version, after_help = MORE, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Where accepted events, the journal and the demo's credentials are kept [default: DATA_DIR, which is `data`].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Don't run the simulated source: events come only from you.
    #[arg(long)]
    pub no_source: bool,
    /// Don't run the simulated target: deliver to TARGET_SERVICE_GRAPHQL_URL.
    #[arg(long)]
    pub no_target: bool,
    /// Write JSON logs even on a terminal, instead of the live view.
    #[arg(long)]
    pub log: bool,
    /// What to do instead of running.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of running.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Look into a spool that no process uses: what is there, whether it reads, and take it out.
    Spool(Spool),
    /// Say who may send events: add an account, give it another secret, disable it.
    Account(Account),
    /// Bring dead or parked events on their way again, follow that, and end it.
    Replay(Replay),
    /// Tell or change the target's limit, for all replicas and without a restart.
    Limit(Limit),
    /// Judge whether every event is accounted for, and name those that are not.
    Reconcile(Reconcile),
    /// Run the simulated source alone, as a process of its own.
    ///
    /// It is told by the environment: API_URL, SOURCE_SERVICE_TEST_USER_CREDENTIALS, SOURCE_SERVICE_SEND_EVENTS_INTERVAL_MS,
    /// SOURCE_GIVE_UP_MS, SOURCE_CONCURRENCY, SOURCE_COUNT, SOURCE_RECORD_FILE, LOG_FILTER, OTEL_EXPORTER_OTLP_ENDPOINT.
    Source,
    /// Run the simulated target alone, as a process of its own.
    ///
    /// It is told by the environment: LISTEN_ADDRESS, PORT, TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS,
    /// TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL, TARGET_FAILURE_SHARE, TARGET_FAILURES, TARGET_LATENCY_MS, TARGET_SLOW_MS,
    /// TARGET_RECORD_FILE, LOG_FILTER, OTEL_EXPORTER_OTLP_ENDPOINT.
    Target,
    /// Print the reference of metrics: every name, its labels and what it means, as a page of Markdown.
    Metrics,
}

impl Command {
    /// Does it, and says how to exit.
    ///
    /// # Errors
    /// It could not be done.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Spool(spool) => print(|out| spool.run(out)),
            Self::Account(account) => print(|out| account.run(out)),
            Self::Replay(replay) => print(|out| replay.run(out)),
            Self::Limit(limit) => print(|out| limit.run(out)),
            Self::Reconcile(reconcile) => print(|out| reconcile.run(out)),
            Self::Source => simulate(program::source()),
            Self::Target => simulate(program::target()),
            Self::Metrics => print(|out| Ok(out.write_all(reference::page().as_bytes()).map(|()| true)?)),
        }
    }
}

/// Does what prints; it fails when what was looked at is not as it should be.
fn print(does: impl FnOnce(&mut io::BufWriter<io::StdoutLock<'static>>) -> anyhow::Result<bool>) -> anyhow::Result<ExitCode> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let good = does(&mut out)?;
    out.flush()?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a simulator, which logs to standard output by itself.
fn simulate(simulator: impl Future<Output = ExitCode>) -> anyhow::Result<ExitCode> {
    Ok(tokio::runtime::Runtime::new().context("start a runtime")?.block_on(simulator))
}
