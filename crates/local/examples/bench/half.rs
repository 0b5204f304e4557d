//! What a source waits for its answer in calm: half as many events as the product sustains, evenly, by the source's clock.

use std::io::Write;
use std::time::Duration;

use crate::load::{self, Until};
use crate::process::Product;
use crate::{CONNECTIONS, median};

/// How long events come before the first turn: reads of the spool give way for 10 s, and not again before these turns are over.
const BEFORE: Duration = Duration::from_secs(13);
/// How long each turn is.
const TURN: Duration = Duration::from_secs(8);
/// How many turns.
const ROUNDS: usize = 3;

/// Measures it at half of a sustained rate in events per second, and prints it.
pub(crate) fn measure(out: &mut impl Write, product: &Product, (token, rate): (&str, f64)) -> anyhow::Result<()> {
    let every = Duration::from_secs(2).mul_f64(f64::from(CONNECTIONS) / rate);
    product.settle()?;
    let turn = |name: &str, time| load::run(product.address, token, CONNECTIONS, (name, Until::Paced(every, time)));
    turn("half", BEFORE)?;
    let turns = (0..ROUNDS).map(|round| turn(&format!("half-{round}"), TURN)).collect::<Result<Vec<_>, _>>()?;
    let refused: u64 = turns.iter().map(|seen| seen.other).sum();
    let [rate, p50, p99, p999] = [0, 500, 990, 999].map(|of| median(&turns, of));
    writeln!(
        out,
        "\nhalf     {rate:.0} events/s, half of what is sustained, from when each was due, medians of {ROUNDS} turns of {} s: p50 {p50:.2} ms, p99 {p99:.2} ms, \
         p99.9 {p999:.2} ms, {refused} refused",
        TURN.as_secs()
    )?;
    Ok(())
}
