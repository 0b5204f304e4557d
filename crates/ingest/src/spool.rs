//! Opens the spool, says how to go on when it does not open, and shows how full it is.

use anyhow::bail;
use broker::log::offline::{self, Finding};
use broker::log::{self, Log, OpenError};
use chassis::metrics::{Passing, Registry, whole};
use tokio::time::Instant;

use crate::metrics::{FAMILIES, Metrics};
use crate::publish::{Progress, Refused};
use crate::settings::Settings;

/// The share of its capacity that the spool takes, in tenths: the rest is room for what is under way.
const FULL_TENTHS: u64 = 9;

/// Opens the spool of the settings, and recovers it.
pub(crate) fn open(settings: &Settings) -> anyhow::Result<Log> {
    let dir = &settings.spool_dir;
    let capacity_bytes = settings.spool.capacity_bytes / 10 * FULL_TENTHS;
    let began = Instant::now();
    let opened = Log::open(dir, &log::Options { capacity_bytes, ..settings.spool.clone() });
    let spool = opened.map_err(|error| {
        let way_on = match &error {
            OpenError::Damaged { .. } => way_on(settings),
            OpenError::File(_) => format!(
                "open the spool {}: its file system refuses. Nothing was changed, and what is in it is published once it opens: mend the volume (one \
                 that turned read-only is checked and mounted anew) and start again; other replicas accept meanwhile",
                dir.display()
            ),
            OpenError::InUse { .. } => format!("open the spool {}", dir.display()),
        };
        anyhow::Error::new(error).context(way_on)
    })?;
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

/// Shows how full the spool is, how much waits in it and beside it, and whether it let go of an event that has no end.
pub(crate) fn observe(spool: &Log, progress: &Progress, refused: &Refused, (metrics, registry): (&Metrics, &Registry)) {
    let meter = registry.meter(FAMILIES);
    let (log, capacity) = (spool.clone(), spool.capacity_bytes());
    meter.gauge("spool", move || whole(log.bytes()));
    meter.gauge("spool.capacity", move || whole(capacity));
    let log = spool.clone();
    meter.gauges("spool.free", move |gauge| {
        if let Some(free) = log.free_bytes() {
            gauge.observe(whole(free), &[]);
        }
    });
    let (log, waiting) = (spool.clone(), progress.clone());
    meter.gauge("spool.unpublished", move || whole(waiting.unpublished(log.bounds().end)));
    let refused = refused.clone();
    meter.gauge("events.unpublishable.waiting", move || whole(refused.waiting()));
    let (progress, metrics) = (progress.clone(), metrics.clone());
    // In this order: what the spool let go of has been counted before.
    registry.unaccounted(Passing::Spool, move || Some(progress.let_go().saturating_sub(metrics.ended())));
}
