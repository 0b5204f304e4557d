//! How long answers took, in a fixed number of buckets.
//!
//! Exact below 32 µs; above, every power of two is cut into 32 equal parts, so a value is at most 1/32 (3 %) too high.
//! Whatever is longer than a minute counts as a minute.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Parts of a power of two.
const PARTS: u64 = 32;
/// The exponent of [`PARTS`].
const PARTS_EXPONENT: u32 = PARTS.trailing_zeros();
/// The longest span that is told apart, in microseconds.
const MICROS_MAX: u64 = 60_000_000;
/// Enough for [`MICROS_MAX`].
const BUCKETS: usize = 704;

const _: () = assert!(bucket(MICROS_MAX) < BUCKETS as u64);

/// Counts of spans.
#[derive(Debug)]
pub(super) struct Histogram {
    /// One count per bucket.
    counts: [AtomicU64; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; BUCKETS] }
    }
}

impl Histogram {
    /// Counts one span.
    pub(super) fn add(&self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(MICROS_MAX).min(MICROS_MAX);
        if let Some(count) = usize::try_from(bucket(micros)).ok().and_then(|place| self.counts.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The span, in microseconds, that `share` of all spans do not exceed; zero when nothing was counted.
    pub(super) fn quantile(&self, share: f64) -> u64 {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let mut seen = 0;
        for (place, count) in (0..).zip(&counts) {
            seen += count;
            #[expect(clippy::cast_precision_loss, reason = "a rank that is wrong by one in 2^53 is right enough")]
            if seen > 0 && seen as f64 >= share * total as f64 {
                return upper(place);
            }
        }
        0
    }
}

/// The bucket of a span.
const fn bucket(micros: u64) -> u64 {
    if micros < PARTS {
        return micros;
    }
    let shift = micros.ilog2() - PARTS_EXPONENT;
    (shift as u64) * PARTS + (micros >> shift)
}

/// The longest span in a bucket: the inverse of [`bucket`].
const fn upper(place: u64) -> u64 {
    if place < 2 * PARTS {
        return place;
    }
    let shift = place / PARTS - 1;
    ((place % PARTS + PARTS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BUCKETS, Histogram, MICROS_MAX, bucket, upper};

    #[test]
    fn every_bucket_ends_where_the_next_begins() {
        for place in 0..BUCKETS as u64 {
            assert_eq!((bucket(upper(place)), bucket(upper(place) + 1)), (place, place + 1));
        }
    }

    #[test]
    fn a_value_is_told_at_most_a_thirty_second_too_high() {
        for micros in (0..1_000_000).step_by(7).chain([MICROS_MAX]) {
            let told = upper(bucket(micros));
            assert!(told >= micros && told - micros <= micros / 32, "{micros} told as {told}");
        }
    }

    #[test]
    fn quantiles_of_a_known_distribution() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.99), 0);
        for micros in 1..=10_000 {
            histogram.add(Duration::from_micros(micros));
        }
        histogram.add(Duration::MAX);
        assert!((5_000..=5_160).contains(&histogram.quantile(0.5)), "{}", histogram.quantile(0.5));
        assert!((9_900..=10_240).contains(&histogram.quantile(0.99)), "{}", histogram.quantile(0.99));
        assert!(histogram.quantile(1.0) >= MICROS_MAX);
    }
}
