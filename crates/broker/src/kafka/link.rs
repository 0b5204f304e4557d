//! The one owner of a client of rskafka: bounds every call, and replaces the client when one fails.
//!
//! ```text
//! call ──► client there? ──yes──► partition's connection ──► call ──► answer
//!              │no                        └───────────────────┴─error or deadline──► client is thrown away
//!              └► wait 100 ms..2 s, jittered ─► connect, check the topic ─► …
//! ```
//! One caller connects while the others wait; if it fails, they are all told so. Connecting goes on when that caller stops waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use rskafka::client::Client;
use rskafka::client::partition::PartitionClient;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::live::{Lane, Live, Pending, Place};
use super::resume::Resumed;
use super::{Error, Options, connect};

/// The shortest pause before a client is built anew.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The log is told of lost links at most this often.
const WARN_INTERVAL: Duration = Duration::from_secs(10);

/// A link to one topic; clones share it.
#[derive(Debug, Clone)]
pub struct Link {
    /// What the clones share.
    shared: Arc<Shared>,
}

/// What the clones of a link share.
#[derive(Debug)]
struct Shared {
    /// Which topic, and how to get there.
    options: Options,
    /// The client; whoever holds the lock may build it.
    state: Mutex<State>,
    /// How many attempts to connect failed.
    attempts_failed: AtomicU64,
    /// What the log was told.
    warned: StdMutex<Warned>,
}

/// The client, or what is known while there is none.
#[derive(Debug, Default)]
struct State {
    /// The client.
    live: Option<Arc<Live>>,
    /// The next one while it connects.
    connecting: Resumed<Result<Client, Error>>,
    /// How many times in a row no client proved of use.
    failures: u32,
    /// Not to connect before.
    not_before: Option<Instant>,
    /// Why the last attempt to connect failed.
    cause: Option<Arc<Error>>,
}

/// What the log was told.
#[derive(Debug, Default)]
struct Warned {
    /// When last.
    at: Option<Instant>,
    /// How many times since then it was not.
    withheld: u64,
}

/// A partition's connection, for one call.
#[derive(Debug)]
pub(super) struct Line {
    /// The link it belongs to.
    link: Link,
    /// The client it belongs to.
    live: Arc<Live>,
    /// The connection's place there.
    place: Arc<Place>,
    /// The connection.
    client: Arc<PartitionClient>,
}

impl Link {
    /// Makes a link without connecting it.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let shared = Shared { options, state: Mutex::default(), attempts_failed: AtomicU64::new(0), warned: StdMutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// What the link was made with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// A partition's connection for a lane; connects when there is none.
    pub(super) async fn line(&self, lane: Lane, partition: u32, deadline: Instant) -> Result<Line, Error> {
        if partition >= self.shared.options.partitions {
            return Err(Error::NoPartition); // no reason to connect
        }
        let live = self.live(deadline).await?;
        let place = live.place(lane, partition)?;
        let client = match place.made() {
            Some(client) => client,
            None => match timeout_at(deadline, live.make(place, partition)).await {
                Ok(made) => self.judged(&live, made)?,
                // Only the attempt's own end says something of the client: this caller may have come late to it.
                Err(_) => return Err(Error::Late),
            },
        };
        Ok(Line { link: self.clone(), place: Arc::clone(place), live, client })
    }

    /// The client; replaces one that is over.
    async fn live(&self, deadline: Instant) -> Result<Arc<Live>, Error> {
        let failed_before = self.shared.attempts_failed.load(Ordering::Acquire);
        let mut state = timeout_at(deadline, self.shared.state.lock()).await.map_err(|_| Error::Late)?;
        if let Some(live) = &state.live {
            if !live.is_over() {
                return Ok(Arc::clone(live));
            }
            let proved = live.is_proved();
            state.lose(proved);
        }
        if self.shared.attempts_failed.load(Ordering::Acquire) != failed_before {
            return Err(state.down());
        }
        if let Some(at) = state.not_before {
            if at >= deadline {
                return Err(state.down());
            }
            // Whoever is dropped while waiting or connecting leaves the state as it was: the next one goes on.
            sleep_until(at).await;
        }
        self.connect(&mut state, deadline).await
    }

    /// Connects, under the lock.
    async fn connect(&self, state: &mut State, deadline: Instant) -> Result<Arc<Live>, Error> {
        let options = &self.shared.options;
        let begin = || {
            let options = options.clone();
            async move { timeout(options.connect_timeout, connect::open(&options)).await.unwrap_or(Err(Error::Late)) }
        };
        // Only the attempt's own end counts: a caller may have come late to it.
        let Ok(ended) = timeout_at(deadline, state.connecting.end(begin)).await else { return Err(Error::Late) };
        match ended.unwrap_or(Err(Error::Late)) {
            Ok(client) => {
                tracing::info!(topic = options.topic, brokers = ?options.brokers, "linked to the broker");
                let live = Arc::new(Live::new(client, options));
                state.live = Some(Arc::clone(&live));
                Ok(live)
            }
            Err(error) => {
                self.warn(&error);
                state.lose(false);
                state.cause = Some(Arc::new(error));
                self.shared.attempts_failed.fetch_add(1, Ordering::Release);
                Err(state.down())
            }
        }
    }

    /// Passes on how something ended for a client, which is thrown away if it was trouble.
    fn judged<T>(&self, live: &Live, outcome: Result<T, Error>) -> Result<T, Error> {
        if live.learn(&outcome)
            && let Err(error) = &outcome
        {
            self.warn(error);
        }
        outcome
    }

    /// Tells the log that the link is lost, unless it was told a moment ago.
    fn warn(&self, error: &Error) {
        let mut warned = self.shared.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.at.is_some_and(|at| at.elapsed() < WARN_INTERVAL) {
            warned.withheld += 1;
            return;
        }
        let topic = &self.shared.options.topic;
        tracing::warn!(topic, error = error.line(), withheld = warned.withheld, "lost the link to the broker; building it anew");
        *warned = Warned { at: Some(Instant::now()), withheld: 0 };
    }
}

impl Line {
    /// The connection, to make a call with.
    pub(super) fn client(&self) -> &PartitionClient {
        &self.client
    }

    /// Waits for a call until the deadline; on failure the link throws its client away.
    pub(super) async fn answer<T>(
        &self,
        deadline: Instant,
        call: impl Future<Output = Result<T, rskafka::client::error::Error>>,
    ) -> Result<T, Error> {
        let pending = Pending::begin(&self.place, &self.client);
        let outcome = timeout_at(deadline, async { call.await.map_err(Error::broker) }).await.unwrap_or(Err(Error::Late));
        pending.end();
        if matches!(outcome, Err(Error::Late)) && !self.place.holds(&self.client) {
            return outcome; // somebody has let go of the connection, and perhaps made another
        }
        self.link.judged(&self.live, outcome)
    }
}

impl State {
    /// Lets go of the client and sets the pause before the next.
    fn lose(&mut self, proved: bool) {
        self.live = None;
        self.failures = if proved { 1 } else { self.failures.saturating_add(1) };
        self.not_before = Some(Instant::now() + pause(self.failures, rand::random()));
    }

    /// The error for those who find no client.
    fn down(&self) -> Error {
        self.cause.as_ref().map_or(Error::Late, |cause| Error::Down(Arc::clone(cause)))
    }
}

/// How long to wait after so many failures in a row; the fraction, in `0..1`, spreads it out.
fn pause(failures: u32, fraction: f64) -> Duration {
    let longest = PAUSE_MIN.saturating_mul(1 << failures.min(8)).min(PAUSE_MAX);
    PAUSE_MIN + longest.saturating_sub(PAUSE_MIN).mul_f64(fraction.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Duration, PAUSE_MAX, PAUSE_MIN, pause};

    #[test]
    fn pauses_double_until_they_are_long_enough() {
        let longest: Vec<u128> = (0..7).map(|failures| pause(failures, 1.0).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1_600, 2_000, 2_000]);
        assert_eq!(pause(3, 0.5), Duration::from_millis(450));
    }

    proptest! {
        #[test]
        fn a_pause_keeps_to_its_bounds(failures in any::<u32>(), fraction in any::<f64>().prop_filter("a number", |x| !x.is_nan())) {
            prop_assert!((PAUSE_MIN..=PAUSE_MAX).contains(&pause(failures, fraction)));
        }
    }
}
