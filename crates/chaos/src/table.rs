//! What the runs saw, one line for each scenario.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use crate::load::Sent;
use crate::scenario::Scenario;

/// What the runs of one scenario saw, together.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// How many runs.
    runs: u32,
    /// Events sent.
    sent: u64,
    /// Answered with 202.
    accepted: u64,
    /// Answered with 202, and never at the target.
    lost: u64,
    /// Answered with anything else.
    refused: BTreeMap<u16, u64>,
    /// Not answered.
    silent: u64,
    /// Repeats at the target.
    repeated: u64,
    /// 202 answers that ingest itself counts as late.
    late: u64,
    /// How long each answer took.
    took: Vec<Duration>,
}

/// What one run saw.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Each event.
    pub(crate) sent: Vec<Sent>,
    /// Accepted ones that are not at the target.
    pub(crate) lost: u64,
    /// Repeats at the target.
    pub(crate) repeated: u64,
    /// 202 answers that ingest itself counts as late.
    pub(crate) late: u64,
}

impl Line {
    /// Adds a run.
    pub(crate) fn add(&mut self, seen: &Seen) {
        self.runs += 1;
        self.lost += seen.lost;
        self.repeated += seen.repeated;
        self.late += seen.late;
        for event in &seen.sent {
            self.sent += 1;
            match event.status {
                Some(202) => self.accepted += 1,
                Some(other) => *self.refused.entry(other).or_default() += 1,
                None => self.silent += 1,
            }
            if event.status.is_some() {
                self.took.push(event.took);
            }
        }
    }

    /// A latency that so many thousandths of the answers stayed within, in milliseconds.
    fn within(&self, thousandths: usize) -> f64 {
        let place = self.took.len().saturating_sub(1).saturating_mul(thousandths) / 1_000;
        self.took.get(place).map_or(0.0, |took| took.as_secs_f64() * 1e3)
    }
}

/// Prints the table.
pub(crate) fn print(lines: &mut [(Scenario, Line)], out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "\n{:<20}{:>5}{:>9}{:>9}{:>6}{:>9}{:>11}{:>9}{:>6}{:>9}{:>9}{:>9}",
        "scenario", "runs", "events", "202", "lost", "non-2xx", "no answer", "repeats", "late", "p50 ms", "p99.9", "max"
    )?;
    for (scenario, line) in lines {
        line.took.sort_unstable();
        let refused: u64 = line.refused.values().sum();
        writeln!(
            out,
            "{:<20}{:>5}{:>9}{:>9}{:>6}{:>9}{:>11}{:>9}{:>6}{:>9.1}{:>9.1}{:>9.1}",
            scenario.name(),
            line.runs,
            line.sent,
            line.accepted,
            line.lost,
            refused,
            line.silent,
            line.repeated,
            line.late,
            line.within(500),
            line.within(999),
            line.within(1_000)
        )?;
        for (status, count) in &line.refused {
            writeln!(out, "{:<20}{count} × {status}", "")?;
        }
    }
    writeln!(
        out,
        "\nlost: answered 202 and never at the target. late: 202 answers that ingest counts as past its deadline. no answer: ingest was down."
    )
}
