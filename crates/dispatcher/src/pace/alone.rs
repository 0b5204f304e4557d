//! The limit of one process that has it for itself.
//!
//! ```text
//!  slots   |----s----|----s----|----s----|     s = interval / N and a little: an even pace, by crate `ratelimit`
//!  sent    x             x x         x         a late wake-up is caught up with: the slots of the past are still there
//!  window  [────────── N at most ─────────]    unless the window of what arrived in the last interval is full
//! ```
//! The slots make the pace even, the window makes it lawful: a request leaves it a whole interval after the moment by
//! which it has arrived. That moment is its answer's, less what every answer takes, as far as the credit for jitter
//! reaches; else it is thought to have been on its way for the guard at most.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ratelimit::{Clock, Ratelimiter, TryWaitError};
use storage::Limit;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::jitter::Jitter;
use super::lately::Lately;
use super::window::Window;
use super::{Heard, Pace, Slot, Unkeepable, nanos};

/// Slots are this much further apart than the limit asks, in thousandths of their distance: what the window holds back for
/// jitter is made up for by it, so that the pace stays even.
const SLACK_THOUSANDTHS: u32 = 4;
/// What each request adds to the credit for jitter, in thousandths of the interval. With the guard this is what a target
/// costs at most whose answers take a different time each.
const CREDIT_THOUSANDTHS: u32 = 3;
/// A wake-up that is late by no more than this is usual.
const LATE_USUAL: Duration = Duration::from_millis(3);
/// How far before it is asked for a slot may lie, as a part of the interval: slots of an idle time are not saved up, but
/// where a few attempts wait, each a little late, their lateness does not add up.
const EARLY_PART: u32 = 50;

/// The limit of one process; clones share it.
#[derive(Debug, Clone)]
pub struct Alone(Arc<Shared>);

/// What clones share.
#[derive(Debug)]
struct Shared {
    /// Whoever waits for a slot waits here, first come, first served.
    turn: tokio::sync::Mutex<()>,
    /// Slots and window.
    core: Mutex<Core>,
    /// Told when a slot may come earlier than it seemed.
    changed: Notify,
    /// When it began.
    began: Instant,
}

impl Alone {
    /// Gives out `requests` slots in any rolling `interval`.
    ///
    /// # Errors
    /// [`Unkeepable`] for a limit of nothing or of no time.
    pub fn new(requests: u32, interval: Duration) -> Result<Self, Unkeepable> {
        let limit = super::limit(requests, interval)?;
        let core = Core::new(limit).ok_or(Unkeepable { requests, interval })?;
        let began = core.origin;
        Ok(Self(Arc::new(Shared { turn: tokio::sync::Mutex::default(), core: Mutex::new(core), changed: Notify::new(), began })))
    }

    /// The same, which gives out nothing before it is told of the life before this one, or could have used up no more of the
    /// limit: what that one sent last is known to the target alone.
    ///
    /// # Errors
    /// [`Unkeepable`] for a limit of nothing or of no time.
    pub fn resuming(requests: u32, interval: Duration) -> Result<Self, Unkeepable> {
        let pace = Self::new(requests, interval)?;
        pace.hold(super::limit(requests, interval)?);
        Ok(pace)
    }

    /// Tells of the life before this one: the limit that it had, or that there was none.
    pub(super) fn follows(&self, former: Option<Limit>) {
        match former {
            Some(former) => self.hold(former),
            None => self.core().held_until = self.0.began,
        }
        self.0.changed.notify_waiters();
    }

    /// Gives out nothing while a life before this one, under that limit, may stand in the target's window.
    fn hold(&self, former: Limit) {
        let mut core = self.core();
        core.held_until = core.held_until.max(self.0.began + former.period());
    }

    /// Goes on with another limit. No window holds more than the larger of both.
    ///
    /// # Errors
    /// [`Unkeepable`] for a limit of nothing or of no time; the present one stays.
    pub fn change(&self, limit: Limit) -> Result<(), Unkeepable> {
        if limit == self.core().limit {
            return Ok(());
        }
        super::limit(limit.requests, limit.interval)?;
        let unkeepable = Unkeepable { requests: limit.requests, interval: limit.interval };
        self.core().change(limit).ok_or(unkeepable)?;
        self.0.changed.notify_waiters();
        Ok(())
    }

    /// Takes the lock, which is never held over a wait.
    fn core(&self) -> MutexGuard<'_, Core> {
        self.0.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Pace for Alone {
    async fn slot(&self) -> Slot {
        let asked = Instant::now();
        let turn = self.0.turn.lock().await;
        let (sent, counted) = loop {
            let changed = self.0.changed.notified();
            let due = match self.core().due(asked, Instant::now()) {
                Due::Sent(sent, counted) => break (sent, counted),
                Due::At(due) => due,
            };
            // Both arms are cancel-safe: each only waits.
            tokio::select! {
                () = tokio::time::sleep_until(due) => self.core().jitter.late(due.elapsed().saturating_sub(LATE_USUAL)),
                () = changed => {}
            }
        };
        drop(turn);
        let alone = self.clone();
        let heard: Heard = Box::new(move |round_trip, worked| alone.core().heard(counted, round_trip, worked));
        Slot { sent, heard: Some(heard) }
    }

    async fn pause(&self, wait: Duration) {
        let mut core = self.core();
        core.not_before = core.not_before.max(Instant::now() + wait);
    }

    fn used(&self) -> f64 {
        self.core().lately.used(Instant::now())
    }

    fn limit(&self) -> Limit {
        self.core().limit
    }
}

/// Whether a slot is due.
enum Due {
    /// It was taken at this moment; where its request is counted.
    Sent(Instant, Counted),
    /// Not before this moment.
    At(Instant),
}

/// Where a request is counted until its answer tells more.
#[derive(Debug, Clone, Copy)]
struct Counted {
    /// When it was sent.
    sent: u64,
    /// When it has arrived at the latest, as far as is known.
    arrived: u64,
    /// The limit that it was counted for.
    epoch: u32,
}

/// Slots and window.
struct Core {
    /// The limit.
    limit: Limit,
    /// How often it was changed.
    epoch: u32,
    /// When all clocks here were zero.
    origin: Instant,
    /// A bucket of one token: the slots.
    bucket: Ratelimiter<VirtualClock>,
    /// Its clock.
    clock: VirtualClock,
    /// A slot that nobody has used yet.
    slot: Option<Duration>,
    /// What arrived in the last interval.
    window: Window,
    /// What answers tell.
    jitter: Jitter,
    /// No slot before this: the target asked for a pause.
    not_before: Instant,
    /// No slot before this: a life before this one may have used the limit up.
    held_until: Instant,
    /// What was given out lately.
    lately: Lately,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("limit", &self.limit).field("at", &self.clock.elapsed()).finish_non_exhaustive()
    }
}

impl Core {
    /// For a limit; `None` if the bucket cannot be made.
    fn new(limit: Limit) -> Option<Self> {
        let (clock, now) = (VirtualClock::default(), Instant::now());
        let builder = ratelimit::Builder::with_clock(u64::from(limit.requests), clock.clone());
        let bucket = builder.period(paced(limit)).max_tokens(1).initial_available(1).build().ok()?;
        let window = Window::new(nanos(limit.interval));
        let lately = Lately::new(limit.requests, limit.interval);
        let jitter = jitter(limit);
        Some(Self { limit, epoch: 0, origin: now, bucket, clock, slot: None, window, jitter, not_before: now, held_until: now, lately })
    }

    /// Goes on with another limit. What is in the window counts as sent now, so nothing of it is forgotten too early.
    fn change(&mut self, limit: Limit) -> Option<()> {
        let now = Instant::now();
        self.window.move_to(self.time(now));
        let other = Self::new(limit)?;
        let (inside, epoch) = (self.window.total(), self.epoch.wrapping_add(1));
        *self = Self { epoch, not_before: self.not_before, held_until: self.held_until, ..other };
        self.window.add(self.time(now), inside);
        Some(())
    }

    /// Takes a slot if one is due that was asked for at that time, and counts its request.
    fn due(&mut self, asked: Instant, now: Instant) -> Due {
        let time = self.time(now);
        self.window.move_to(time);
        let slot = match self.slot {
            Some(slot) => slot,
            None => self.next(asked, now),
        };
        self.slot = Some(slot);
        let mut due = (self.origin + slot).max(self.not_before).max(self.held_until);
        if self.window.total() >= u64::from(self.limit.requests) {
            let leaves = self.window.leaves_at().unwrap_or(time);
            due = due.max(self.origin + Duration::from_nanos(leaves));
        }
        if due > now {
            return Due::At(due);
        }
        self.slot = None;
        let arrived = time + nanos(self.limit.guard).min(self.window.future());
        self.window.add(arrived, 1);
        self.jitter.earn();
        self.lately.note(now);
        Due::Sent(now, Counted { sent: time, arrived, epoch: self.epoch })
    }

    /// The slot after the last one: not long before it was asked for, and not further in the past than can be caught up with.
    fn next(&self, asked: Instant, now: Instant) -> Duration {
        let late_max = (self.limit.interval / 4).min(Duration::from_secs(1));
        let early_max = (self.limit.interval / EARLY_PART).min(late_max);
        let ago = |moment: Instant, time| moment.checked_sub(time).unwrap_or(self.origin).saturating_duration_since(self.origin);
        self.clock.reach(ago(asked, early_max).max(ago(now, late_max)));
        while let Err(TryWaitError::Insufficient(wait)) = self.bucket.try_wait() {
            self.clock.reach(self.clock.elapsed() + wait.max(Duration::from_nanos(1)));
        }
        self.clock.elapsed()
    }

    /// An answer came after so long.
    fn heard(&mut self, counted: Counted, round_trip: Duration, worked: bool) {
        let excess = self.jitter.heard(round_trip, worked);
        self.window.move_to(self.time(Instant::now()));
        if counted.epoch != self.epoch {
            return;
        }
        let beyond = self.jitter.spend(excess.saturating_sub(self.limit.guard), excess);
        let late = nanos(excess.min(self.limit.guard) + beyond);
        self.window.shift(counted.arrived, counted.sent + late);
    }

    /// A moment in nanoseconds since the origin.
    fn time(&self, moment: Instant) -> u64 {
        nanos(moment.saturating_duration_since(self.origin))
    }
}

/// The time of as many slots as an interval has.
fn paced(limit: Limit) -> Duration {
    limit.interval + limit.interval * SLACK_THOUSANDTHS / 1_000
}

/// A credit for jitter: what is saved up covers a whole window that is late by a fiftieth, or one late request.
fn jitter(limit: Limit) -> Jitter {
    let earned = limit.interval * CREDIT_THOUSANDTHS / 1_000;
    let most = (limit.interval / 50).saturating_mul(limit.requests).max(limit.interval / 4);
    Jitter::new(earned, most, paced(limit) - limit.interval)
}

/// A clock that stands still until it is put forward, in nanoseconds.
#[derive(Debug, Clone, Default)]
struct VirtualClock(Arc<AtomicU64>);

impl VirtualClock {
    /// Puts the clock forward to a time; never back.
    fn reach(&self, time: Duration) {
        self.0.fetch_max(nanos(time), Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
#[path = "alone_tests.rs"]
mod tests;
