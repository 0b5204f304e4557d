//! Stage 4 of 10 — accept: makes the event durable; the 202 follows.
//!
//! Law: [`Accept::accept`] answers `Ok` only after the event's record was fsynced in the spool, or acknowledged by the
//! broker. It answers within the deadline, whatever disk and broker do.
//!
//! ```text
//! t0 ───────────── spool, fsync ───────────── t+180 ms ───────── straight to the broker ───────── deadline
//! ```
//! The second way is taken only when the first failed or is late. A late append may still land: the topic then holds
//! the event twice, and the dispatcher delivers it once.
//! Next: `crates/ingest/src/publish.rs`.

use std::sync::Arc;
use std::time::Duration;

use broker::Publisher;
use broker::log::{AppendError, Log};
use chassis::clock::Clock;
use events_proxy_core::envelope::Record;
use events_proxy_core::{Envelope, partition};
use tokio::time::Instant;

use crate::metrics::{Metrics, Way};

/// How much of the deadline the spool may use before the broker is asked, in thousandths: 180 of 400 ms.
const SPOOL_SHARE: (u32, u32) = (450, 1000);
/// The header that says when the record was handed to the disk or the broker, in microseconds.
pub(crate) const ACCEPTED_AT: &str = "accepted-at";

/// Neither the disk nor the broker took the event in time.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no durable path took the event in time")]
pub(crate) struct NoDurablePath;

/// Makes events durable.
#[derive(Debug)]
pub(crate) struct Accept {
    /// The first way.
    pub(crate) spool: Log,
    /// The second way.
    pub(crate) publisher: Arc<dyn Publisher>,
    /// The time from a request's start to its answer.
    pub(crate) timeout: Duration,
    /// Tells when.
    pub(crate) clock: Arc<dyn Clock>,
    /// Counts.
    pub(crate) metrics: Metrics,
}

impl Accept {
    /// Makes an event durable, for a request that began at `began`.
    pub(crate) async fn accept(&self, envelope: &Envelope, began: Instant) -> Result<(), NoDurablePath> {
        let mut record = envelope.encode().map_err(|_| NoDurablePath)?;
        record.headers.insert(ACCEPTED_AT.to_owned(), self.clock.now().as_micros().to_string().into_bytes());
        let records: [Record; 1] = [record];
        let patience = began + self.timeout * SPOOL_SHARE.0 / SPOOL_SHARE.1;
        match tokio::time::timeout_at(patience, self.spool.append(&records)).await {
            Ok(Ok(_)) => {
                self.metrics.accepted(Way::Spool, began.elapsed(), self.timeout);
                return Ok(());
            }
            Ok(Err(error)) => self.metrics.spool_failed(word(&error), &error),
            Err(late) => self.metrics.spool_failed("late", &late),
        }
        self.straight(&records, began).await
    }

    /// Publishes to the broker within what is left of the deadline.
    async fn straight(&self, records: &[Record; 1], began: Instant) -> Result<(), NoDurablePath> {
        let [record] = records;
        let partition = partition::assign(&record.key, self.publisher.partitions());
        match tokio::time::timeout_at(began + self.timeout, self.publisher.publish(partition, records)).await {
            Ok(Ok(_)) => {
                self.metrics.accepted(Way::Broker, began.elapsed(), self.timeout);
                Ok(())
            }
            Ok(Err(error)) => {
                self.metrics.no_durable_path(&error);
                Err(NoDurablePath)
            }
            Err(late) => {
                self.metrics.no_durable_path(&late);
                Err(NoDurablePath)
            }
        }
    }
}

/// The word of a failed append, as the metrics label it.
const fn word(error: &AppendError) -> &'static str {
    match error {
        AppendError::Full => "full",
        AppendError::Busy => "busy",
        AppendError::TooLarge => "too_large",
        AppendError::Failed(_) => "failed",
        AppendError::Closed => "closed",
    }
}
