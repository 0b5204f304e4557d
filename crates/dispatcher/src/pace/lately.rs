//! How much of the limit was used lately.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// What was given out lately, in ten parts of a window.
#[derive(Debug)]
pub(super) struct Lately {
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
    pub(super) fn new(requests: u32, interval: Duration) -> Self {
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
    pub(super) fn note(&self, now: Instant) {
        let number = self.number(now);
        let tag = (number & 0xffff_ffff) << 32;
        let Some(counter) = self.counter(number) else { return };
        let counted = |old: u64| if old & !0xffff_ffff == tag { old + 1 } else { tag + 1 };
        // It never answers `Err`: the closure always has a next value.
        counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(counted(old))).ok();
    }

    /// The used share over the finished parts.
    pub(super) fn used(&self, now: Instant) -> f64 {
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
