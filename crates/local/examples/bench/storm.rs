//! What a storm of log-ins costs those who send events: the same load with and without it, in turn.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context;

use crate::load::{self, Until};
use crate::process::Product;
use crate::{CONNECTIONS, median};

/// How many clients log in again and again.
const CLIENTS: usize = 8;
/// How long each turn is.
const TURN: Duration = Duration::from_secs(3);
/// How many turns of each kind.
const ROUNDS: usize = 3;

/// Measures it and prints it.
pub(crate) fn measure(out: &mut impl Write, product: &Product, token: &str) -> anyhow::Result<()> {
    let (storm, over, logged_in) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
    let turns = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    if !storm.load(Ordering::Relaxed) {
                        thread::sleep(Duration::from_millis(5));
                    } else if product.log_in().is_ok() {
                        logged_in.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let mut turns: [Vec<load::Seen>; 2] = Default::default();
        for round in 0..ROUNDS {
            for (stormy, seen) in [false, true].into_iter().zip(&mut turns) {
                storm.store(stormy, Ordering::Relaxed);
                let name = format!("storm-{round}-{stormy}");
                seen.push(load::run(product.address, token, CONNECTIONS, (&name, Until::Passed(TURN)))?);
            }
        }
        over.store(true, Ordering::Relaxed);
        anyhow::Ok(turns)
    });
    over.store(true, Ordering::Relaxed);
    let [[calm, calm_p99], [stormy, stormy_p99]] = turns.context("measure a storm")?.map(|turns| [0, 990].map(|of| median(&turns, of)));
    writeln!(
        out,
        "\nlog-ins  {CLIENTS} clients log in without end ({} did): events/s {:.2} of calm, p99 {stormy_p99:.2} ms, {:.2} of calm",
        logged_in.load(Ordering::Relaxed),
        stormy / calm,
        stormy_p99 / calm_p99
    )?;
    Ok(())
}
