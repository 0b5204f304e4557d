//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::scenario::Scenario;

/// Breaks brokers, database, disk and processes while events come in, and checks that every 202 was kept.
#[derive(Debug, Clone, Parser)]
#[command(name = "chaos", version)]
pub(crate) struct Cli {
    /// Decides what is broken when; a failure says which seed brings it back. None takes one at random.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// How often each scenario is run.
    #[arg(long, default_value_t = 1)]
    pub(crate) runs: u32,
    /// Only these; may be given several times. None means all.
    #[arg(long = "scenario", value_enum)]
    pub(crate) scenarios: Vec<Scenario>,
    /// How long a fault lasts, in seconds; each run takes between half and all of it.
    #[arg(long, default_value_t = 4.0)]
    pub(crate) fault: f64,
    /// How long all brokers are down, in seconds.
    #[arg(long, default_value_t = 60.0)]
    pub(crate) outage: f64,
    /// How many events come in per second.
    #[arg(long, default_value_t = 200)]
    pub(crate) rate: u32,
    /// Where the brokers live, and the disk that turns read-only. None takes memory (/dev/shm) if 2 GiB are free there, so that a
    /// stall of the spool's disk is not theirs too, else the directory for temporary files.
    #[arg(long, value_name = "DIR")]
    pub(crate) brokers: Option<PathBuf>,
    /// Where to keep logs of processes; a failed run's are kept in any case.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}
