//! Stage 8 of 10 — pace: waits for a slot of the target's limit.
//!
//! Law: in no rolling window does the target see more than its limit, while a backlog uses at least 98 % of it. Every
//! attempt pays one slot: first tries, retries and probes.
//!
//! The limit is for the target's clock, and a request arrives somewhere between its sending and its answer. So a slot is
//! handed back with the answer: it tells how long the request can have been on its way. Two adapters keep the law:
//! [`Alone`] for a process that has the limit for itself, [`Shared`] for any number of them on one database.
//! Next: `crates/dispatcher/src/deliver.rs`.

mod window;
mod jitter;
mod lately;
mod alone;
mod bearings;
mod timeline;
mod shared;
mod follow;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::lifecycle::Tasks;
use chassis::metrics::Registry;
use storage::{Limit, Store};
use tokio::time::Instant;

use crate::metrics::FAMILIES;
use crate::metrics::slots::Slots;

pub use alone::Alone;
pub use follow::only_one;
pub use shared::{Means, Shared};

/// The part of an interval that is kept free for jitter, in thousandths: a backlog uses the rest.
const GUARD_THOUSANDTHS: u32 = 12;
/// The least that is kept free: timers wake up to a millisecond late. An interval under 200 ms is used less than 98 % for
/// it, where answers don't tell that their requests arrived sooner.
const GUARD_MIN: Duration = Duration::from_millis(4);

/// Gives out the target's limit.
#[async_trait]
pub trait Pace: Send + Sync + std::fmt::Debug {
    /// Waits until one request may be sent, at once. Dropping the future gives nothing away that was not used.
    async fn slot(&self) -> Slot;

    /// Gives out nothing for so long: the target said that it is too fast.
    async fn pause(&self, wait: Duration);

    /// The used share of the limit, 0 to 1, over the last window or so.
    fn used(&self) -> f64;

    /// The limit as it is now; it may be changed while the process runs.
    fn limit(&self) -> Limit;
}

/// Leave to send one request.
#[must_use = "a slot that is not used is lost"]
pub struct Slot {
    /// When it was given.
    sent: Instant,
    /// Who wants to know how long the answer took.
    heard: Option<Heard>,
}

/// Is told a round trip, and whether the target did its work in it.
type Heard = Box<dyn FnOnce(Duration, bool) + Send + Sync>;

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl Slot {
    /// A slot whose answer nobody asks for.
    pub fn free() -> Self {
        Self { sent: Instant::now(), heard: None }
    }

    /// A slot that tells whether the target did its work.
    #[cfg(test)]
    pub(crate) fn watched(worked: impl FnOnce(bool) + Send + Sync + 'static) -> Self {
        Self { sent: Instant::now(), heard: Some(Box::new(move |_, did| worked(did))) }
    }

    /// The target did its work, and the answer is there.
    pub fn answered(self) {
        self.ends(true);
    }

    /// The target answered without doing its work, or it is sure that no answer comes: this says that the request arrived
    /// before now, if at all, but nothing of how long the target's work takes.
    pub fn failed(self) {
        self.ends(false);
    }

    /// Tells the round trip.
    fn ends(self, worked: bool) {
        if let Some(heard) = self.heard {
            heard(self.sent.elapsed(), worked);
        }
    }
}

/// The pace of a target that has this limit: of all processes on the database, if others can use it too.
///
/// # Errors
/// [`Unkeepable`] for a limit of nothing or of no time.
pub fn open(
    target: &str,
    configured: (u32, Duration),
    store: Store,
    registry: &Registry,
    tasks: &Tasks,
) -> Result<Arc<dyn Pace>, Unkeepable> {
    let (requests, interval) = configured;
    let limit = limit(requests, interval)?;
    let pace: Arc<dyn Pace> = if store.is_shared() {
        Arc::new(Shared::start(Means { store, target: target.to_owned(), limit, slots: Slots::new(registry) }, tasks))
    } else {
        let alone = Alone::resuming(requests, interval)?;
        follow::start(alone.clone(), target, store, tasks);
        Arc::new(alone)
    };
    let (told, used) = (Arc::clone(&pace), Arc::clone(&pace));
    registry.meter(FAMILIES).gauge("pace.permitted", move || per_second(told.limit()));
    registry.meter(FAMILIES).gauge("pace.used", move || used.used());
    Ok(pace)
}

/// How many requests a limit permits per second.
pub(crate) fn per_second(limit: Limit) -> f64 {
    f64::from(limit.requests) / limit.interval.as_secs_f64()
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

/// A limit with its guard.
///
/// # Errors
/// [`Unkeepable`] for a limit of nothing or of no time.
pub fn limit(requests: u32, interval: Duration) -> Result<Limit, Unkeepable> {
    if requests == 0 || interval.is_zero() {
        return Err(Unkeepable { requests, interval });
    }
    Ok(Limit { requests, interval, guard: (interval * GUARD_THOUSANDTHS / 1_000).max(GUARD_MIN) })
}

/// A time in nanoseconds, which reach 584 years.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{limit, per_second};

    #[test]
    fn so_much_of_an_interval_is_kept_free() {
        for (millis, guard) in [(10_000, 120), (1_000, 12), (500, 6), (100, 4), (1, 4)] {
            assert_eq!(limit(7, Duration::from_millis(millis)).unwrap().guard, Duration::from_millis(guard), "{millis} ms");
        }
    }

    #[test]
    fn a_limit_of_nothing_or_of_no_time_cannot_be_kept() {
        let told = limit(0, Duration::from_secs(1)).unwrap_err().to_string();
        assert_eq!(told, "a limit of 0 requests in 1s cannot be kept");
        assert!(limit(1, Duration::ZERO).is_err());
    }

    #[test]
    fn a_limit_is_told_per_second_whatever_its_interval() {
        let told = |requests, millis| per_second(limit(requests, Duration::from_millis(millis)).unwrap());
        assert_eq!((told(30, 2_000), told(5, 250), told(10, 1_000)), (15.0, 20.0, 10.0));
    }
}
