//! The command line of `events-proxy`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

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
    /// Print the reference of metrics: every name, its labels and what it means, as a page of Markdown.
    Metrics,
}

impl Command {
    /// Does it; false when what was looked at is not as it should be.
    ///
    /// # Errors
    /// It could not be done.
    pub fn run(&self, out: &mut impl Write) -> anyhow::Result<bool> {
        match self {
            Self::Spool(spool) => spool.run(out),
            Self::Account(account) => account.run(out),
            Self::Replay(replay) => replay.run(out),
            Self::Limit(limit) => limit.run(out),
            Self::Reconcile(reconcile) => reconcile.run(out),
            Self::Metrics => Ok(out.write_all(reference::page().as_bytes()).map(|()| true)?),
        }
    }
}
