//! What every request needs.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use auth::access::Known;
use auth::lockout::LockOut;
use auth::session::Sessions;
use broker::log::Log;
use chassis::clock::Clock;
use chassis::trace::Recorder;
use events_proxy_core::SourceId;
use storage::Store;
use tokio::time::timeout;

use crate::accept::Accept;
use crate::address::Proxies;
use crate::admission::Admission;
use crate::metrics::Metrics;
use crate::outage::Outage;
use crate::publish::Progress;
use crate::quota::Quota;
use crate::reject::Reject;

/// Shared by all requests.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Makes events durable.
    pub(crate) accept: Accept,
    /// Verifies access tokens.
    pub(crate) keys: Arc<Known>,
    /// Whether the storage is away.
    pub(crate) outage: Outage,
    /// Logs in, refreshes, ends.
    pub(crate) sessions: Sessions,
    /// Look-ups.
    pub(crate) store: Store,
    /// Events per source.
    pub(crate) events_quota: Quota<SourceId>,
    /// Look-ups per source.
    pub(crate) look_ups_quota: Quota<SourceId>,
    /// Sessions per address.
    pub(crate) sessions_quota: Quota<IpAddr>,
    /// Proxies whose headers tell the client's address.
    pub(crate) trusted: Proxies,
    /// Failed log-ins.
    pub(crate) lock_out: LockOut,
    /// What is in work.
    pub(crate) admission: Admission,
    /// The time from a request's start to its answer.
    pub(crate) timeout: Duration,
    /// The largest body.
    pub(crate) body_bytes_max: usize,
    /// Tells when.
    pub(crate) clock: Arc<dyn Clock>,
    /// Which requests are recorded.
    pub(crate) recorder: Recorder,
    /// Counts.
    pub(crate) metrics: Metrics,
    /// The spool, and how far it is published.
    pub(crate) waiting: (Log, Progress),
}

impl Shared {
    /// Answers by the deadline. What is not done by then is dropped; whether it took effect is unknown.
    pub(crate) async fn in_time<T>(&self, answer: impl Future<Output = Result<T, Reject>>) -> Result<T, Reject> {
        timeout(self.timeout, answer).await.unwrap_or(Err(Reject::Late))
    }

    /// How many accepted events are not published yet.
    pub(crate) fn waiting(&self) -> u64 {
        let (spool, progress) = &self.waiting;
        progress.unpublished(spool.bounds().end)
    }
}
