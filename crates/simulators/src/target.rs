//! The simulated target: a rate-limited GraphQL API that fails as told and remembers what arrived.
//!
//! ```text
//! POST /graphql ─► arrival stamped ─► limit ─► latency ─► failure? ─► schema ─► ledger ─► answer
//!                                       └─ 429, Retry-After, RateLimit-*
//! ```
//! Laws: arrivals are stamped and judged in one order; at most `rate_requests` are admitted in any window
//! `(t - rate_interval, t]`; a key is processed once, whatever repeats; everything kept is bounded, and `forgotten`
//! and `unrecorded` say when a bound was met.

pub(crate) mod settings;
mod limit;
mod failure;
mod ledger;
mod schema;
mod serve;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::record::Recorder;
use limit::Limiter;
use serve::Desk;

pub use failure::Failure;
pub use ledger::{Arrival, Numbers, Outcome};
pub use schema::sdl;

/// The largest limit: the limiter keeps an instant per admitted request of the window.
pub const RATE_REQUESTS_MAX: u32 = 1_000_000;

/// How a target behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The length of the rolling window.
    pub rate_interval: Duration,
    /// How many requests a window admits, from 1 to [`RATE_REQUESTS_MAX`].
    pub rate_requests: u32,
    /// The share of admitted requests that fail, from 0 to 1.
    pub failure_share: f64,
    /// How they fail, each equally often.
    pub failures: Vec<Failure>,
    /// How long every admitted request takes at least.
    pub latency: Duration,
    /// How much longer a [`Failure::Slow`] takes.
    pub slow: Duration,
    /// Append one JSON line per processed event to this file; repeats of an event are not written.
    pub record_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rate_interval: Duration::from_secs(2),
            rate_requests: 1,
            failure_share: 0.0,
            failures: Failure::TRANSIENT.to_vec(),
            latency: Duration::ZERO,
            slow: Duration::from_secs(15),
            record_file: None,
        }
    }
}

/// Why a target cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The limit admits nothing or needs too much memory.
    #[error("limit {requests} requests per {interval:?}: must be 1 to {RATE_REQUESTS_MAX} per more than no time")]
    Limit {
        /// The requests asked for.
        requests: u32,
        /// The interval asked for.
        interval: Duration,
    },
    /// The share of failures is not between 0 and 1, or nothing is named that could fail.
    #[error("fail a share of {0}: must be from 0 to 1, with at least one way to fail")]
    Share(f64),
    /// The record file could not be opened.
    #[error("open the record file {}", .path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The listener could not be served.
    #[error("serve")]
    Serve(#[source] io::Error),
    /// The server ended although nobody stopped it.
    #[error("serve: {0}")]
    Ended(String),
}

/// A running target; it stops when it is dropped.
#[derive(Debug)]
pub struct Target {
    /// Where it listens.
    address: SocketAddr,
    /// What its handlers share.
    desk: Arc<Desk>,
    /// The server's task.
    tasks: TaskTracker,
    /// Why the server ended, if not because it was stopped.
    failed: Arc<OnceLock<String>>,
    /// Stops the server when this target goes.
    _stop: DropGuard,
}

impl Target {
    /// Serves on `listener` until `stop` is cancelled. Must be called on a Tokio runtime.
    ///
    /// # Errors
    /// When the options make no sense, or a file or the listener cannot be used.
    pub fn start(options: Options, listener: TcpListener, stop: CancellationToken) -> Result<Self, Error> {
        let Options { rate_interval: interval, rate_requests: requests, failure_share: share, .. } = options;
        if requests == 0 || requests > RATE_REQUESTS_MAX || interval.is_zero() {
            return Err(Error::Limit { requests, interval });
        }
        if !(0.0..=1.0).contains(&share) || (share > 0.0 && options.failures.is_empty()) {
            return Err(Error::Share(share));
        }
        let address = listener.local_addr().map_err(Error::Serve)?;
        let recorder = recorder(&options)?;
        let desk = Arc::new(Desk::new(options, Limiter::new(requests, interval), recorder));
        let stop = stop.child_token();
        let server = serve::server(&desk, listener, stop.clone()).map_err(Error::Serve)?;
        let (tasks, failed) = (TaskTracker::new(), Arc::new(OnceLock::new()));
        let failure = Arc::clone(&failed);
        tasks.spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the target's server ended");
                failure.get_or_init(|| error.to_string());
            }
        });
        tasks.close();
        Ok(Self { address, desk, tasks, failed, _stop: stop.drop_guard() })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happened so far.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.desk.numbers()
    }

    /// The last 10,000 requests, in the order of their arrival; those still being answered are missing.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.desk.ledger().arrivals()
    }

    /// The most requests *admitted* in any rolling window: proves the limit, and can never exceed it.
    #[must_use]
    pub fn worst_window(&self) -> u64 {
        self.numbers().worst_window
    }

    /// The most requests that *arrived* in any rolling window, throttled ones included: what a client that promises never
    /// to exceed the limit is judged by. Beyond [`RATE_REQUESTS_MAX`] it is a lower bound.
    #[must_use]
    pub fn worst_arrivals(&self) -> u64 {
        self.numbers().worst_arrivals
    }

    /// Throttles every request for so long, whatever the limit: others use the target too.
    pub fn throttle(&self, wait: Duration) {
        self.desk.throttle(wait);
    }

    /// Waits until the server has stopped and the record file is written.
    ///
    /// # Errors
    /// When the server ended by itself.
    pub async fn stopped(&self) -> Result<(), Error> {
        self.tasks.wait().await;
        self.desk.flush().await;
        self.failed.get().map_or(Ok(()), |why| Err(Error::Ended(why.clone())))
    }
}

/// Opens the record file if there is to be one.
fn recorder(options: &Options) -> Result<Option<Recorder>, Error> {
    let Some(path) = &options.record_file else { return Ok(None) };
    let open = Recorder::open(path).map_err(|cause| Error::Record { path: path.clone(), cause })?;
    Ok(Some(open))
}
