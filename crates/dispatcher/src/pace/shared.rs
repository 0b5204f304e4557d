//! The limit of any number of processes that share a database: slots are reserved there, ahead and in batches.
//!
//! ```text
//!  attempts that wait ──▶ one task asks for as many slots ──▶ one row of the database ──▶ slots in hand ──▶ attempts, in turn
//! ```
//! Laws: without the database's word nothing is sent; a slot is reserved only for an attempt that is ready for it, so a
//! process that has nothing to send takes nothing from others; a slow database costs slots, never the limit. How slots
//! are timed is [`Timeline`]'s.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chassis::lifecycle::{OnFailure, Tasks};
use storage::{Asked, Limit, Reserved, Store};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_retry::strategy::jitter;

use super::lately::Lately;
use super::timeline::{Ask, Sent, Taken, Timeline};
use super::{Heard, Pace, Slot};
use crate::metrics::slots::{Outcome, Slots};
use crate::waiting::Waiting;

/// How long a reservation may take: later its slots would have passed.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// The pause after a reservation that failed; it doubles up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How far apart at most several processes ask that wait for the same slot.
const APART: Duration = Duration::from_millis(5);
/// How closely the timer tells moments apart: slots that lie closer together are waited for by as many attempts at once.
const TICK: Duration = Duration::from_millis(1);
/// The most attempts that have their turn at once: all of them are woken by what is new.
const TURNS_MAX: usize = 1_000;

/// What it needs.
#[derive(Debug)]
pub struct Means {
    /// The database: a shared one.
    pub store: Store,
    /// The target's name there.
    pub target: String,
    /// The limit as it is configured.
    pub limit: Limit,
    /// Counts.
    pub slots: Slots,
}

/// The limit of many processes; clones share it.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Parts>);

/// What clones share.
#[derive(Debug)]
struct Parts {
    /// What it needs.
    means: Means,
    /// When our clock was zero.
    origin: Instant,
    /// Attempts that wait.
    waiting: AtomicUsize,
    /// Slots in hand.
    state: Mutex<State>,
    /// Tells the asking task that something is wanted.
    wanted: Notify,
    /// Whether that task has nothing to do until an attempt waits.
    idle: AtomicBool,
    /// Tells the attempts that have their turn that there is news.
    news: Notify,
}

/// What changes.
#[derive(Debug)]
struct State {
    /// Slots in hand.
    timeline: Timeline,
    /// Who has its turn, first come, first served: as many at once as the limit has turns.
    queue: Arc<Semaphore>,
    /// Whether the limit is in place.
    configured: bool,
    /// No slot before this.
    not_before: Instant,
    /// Whether others have yet to hear of that.
    pausing: bool,
    /// What was given out lately.
    lately: Lately,
}

impl Shared {
    /// Starts to ask the database for slots, whenever some are wanted.
    #[must_use]
    pub fn start(means: Means, tasks: &Tasks) -> Self {
        let (origin, limit) = (Instant::now(), means.limit);
        let lately = Lately::new(limit.requests, limit.interval);
        let (timeline, queue) = (Timeline::new(limit), Arc::new(Semaphore::new(turns_of(limit))));
        let state = State { timeline, queue, configured: false, not_before: origin, pausing: false, lately };
        let shared = Self(Arc::new(Parts {
            means,
            origin,
            waiting: AtomicUsize::new(0),
            state: Mutex::new(state),
            wanted: Notify::new(),
            idle: AtomicBool::new(false),
            news: Notify::new(),
        }));
        let (asking, stopping) = (shared.clone(), tasks.stopping());
        tasks.spawn("reserve slots", OnFailure::StopProcess, async move {
            // Both arms are cancel-safe: slots whose reservation is not heard of are lost, and not sent.
            tokio::select! {
                () = stopping.cancelled() => Ok(()),
                () = asking.ask() => Ok(()),
            }
        });
        shared
    }

    /// Asks for what is wanted, for ever.
    async fn ask(&self) {
        let (mut failures, mut pause) = (0_u32, PAUSE.0);
        loop {
            let wanted = self.0.wanted.notified();
            // Before the look: an attempt that comes after it sees that it must tell.
            self.0.idle.store(true, Ordering::SeqCst);
            let next = self.next();
            self.0.idle.store(matches!(next, Step::Nothing), Ordering::SeqCst);
            let result = match next {
                Step::Configure => self.configure().await,
                Step::Pause(until) => self.told(until).await,
                Step::Ask(asked) => self.reserve(asked).await,
                Step::At(due) => {
                    // Both arms are cancel-safe: each only waits.
                    tokio::select! {
                        () = sleep_until(due + jitter(APART)) => {}
                        () = wanted => {}
                    }
                    continue;
                }
                Step::Nothing => {
                    wanted.await;
                    continue;
                }
            };
            match result {
                Ok(()) => {
                    self.0.means.slots.reserved(failures);
                    (failures, pause) = (0, PAUSE.0);
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    self.0.means.slots.not_reserved(failures, &error);
                    sleep(pause).await;
                    pause = longer(pause);
                }
            }
        }
    }

    /// What to do next.
    fn next(&self) -> Step {
        let now = Instant::now();
        let waiting = self.0.waiting.load(Ordering::SeqCst);
        let mut state = self.state();
        if !state.configured && waiting > 0 {
            return Step::Configure;
        }
        if state.pausing && state.not_before > now {
            return Step::Pause(state.not_before);
        }
        state.pausing = false;
        match state.timeline.ask(self.time(now), waiting) {
            Ask::Now(asked) => Step::Ask(asked),
            Ask::At(moment) => Step::At(self.moment(moment)),
            Ask::Nothing => Step::Nothing,
        }
    }

    /// Puts the limit in place. Not at the start: then the table may not be there yet.
    async fn configure(&self) -> Result<(), storage::Error> {
        let Means { store, target, limit, .. } = &self.0.means;
        within(store.configure_limit(target, *limit)).await?;
        self.state().configured = true;
        Ok(())
    }

    /// Lets others know of a pause.
    async fn told(&self, until: Instant) -> Result<(), storage::Error> {
        let wait = until.saturating_duration_since(Instant::now());
        within(self.0.means.store.pause_slots(&self.0.means.target, wait)).await?;
        let mut state = self.state();
        // One that came meanwhile, and lasts longer, is yet to be told.
        state.pausing = state.not_before > until;
        Ok(())
    }

    /// Reserves slots, and tells whoever waits for them.
    async fn reserve(&self, asked: Asked) -> Result<(), storage::Error> {
        let Means { store, target, slots, .. } = &self.0.means;
        let began = self.time(Instant::now());
        let Some(reserved) = within(store.reserve(target, asked)).await? else {
            self.state().configured = false;
            return Ok(());
        };
        let ended = self.time(Instant::now());
        let received = self.take_up(began, ended, asked, &reserved);
        slots.dropped(Outcome::RoundTrip, received.late);
        slots.dropped(Outcome::Withdrawn, received.withdrawn);
        if received.jumped {
            tracing::warn!("the database's clock was set; slots in hand are given up");
        }
        self.0.news.notify_waiters();
        Ok(())
    }

    /// Takes up what was reserved.
    fn take_up(&self, began: i64, ended: i64, asked: Asked, reserved: &Reserved) -> super::timeline::Received {
        let mut state = self.state();
        if state.timeline.limit != reserved.limit {
            state.lately = Lately::new(reserved.limit.requests, reserved.limit.interval);
            let turns = turns_of(reserved.limit);
            if turns != turns_of(state.timeline.limit) {
                // Whoever waits for a turn of before still gets one; meanwhile others may pass.
                state.queue = Arc::new(Semaphore::new(turns));
            }
        }
        state.timeline.reserved(began, ended, asked.slots, reserved)
    }

    /// Tries to take the slot that is due.
    fn take(&self) -> Turn {
        let now = Instant::now();
        let mut state = self.state();
        if state.not_before > now {
            return Turn::At(state.not_before);
        }
        match state.timeline.take(self.time(now)) {
            Taken::Used(sent) => {
                state.lately.note(now);
                Turn::Sent(now, sent)
            }
            Taken::Dropped => Turn::Dropped,
            Taken::At(moment) => Turn::At(self.moment(moment)),
            Taken::Wait => Turn::Wait,
        }
    }

    /// Takes the lock, which is never held over a wait.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A moment in nanoseconds since the origin.
    fn time(&self, moment: Instant) -> i64 {
        i64::try_from(moment.saturating_duration_since(self.0.origin).as_nanos()).unwrap_or(i64::MAX)
    }

    /// The moment so many nanoseconds after the origin.
    fn moment(&self, time: i64) -> Instant {
        self.0.origin + Duration::from_nanos(u64::try_from(time).unwrap_or_default())
    }
}

/// What the asking task does next.
enum Step {
    /// Puts the limit in place.
    Configure,
    /// Lets others know of a pause until this moment.
    Pause(Instant),
    /// Asks for this.
    Ask(Asked),
    /// Nothing before this moment.
    At(Instant),
    /// Nothing until something is wanted.
    Nothing,
}

/// What an attempt that has its turn does next.
enum Turn {
    /// It is sent now.
    Sent(Instant, Sent),
    /// It looks at the next slot.
    Dropped,
    /// It waits for this moment.
    At(Instant),
    /// It waits for news.
    Wait,
}

/// The pause after the next failure.
fn longer(pause: Duration) -> Duration {
    (pause * 2).min(PAUSE.1)
}

/// How many attempts have their turn at once: as many as slots come due in one tick of the timer, but one at least.
fn turns_of(limit: Limit) -> usize {
    let slots = TICK.as_nanos() * u128::from(limit.requests) / limit.interval.as_nanos().max(1);
    usize::try_from(slots).unwrap_or(TURNS_MAX).clamp(1, TURNS_MAX)
}

#[async_trait]
impl Pace for Shared {
    async fn slot(&self) -> Slot {
        let _waiting = Waiting::new(&self.0.waiting);
        if self.0.idle.swap(false, Ordering::SeqCst) {
            self.0.wanted.notify_one();
        }
        let queue = Arc::clone(&self.state().queue);
        let turn = queue.acquire().await.expect("invariant: it is never closed");
        let (sent, of) = loop {
            let news = self.0.news.notified();
            match self.take() {
                Turn::Sent(sent, of) => break (sent, of),
                Turn::Dropped => self.0.means.slots.dropped(Outcome::Late, 1),
                // Both arms are cancel-safe: each only waits.
                Turn::At(due) => tokio::select! {
                    () = sleep_until(due) => {}
                    () = news => {}
                },
                Turn::Wait => {
                    self.0.wanted.notify_one();
                    news.await;
                }
            }
        };
        drop(turn);
        self.0.means.slots.used();
        let shared = self.clone();
        let heard: Heard = Box::new(move |round_trip, worked| {
            if shared.state().timeline.heard(of, round_trip, worked) {
                shared.0.wanted.notify_one();
            }
        });
        Slot { sent, heard: Some(heard) }
    }

    async fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let withdrawn = {
            let mut state = self.state();
            if until <= state.not_before {
                return;
            }
            (state.not_before, state.pausing) = (until, true);
            state.timeline.clear()
        };
        self.0.means.slots.dropped(Outcome::Withdrawn, withdrawn);
        self.0.wanted.notify_one();
    }

    fn used(&self) -> f64 {
        self.state().lately.used(Instant::now())
    }

    fn limit(&self) -> Limit {
        self.state().timeline.limit
    }
}

/// Waits for the database as long as its answer is of use.
async fn within<T>(call: impl Future<Output = Result<T, storage::Error>>) -> Result<T, storage::Error> {
    timeout(ANSWER_MAX, call).await.unwrap_or(Err(storage::Error::TooSlow(ANSWER_MAX)))
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
