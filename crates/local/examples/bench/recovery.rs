//! What a spool of millions of events costs: the time until a start has recovered it, and the memory it takes.

use std::io::{StdoutLock, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use broker::log::{Log, Options};
use events_proxy_core::event::Timestamp;
use events_proxy_core::{Envelope, Event, EventId, Moment, SourceId, TraceContext};

use crate::process::Product;

/// How many events wait in the spool.
const EVENTS: u64 = 5_000_000;
/// How many are appended at once.
const APPENDED: u64 = 4_000;
/// How long the process is left alone before its memory is looked at.
const SETTLED: Duration = Duration::from_secs(5);

/// Measures it and prints it.
pub(crate) fn measure(out: &mut StdoutLock<'_>, directory: &Path) -> anyhow::Result<()> {
    let idle = Product::start_ingest(&directory.join("empty"), &directory.join("empty.log"))?;
    std::thread::sleep(SETTLED);
    let before = idle.used()?.resident_mib;
    drop(idle);
    let spool = directory.join("millions");
    let bytes = fill(&spool, EVENTS)?;
    let log = directory.join("millions.log");
    let full = Product::start_ingest(&spool, &log)?;
    std::thread::sleep(SETTLED);
    let grown = full.used()?.resident_mib - before;
    let told = std::fs::read_to_string(&log).context("read the log")?.matches("recovering a log").count();
    let (ready, mib) = (full.ready.as_secs_f64(), bytes >> 20);
    writeln!(
        out,
        "\nrecovery {EVENTS} events, {mib} MiB: first answer after {ready:.2} s ({told} progress lines), {grown:+.1} MiB resident over idle"
    )?;
    Ok(())
}

/// Writes a log of so many events; answers its size.
pub(crate) fn fill(dir: &Path, events: u64) -> anyhow::Result<u64> {
    let log =
        Log::open(dir, &Options { capacity_bytes: u64::MAX, batch_bytes_max: 8 << 20, ..Options::default() }).context("make a log")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start")?;
    let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", None).context("make a trace")?;
    let timestamp = Timestamp::from_epoch_millis(1_700_000_000_000).context("make a time")?;
    for first in (0..events).step_by(usize::try_from(APPENDED).unwrap_or(1)) {
        let record = |number: u64| {
            let (id, body) = (EventId::new(format!("event-{number:09}")), "a customer placed an order and pays by invoice; ".repeat(4));
            let event = Event { id, name: "order placed".to_owned(), body, timestamp };
            Envelope {
                source_id: SourceId::new("shop"),
                event,
                received_at: Moment::from_micros(1_700_000_000_000_000),
                trace: trace.clone(),
            }
            .encode()
        };
        let records = (first..first + APPENDED).map(record).collect::<Result<Vec<_>, _>>().context("make events")?;
        runtime.block_on(log.append(records)).context("fill the log")?;
    }
    Ok(log.bytes())
}
