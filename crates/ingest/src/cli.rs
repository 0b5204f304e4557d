//! The command line of `ingest`.

use std::process::ExitCode;

use chassis::settings::EXIT_USAGE;
use clap::{Parser, Subcommand};

/// What follows the commands in `--help`.
const MORE: &str = "\
Without a command it serves. All else is told by the environment, or by the TOML file that EVENTS_PROXY_CONFIG names;
every setting with its meaning: crates/chassis/src/defaults.toml.

SIGTERM answers what is being asked and brings the spool to the topic; what is left stays in SPOOL_DIR for the next start.
Exit codes: 0 done, or stopped as asked; 1 failed; 64 a setting or an argument is wrong.";

/// Accepts events, keeps each one safe, and brings them to the topic.
#[derive(Debug, Clone, Parser)]
#[command(name = "ingest", version, after_help = MORE, disable_help_subcommand = true)]
struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do instead of serving; both may be repeated, and run several times at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Bring the database that USER_REPOSITORY_URL names up to date, and end.
    Migrate,
    /// Make the topic QUEUE_TOPIC with QUEUE_PARTITIONS and QUEUE_COPIES unless it is there, and end.
    Topic,
}

/// Reads the command line; none means to serve.
///
/// # Errors
/// The exit code, when help was asked for or an argument is wrong; that has been said then.
pub fn command() -> Result<Option<Command>, ExitCode> {
    Cli::try_parse().map(|cli| cli.command).map_err(|error| {
        drop(error.print());
        if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
    })
}
