//! What a source waits for its answer in calm: half as many events as the product sustains, evenly, by the source's clock. Beside it
//! a bare handler with the same group-commit fsync: how much of the longest waits is the disk's.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::load::{self, Until};
use crate::process::{Peer, Product};
use crate::{CONNECTIONS, median};

/// How long events come before a turn of the product: reads of the spool give way for 10 s, and not again before the turn is over.
const BEFORE: Duration = Duration::from_secs(13);
/// How long each turn is.
const TURN: Duration = Duration::from_secs(8);
/// How many turns.
const ROUNDS: usize = 3;

/// Measures both in turn at half of a sustained rate in events per second, and prints the medians.
pub(crate) fn measure(out: &mut impl Write, (directory, product): (&Path, &Product), (token, rate): (&str, f64)) -> anyhow::Result<()> {
    let fsync = Peer::start(&["serve-fsync", &directory.join("half").display().to_string()])?;
    let every = Duration::from_secs(2).mul_f64(f64::from(CONNECTIONS) / rate);
    let turn = |address, name: &str, time| load::run(address, token, CONNECTIONS, (name, Until::Paced(every, time)));
    let (mut bare, mut seen) = (Vec::new(), Vec::new());
    turn(fsync.address, "warm", Duration::from_secs(1))?;
    for round in 0..ROUNDS {
        bare.push(turn(fsync.address, &format!("bare-{round}"), TURN)?);
        turn(product.address, &format!("before-{round}"), BEFORE)?;
        seen.push(turn(product.address, &format!("half-{round}"), TURN)?);
        product.settle()?;
    }
    anyhow::ensure!(bare.iter().all(|seen| seen.other == 0), "the handler with an fsync refused events");
    let refused: u64 = seen.iter().map(|seen| seen.other).sum();
    let rate = median(&seen, 0);
    writeln!(
        out,
        "\nhalf     {rate:.0} events/s, half of what is sustained, from when each was due, medians of {ROUNDS} turns of {} s, {refused} refused",
        TURN.as_secs()
    )?;
    writeln!(out, "         {:<14}{:>12}{:>10}{:>10}", "", "p50 ms", "p99 ms", "p99.9 ms")?;
    for (name, turns) in [("with fsync", bare), ("events-proxy", seen)] {
        let [p50, p99, p999] = [500, 990, 999].map(|of| median(&turns, of));
        writeln!(out, "         {name:<14}{p50:>12.2}{p99:>10.2}{p999:>10.2}")?;
    }
    Ok(())
}
