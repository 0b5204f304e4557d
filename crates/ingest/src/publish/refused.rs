//! Records that the topic will never take, or that the spool cannot read: kept in a log of their own beside the spool.
//!
//! So neither the partition nor the spool waits for the storage, which may be away: from here they become dead rows with
//! payload and reason as soon as it answers (`burial.rs`). A record counts as done only after it is durable here.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use broker::log::{AppendError, Cursor, CursorError, Log, OpenError, Options};
use broker::{FetchError, FetchLimit, Fetched};
use events_proxy_core::envelope::Record;
use uuid::Uuid;

use crate::metrics::Metrics;

/// The header that keeps the reason; it goes with the record no further than to its dead row.
const REASON: &str = "refused-because";
/// The header that keeps the record's offset in the spool, as far.
const PLACE: &str = "spool-offset";
/// The longest reason, in bytes.
const REASON_BYTES: usize = 1_000;
/// How much may be kept.
const CAPACITY_BYTES: u64 = 256 << 20;
/// What is read at once.
const READ: FetchLimit = FetchLimit { max_bytes: 256 << 10, max_wait: Duration::from_secs(5) };
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(200);

/// Why the log of refused records cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// It does not open.
    #[error("open the log of refused events")]
    Log(#[source] OpenError),
    /// How far it is buried cannot be read.
    #[error("read how far refused events are dead")]
    Cursor(#[source] CursorError),
    /// Its name cannot be read or written.
    #[error("name the log of refused events")]
    Name(#[source] io::Error),
}

/// A refused record, as it is buried.
#[derive(Debug)]
pub(crate) struct Buried {
    /// Its offset in the spool, where it was kept with it: what is published again after a crash, and refused again, has the same.
    pub(crate) offset: u64,
    /// The record.
    pub(crate) record: Record,
    /// Why it was refused.
    pub(crate) reason: String,
}

/// The refused records of one spool; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// Where they are.
    log: Log,
    /// How far they are buried.
    buried: Cursor,
    /// What tells this spool from every other.
    name: Arc<str>,
    /// Counts.
    metrics: Metrics,
}

impl Refused {
    /// Opens the log in the spool's directory.
    pub(crate) fn open(spool: &Path, metrics: Metrics) -> Result<Self, Unusable> {
        let dir = spool.join("refused");
        let options = Options { segment_bytes: 8 << 20, capacity_bytes: CAPACITY_BYTES, ..Options::default() };
        let log = Log::open(&dir, &options).map_err(Unusable::Log)?;
        let buried = log.cursor("buried").map_err(Unusable::Cursor)?;
        Ok(Self { log, buried, name: name(&dir.join("name")).map_err(Unusable::Name)?.into(), metrics })
    }

    /// What tells this spool from every other.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Keeps a record of a spool's offset with the reason; tries until it is kept.
    pub(super) async fn keep(&self, record: &Record, (offset, reason): (u64, &str)) {
        let mut record = record.clone();
        let reason: String = reason.chars().take(REASON_BYTES).collect();
        self.metrics.unpublishable(&record, offset, &reason);
        record.headers.set(REASON, reason.as_bytes());
        record.headers.set(PLACE, offset.to_string().as_bytes());
        let mut failures = 0_u32;
        while let Err(error) = self.log.append(std::slice::from_ref(&record)).await {
            if matches!(error, AppendError::TooLarge) {
                // Larger than any record that was ever accepted: what it says is damage, and its beginning tells as much.
                record.payload.truncate(1 << 20);
            }
            failures = failures.saturating_add(1);
            self.metrics.burial_failed(failures, &error);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// How far they are buried.
    pub(crate) const fn buried(&self) -> &Cursor {
        &self.buried
    }

    /// How many wait for the storage.
    pub(crate) fn waiting(&self) -> u64 {
        self.log.bounds().end.saturating_sub(self.buried.position())
    }

    /// Reads on from an offset.
    pub(crate) async fn read(&self, from: u64) -> Result<Fetched, FetchError> {
        self.log.read(from, READ).await
    }

    /// Lets go of what is buried; not being able to costs space, nothing else.
    pub(crate) async fn trim(&self, before: u64) {
        if let Err(error) = self.log.trim(before).await {
            tracing::warn!(error = chassis::lifecycle::sentence(&error), "cannot remove old files of refused events");
        }
    }
}

impl From<broker::Received> for Buried {
    /// Takes the reason and the place out of the record.
    fn from(received: broker::Received) -> Self {
        let broker::Received { offset, mut record } = received;
        let mut taken = |name| record.headers.remove(name).and_then(|value| String::from_utf8(value).ok());
        let (reason, place) = (taken(REASON).unwrap_or_default(), taken(PLACE));
        Self { offset: place.and_then(|place| place.parse().ok()).unwrap_or(offset), record, reason }
    }
}

/// Reads a file with a name that nothing else has; makes it where there is none.
fn name(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(name) if !name.is_empty() => return Ok(name),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let name = Uuid::new_v4().simple().to_string();
    let mut file = File::create(path)?;
    file.write_all(name.as_bytes())?;
    file.sync_all()?;
    Ok(name)
}
