//! What is broken, for how long, and how it heals.

mod broker;
pub(crate) mod disk;
mod process;

use std::time::Duration;

use clap::ValueEnum;
use rand::Rng;
use rand::rngs::StdRng;

use crate::field::Field;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Nothing: what the others are compared with.
    Calm,
    /// A broker, leader of some partitions, is killed (SIGKILL) and started again.
    LeaderKilled,
    /// All brokers are killed, and started again after `--outage`.
    BrokersDown,
    /// The way to one broker becomes a black hole.
    BrokerBlackHole,
    /// The way to all brokers becomes a black hole.
    BlackHole,
    /// The way to all brokers becomes slow.
    SlowNetwork,
    /// A broker is paused (SIGSTOP) and goes on (SIGCONT).
    BrokerPaused,
    /// The way to the database is cut: connections break and new ones are closed.
    DatabaseDown,
    /// Ingest is killed (SIGKILL) ten times and started again each time.
    IngestKilled,
    /// The spool's file system, a small tmpfs, is filled up by somebody else and freed again.
    DiskFull,
    /// The spool's file system, a small ext4, finds an error and turns read-only; it stays so.
    DiskReadOnly,
    /// Ingest is killed in the middle of catching up after an outage.
    KilledCatchingUp,
    /// Ingest, as the first process of a container, is told to stop twice while no broker answers.
    StoppedTwice,
}

/// How long things last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// A fault, at most.
    pub(crate) fault: Duration,
    /// The outage of all brokers.
    pub(crate) outage: Duration,
}

impl Scenario {
    /// Its name, as the command line spells it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Settings that the processes need for it.
    pub(crate) fn settings(self, seed: u64, field: &std::path::Path) -> Vec<(&'static str, String)> {
        match self {
            Self::DiskFull => disk::small(seed, field),
            Self::DiskReadOnly => disk::spool_on_it(field, 0),
            Self::Calm
            | Self::LeaderKilled
            | Self::BrokersDown
            | Self::BrokerBlackHole
            | Self::BlackHole
            | Self::SlowNetwork
            | Self::BrokerPaused
            | Self::DatabaseDown
            | Self::IngestKilled
            | Self::KilledCatchingUp
            | Self::StoppedTwice => Vec::new(),
        }
    }

    /// Breaks something under load, and heals it.
    pub(crate) async fn play(self, field: &mut Field<'_>, pace: Pace, chance: &mut StdRng) -> anyhow::Result<()> {
        let lasts = pace.fault.mul_f64(chance.random_range(0.5..1.0));
        match self {
            Self::Calm => {
                tokio::time::sleep(lasts).await;
                Ok(())
            }
            Self::LeaderKilled => broker::killed(field, lasts, chance).await,
            Self::BrokersDown => broker::all_down(field, pace.outage).await,
            Self::BrokerBlackHole => broker::black_hole(field, lasts, Some(chance)).await,
            Self::BlackHole => broker::black_hole(field, lasts, None).await,
            Self::SlowNetwork => broker::slow(field, lasts).await,
            Self::BrokerPaused => broker::paused(field, lasts, chance).await,
            Self::DatabaseDown => process::database_down(field, lasts).await,
            Self::IngestKilled => process::killed(field, chance).await,
            Self::DiskFull => disk::full(field, lasts).await,
            Self::DiskReadOnly => disk::read_only(field, lasts).await,
            Self::KilledCatchingUp => process::killed_catching_up(field, lasts).await,
            Self::StoppedTwice => process::stopped_twice(field, lasts).await,
        }
    }

    /// Whether ingest itself goes away in it, so that some events find nobody.
    pub(crate) const fn takes_ingest_away(self) -> bool {
        matches!(self, Self::IngestKilled | Self::KilledCatchingUp | Self::StoppedTwice)
    }
}
