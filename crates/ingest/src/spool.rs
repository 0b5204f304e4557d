//! Opens the spool, says how to go on when it does not open, and shows how full it is.

use anyhow::{Context, bail};
use broker::log::offline::{self, Finding};
use broker::log::{self, Log, OpenError};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use tokio::time::Instant;

use crate::metrics::Metrics;
use crate::publish::Progress;
use crate::settings::Settings;

/// The share of its capacity that the spool takes, in tenths: the rest is room for what is under way.
const FULL_TENTHS: u64 = 9;

/// Opens the spool of the settings, and recovers it.
pub(crate) fn open(settings: &Settings) -> anyhow::Result<Log> {
    let dir = &settings.spool_dir;
    let capacity_bytes = settings.spool.capacity_bytes / 10 * FULL_TENTHS;
    let began = Instant::now();
    let opened = Log::open(dir, &log::Options { capacity_bytes, ..settings.spool.clone() });
    if let Err(OpenError::Damaged { .. }) = &opened {
        return opened.with_context(|| way_on(settings));
    }
    let spool = opened.with_context(|| format!("open the spool {}", dir.display()))?;
    if settings.spool_must_last && log::is_in_memory(dir) {
        bail!(
            "the spool {} is on a file system in memory, which does not outlive the machine: a 202 could not be believed. Set SPOOL_DIR to a lasting \
             volume, or ACCEPT_DURABILITY to `broker`",
            dir.display()
        );
    }
    let recovered = spool.recovery();
    tracing::info!(records = recovered.records, bytes = spool.bytes(), took.ms = began.elapsed().as_millis(), "the spool is open");
    if recovered.torn_bytes > 0 {
        tracing::warn!(
            bytes = recovered.torn_bytes,
            "the spool's torn tail was cut off: it belonged to events that were never answered with 202"
        );
    }
    Ok(spool)
}

/// What to do about a damaged spool: how much of it reads, and how to keep that.
fn way_on(settings: &Settings) -> String {
    let dir = settings.spool_dir.display();
    let (mut good, mut bad) = (0_u64, 0_u64);
    for file in offline::files(&settings.spool_dir).unwrap_or_default() {
        let walked = offline::walk(&file, &mut |finding| match finding {
            Finding::Record(_) => good += 1,
            Finding::Unreadable { .. } => bad += 1,
            Finding::Hole { offsets, .. } => bad += offsets.1.saturating_sub(offsets.0),
            Finding::Torn { .. } => {}
        });
        drop(walked); // a file that does not read at all is told by the error itself
    }
    format!(
        "open the spool {dir}: {bad} of {} records cannot be read. `events-proxy spool verify {dir}` names them; `events-proxy spool export {dir} --into NEW` \
         writes those that can be read and are not published yet to a new spool: then set SPOOL_DIR to it, and keep {dir}",
        good.saturating_add(bad)
    )
}

/// Shows how full the spool is, how much waits in it, and whether it let go of an event that has no end.
pub(crate) fn observe(spool: &Log, progress: &Progress, (metrics, meter): (&Metrics, &Meter)) {
    let gauge = |name: &'static str, told: &'static str| meter.u64_observable_gauge(name).with_description(told);
    let log = spool.clone();
    gauge("spool.bytes", "How much the spool holds").with_callback(move |gauge| gauge.observe(log.bytes(), &[])).build();
    let capacity = spool.capacity_bytes();
    gauge("spool.capacity.bytes", "From how much on the spool is full, and events go straight to the topic")
        .with_callback(move |gauge| gauge.observe(capacity, &[]))
        .build();
    let log = spool.clone();
    let free = move |gauge: &dyn opentelemetry::metrics::AsyncInstrument<u64>| {
        if let Some(free) = log.free_bytes() {
            gauge.observe(free, &[]);
        }
    };
    gauge("spool.free.bytes", "How much the spool's file system has left").with_callback(free).build();
    let (log, waiting) = (spool.clone(), progress.clone());
    let unpublished = move || waiting.unpublished(log.bounds().end);
    gauge("spool.unpublished", "Accepted events that the topic does not have yet")
        .with_callback(move |gauge| gauge.observe(unpublished(), &[]))
        .build();
    let (progress, metrics) = (progress.clone(), metrics.clone());
    // In this order: what the spool let go of has been counted before.
    let unaccounted = move || progress.let_go().saturating_sub(metrics.ended());
    gauge("events.unaccounted", "Events that were passed without a stored end, or whose row is gone; 0, or something is wrong")
        .with_callback(move |gauge| gauge.observe(unaccounted(), &[KeyValue::new("at", "spool")]))
        .build();
}
