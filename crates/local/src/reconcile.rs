//! `events-proxy reconcile`: whether every event is accounted for, and the ids of those that are not.
//!
//! It reads the database that ingest and dispatchers share, beside them; what it compares is told at [`storage::Balance`].

use std::io::Write;

use anyhow::Context;
use chassis::figures::grouped;
use clap::Args;
use storage::{Astray, Balance, Store, Why};

use crate::settings;

/// `events-proxy reconcile`.
#[derive(Debug, Clone, Args)]
pub struct Reconcile {
    /// Count from now on, after a difference was looked into or offsets were set by hand.
    #[arg(long)]
    count_anew: bool,
    /// Where the demo keeps its database [default: DATA_DIR]; USER_REPOSITORY_TYPE and USER_REPOSITORY_URL name another.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<std::path::PathBuf>,
}

impl Reconcile {
    /// Does it; false when an event is unaccounted for.
    ///
    /// # Errors
    /// A setting is wrong, or the database does not answer.
    pub fn run(&self, out: &mut impl Write) -> anyhow::Result<bool> {
        let (options, topic) = settings::kept(self.data_dir.as_deref())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
        runtime.block_on(async {
            let store = Store::connect(&options).await.context("connect to the database")?;
            if self.count_anew {
                store.count_anew(&topic).await.context("begin the count anew")?;
            }
            tell(&store, &topic, out).await
        })
    }
}

/// Prints both sides of the balance, and who is missing.
async fn tell(store: &Store, topic: &str, out: &mut impl Write) -> anyhow::Result<bool> {
    let balance =
        store.balance(topic).await.context("read the balance, which a database has once a process of this version has started on it")?;
    sides(&balance, out)?;
    for (partition, records) in store.skipping(topic).await? {
        let by = grouped(records.unsigned_abs());
        let how = if records > 0 { "records more were passed than have an end" } else { "records more were counted than passed" };
        writeln!(out, "\npartition {partition}: {by} {how}")?;
    }
    let mut named = 0;
    for why in Why::ALL {
        let events = store.astray(topic, why).await?;
        named += events.len();
        if !events.is_empty() {
            writeln!(out, "\n{}:", why.as_str())?;
        }
        for event in &events {
            writeln!(out, "  {}", line(event))?;
        }
    }
    Ok(balance.unaccounted() == 0 && named == 0)
}

/// Prints the figures.
fn sides(balance: &Balance, out: &mut impl Write) -> anyhow::Result<()> {
    let passed = balance.passed;
    for (name, records, meaning) in [
        ("passed", balance.records, "records of the topic that dispatchers are done with"),
        ("delivered", passed.delivered, "at once"),
        ("parked", passed.parked, "at first; delivered or dead since, or still parked"),
        ("dead", passed.dead, "at once"),
        ("repeated", passed.repeated, "of events that had come before"),
        ("expired", passed.expired, "dropped by the topic before they were read, or offsets without a record"),
        ("unaccounted", balance.unaccounted(), "events without an end, or whose row is gone"),
    ] {
        writeln!(out, "{name:<12}{:>14}   {meaning}", grouped(records))?;
    }
    Ok(())
}

/// An event in one line. Its ids are a source's words.
fn line(event: &Astray) -> String {
    let Astray { source_id, event_id, trace_id, received_at, partition, offset, .. } = event;
    let (source, id) = (source_id.as_str().escape_debug(), event_id.as_str().escape_debug());
    format!("{source}  {id}  received {received_at}  partition {partition} offset {offset}  trace {trace_id}")
}
