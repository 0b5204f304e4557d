//! The simulated source: sends every event once, wants a 2xx within 500 ms, and never sends an event again.
//!
//! ```text
//! log in ──► due ──► due ──► due ──►      one event per interval, on a schedule that does not drift
//!    └─ refresh ──── refresh ────►        before the access token is half used; log in anew when refused
//! ```
//! Laws: an id is sent at most once; no due event is left out (one that starts late is counted `late`); what ended is
//! `sent = accepted + refused + gave_up + unreachable`; at most `concurrency` events are on their way.

pub(crate) mod settings;
mod schedule;
mod event;
mod api;
mod session;
mod flight;
mod numbers;
mod histogram;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::record::Recorder;
use api::Api;
use flight::Flight;
use numbers::Counters;
use schedule::Schedule;
use session::Session;

pub use numbers::Numbers;

/// How a source behaves.
#[derive(Clone)]
pub struct Options {
    /// Where the API is, prefix included: `http://127.0.0.1:4000/api`.
    pub api_url: String,
    /// The account's login name.
    pub auth_id: String,
    /// The account's secret.
    pub secret: String,
    /// One event is due every interval; zero sends as fast as `concurrency` allows.
    pub interval: Duration,
    /// An event without a 2xx within this span has failed.
    pub give_up: Duration,
    /// How many events may be on their way at once.
    pub concurrency: usize,
    /// Stop after so many events; none goes on until told to stop.
    pub count: Option<u64>,
    /// Append one JSON line per accepted event to this file.
    pub record_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            api_url: "http://localhost:4000/api".to_owned(),
            auth_id: String::new(),
            secret: String::new(),
            interval: Duration::from_millis(1_500),
            give_up: Duration::from_millis(500),
            concurrency: 64,
            count: None,
            record_file: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("api_url", &self.api_url)
            .field("auth_id", &self.auth_id)
            .field("interval", &self.interval)
            .field("give_up", &self.give_up)
            .field("concurrency", &self.concurrency)
            .field("count", &self.count)
            .field("record_file", &self.record_file)
            .finish_non_exhaustive()
    }
}

/// Why a source cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client could not be built.
    #[error("build the http client")]
    Client(#[source] reqwest::Error),
    /// The record file could not be opened.
    #[error("open the record file {}", .path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The API does not know the credentials; trying again would not help.
    #[error("log in: refused with status {status}")]
    LogInRefused {
        /// The status of the answer.
        status: u16,
    },
}

/// A simulated source; a cheap handle, all clones of which share their numbers.
#[derive(Debug, Clone)]
pub struct Source {
    /// How it behaves.
    options: Arc<Options>,
    /// What it counted.
    counters: Arc<Counters>,
}

impl Source {
    /// Makes a source that does nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options: Arc::new(options), counters: Arc::default() }
    }

    /// What happened so far.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.counters.numbers()
    }

    /// Waits for the API, logs in, and sends events until `stop` is cancelled or `count` events were sent; then waits
    /// for those on their way, at most twice `give_up` long.
    ///
    /// # Errors
    /// When the work cannot start. Whatever happens to an event is a number, not an error.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Error> {
        let recorder = self.recorder()?;
        let api = Arc::new(Api::new(&self.options).map_err(Error::Client)?);
        // Stopped while it waits for the API: nothing was sent yet.
        let first = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            session = session::open(&api, &self.counters) => session?,
        };
        let (bearer, current) = watch::channel(first.bearer.clone());
        let stale = Arc::new(Notify::new());
        let clock = Clock::start();
        let flight = Flight {
            api: Arc::clone(&api),
            bearer: current,
            stale: Arc::clone(&stale),
            counters: Arc::clone(&self.counters),
            recorder: recorder.clone(),
            clock,
        };
        self.send_while_renewing(flight, Renewal { api, first, bearer, stale }, &stop).await;
        if let Some(recorder) = recorder {
            recorder.flush().await;
        }
        Ok(())
    }

    /// Opens the record file if there is to be one.
    fn recorder(&self) -> Result<Option<Recorder>, Error> {
        let Some(path) = &self.options.record_file else { return Ok(None) };
        let open = Recorder::open(path).map_err(|cause| Error::Record { path: path.clone(), cause })?;
        Ok(Some(open))
    }

    /// Sends until done, and keeps the session alive meanwhile.
    async fn send_while_renewing(&self, flight: Flight, renewal: Renewal, stop: &CancellationToken) {
        // The renewal never ends by itself; it is dropped when the last event has landed.
        tokio::select! {
            () = self.send(flight, stop) => {}
            () = session::keep(&renewal.api, renewal.first, &renewal.bearer, &renewal.stale, &self.counters) => {}
        }
    }

    /// Starts each event when it is due, and waits for those on their way in the end.
    async fn send(&self, flight: Flight, stop: &CancellationToken) {
        let mut schedule = Schedule::new(self.options.interval, self.options.count);
        let places = Arc::new(Semaphore::new(self.options.concurrency.max(1)));
        let mut flights = JoinSet::new();
        while let Some(due) = schedule.next_due() {
            // Nothing is lost by either arm: an event exists only once its place is taken.
            let place = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                place = async {
                    sleep_until(due).await;
                    Arc::clone(&places).acquire_owned().await
                } => place,
            };
            let Ok(place) = place else { break };
            self.counters.starts(due, self.options.interval);
            let flight = flight.clone();
            flights.spawn(async move {
                flight.fly().await;
                drop(place);
            });
            while let Some(landed) = flights.try_join_next() {
                note_crash(landed);
            }
        }
        while let Some(landed) = flights.join_next().await {
            note_crash(landed);
        }
    }
}

/// What the renewal of the session works with.
#[derive(Debug)]
struct Renewal {
    /// Where to ask.
    api: Arc<Api>,
    /// The session to begin with.
    first: Session,
    /// Where the newest access token goes.
    bearer: watch::Sender<reqwest::header::HeaderValue>,
    /// Told when an event was answered with 401.
    stale: Arc<Notify>,
}

/// Logs an event's task that ended otherwise than by returning.
fn note_crash(landed: Result<(), tokio::task::JoinError>) {
    if let Err(error) = landed {
        tracing::error!(%error, "the task of an event crashed");
    }
}
