//! Stage 8 of 10 — pace: waits for a slot of the target's limit.
//!
//! Law: in no rolling window does the target see more than its limit, while a backlog uses at least 98 % of it. Every
//! attempt pays one slot: first tries, retries and probes.
//!
//! ```text
//! virtual time  |----s----|----s----|----s----|       s = (window + guard) / N
//! sent            x          x         x              each at most `guard / 2` after its slot, else the slot is dropped
//! ```
//! The slots are those of a token bucket of one token (crate `ratelimit`) on a clock of our own, so that a late wake-up
//! delays one attempt and not all that follow.
//! Next: `crates/dispatcher/src/deliver.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ratelimit::{Clock, Ratelimiter, TryWaitError};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The part of a window that is kept free for late wake-ups and the network's jitter, in thousandths: a backlog uses the rest.
const GUARD_THOUSANDTHS: u32 = 15;
/// The least that is kept free: timers wake up to a millisecond late. A window under 200 ms is used less than 98 % for it.
const GUARD_MIN: Duration = Duration::from_millis(4);

/// Gives out the target's limit.
#[async_trait]
pub trait Pace: Send + Sync + std::fmt::Debug {
    /// Waits until one request may be sent, at once. Dropping the future gives nothing away that was not used.
    async fn slot(&self);

    /// Gives out nothing for so long: the target said that it is too fast.
    async fn pause(&self, wait: Duration);

    /// The used share of the limit, 0 to 1, over the last window or so.
    fn used(&self) -> f64;
}

/// The limit of one process, which has it for itself.
#[derive(Debug)]
pub struct Alone {
    /// The slots; whoever waits for one waits here, first come, first served.
    slots: Mutex<Slots>,
    /// What was given out lately.
    lately: Lately,
    /// How late an attempt may be.
    lateness_max: Duration,
}

/// Slots in virtual time.
struct Slots {
    /// The bucket of one token.
    bucket: Ratelimiter<VirtualClock>,
    /// Its clock.
    clock: VirtualClock,
    /// When the clock was zero.
    origin: Instant,
}

impl std::fmt::Debug for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots").field("at", &self.clock.elapsed()).finish_non_exhaustive()
    }
}

/// A clock that stands still until it is put forward, in nanoseconds.
#[derive(Debug, Clone, Default)]
struct VirtualClock(Arc<AtomicU64>);

impl VirtualClock {
    /// Puts the clock forward to a time; never back.
    fn reach(&self, time: Duration) {
        self.0.fetch_max(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// A limit that cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a limit of {requests} requests in {interval:?} cannot be kept")]
pub struct Unkeepable {
    /// The requests.
    requests: u32,
    /// The interval.
    interval: Duration,
}

impl Alone {
    /// Gives out `requests` slots in any rolling `interval`.
    ///
    /// # Errors
    /// [`Unkeepable`] for a limit of nothing or of no time.
    pub fn new(requests: u32, interval: Duration) -> Result<Self, Unkeepable> {
        let unkeepable = Unkeepable { requests, interval };
        let guard = (interval * GUARD_THOUSANDTHS / 1_000).max(GUARD_MIN);
        // Without requests the crate's bucket would know no limit at all.
        if requests == 0 || interval.is_zero() {
            return Err(unkeepable);
        }
        let clock = VirtualClock::default();
        let builder = ratelimit::Builder::with_clock(u64::from(requests), clock.clone());
        let bucket = builder.period(interval + guard).max_tokens(1).initial_available(1).build().map_err(|_| unkeepable)?;
        let slots = Mutex::new(Slots { bucket, clock, origin: Instant::now() });
        Ok(Self { slots, lately: Lately::new(requests, interval), lateness_max: guard / 2 })
    }
}

impl Slots {
    /// The next slot, at or after `now`.
    fn next(&self, now: Instant) -> Instant {
        self.clock.reach(now.saturating_duration_since(self.origin));
        while let Err(TryWaitError::Insufficient(wait)) = self.bucket.try_wait() {
            self.clock.reach(self.clock.elapsed() + wait.max(Duration::from_nanos(1)));
        }
        self.origin + self.clock.elapsed()
    }
}

#[async_trait]
impl Pace for Alone {
    async fn slot(&self) {
        let slots = self.slots.lock().await;
        loop {
            // The clock follows the slots while there is a backlog, and real time when there was none.
            let slot = slots.next(self.earliest(&slots));
            tokio::time::sleep_until(slot).await;
            if slot.elapsed() <= self.lateness_max {
                break;
            }
        }
        drop(slots);
        self.lately.note(Instant::now());
    }

    async fn pause(&self, wait: Duration) {
        let slots = self.slots.lock().await;
        slots.clock.reach(Instant::now().saturating_duration_since(slots.origin) + wait);
    }

    fn used(&self) -> f64 {
        self.lately.used(Instant::now())
    }
}

impl Alone {
    /// From when on the next slot may lie: real time, less the lateness that is allowed anyway, so that a wake-up that
    /// came late by less than that costs nothing.
    fn earliest(&self, slots: &Slots) -> Instant {
        let now = Instant::now();
        let tolerated = now.checked_sub(self.lateness_max).unwrap_or(now);
        tolerated.max(slots.origin)
    }
}

/// What was given out lately, in ten parts of a window.
#[derive(Debug)]
struct Lately {
    /// When the first part began.
    origin: Instant,
    /// The length of a part.
    part: Duration,
    /// What a part may hold at the full limit.
    full: f64,
    /// Counts by part, in a ring, each with the number of its part in the upper half.
    counts: [AtomicU64; Self::PARTS],
}

impl Lately {
    /// How many parts are kept; the present one is not told, being unfinished.
    const PARTS: usize = 11;

    /// For a limit. A window under a second is counted as a second, one of a single request as ten.
    fn new(requests: u32, interval: Duration) -> Self {
        let span = if requests < 10 { interval * 10 } else { interval.max(Duration::from_secs(1)) };
        let part = span / 10;
        let full = f64::from(requests) * part.as_secs_f64() / interval.as_secs_f64();
        Self { origin: Instant::now(), part, full, counts: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// The number of the part that a moment lies in.
    fn number(&self, now: Instant) -> u64 {
        let nanos = now.saturating_duration_since(self.origin).as_nanos() / self.part.as_nanos().max(1);
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    /// The counter of a part.
    fn counter(&self, number: u64) -> Option<&AtomicU64> {
        let parts = u64::try_from(Self::PARTS).unwrap_or(1);
        self.counts.get(usize::try_from(number % parts).unwrap_or_default())
    }

    /// Notes one slot.
    fn note(&self, now: Instant) {
        let number = self.number(now);
        let tag = (number & 0xffff_ffff) << 32;
        let Some(counter) = self.counter(number) else { return };
        let counted = |old: u64| if old & !0xffff_ffff == tag { old + 1 } else { tag + 1 };
        // It never answers `Err`: the closure always has a next value.
        counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(counted(old))).ok();
    }

    /// The used share over the finished parts.
    fn used(&self, now: Instant) -> f64 {
        let present = self.number(now);
        let finished = present.min(10);
        if finished == 0 {
            return 0.0;
        }
        let count = |number: u64| {
            let counted = self.counter(number).map_or(0, |counter| counter.load(Ordering::Relaxed));
            let matches = counted >> 32 == number & 0xffff_ffff;
            if matches { u32::try_from(counted & 0xffff_ffff).unwrap_or(u32::MAX) } else { 0 }
        };
        let sum: f64 = (present - finished..present).map(|number| f64::from(count(number))).sum();
        let parts = u32::try_from(finished).unwrap_or(10);
        (sum / (self.full * f64::from(parts))).min(1.0)
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
