//! Ids of traces that begin here: the second first, then chance.
//!
//! ```text
//! 6929c3d5 8f3a0b6c22d17e94a05be1f7      seconds since 1970, 24 digits of chance
//! ```
//! Whoever keeps ids in order, as the journal's index does, then writes those of one moment side by side instead of all over what is
//! there. W3C's trace context asks no more than that the last seven bytes are random.

use std::num::{NonZeroU64, NonZeroU128};

use events_proxy_core::Moment;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::IdGenerator;
use rand::Rng;

use crate::clock::{Clock, SystemClock};

/// The digits of the second stand before so many bits of chance.
const CHANCE_BITS: u32 = 96;

/// A new trace's id.
pub(super) fn trace() -> NonZeroU128 {
    begun(SystemClock.now())
}

/// A new span's id.
pub(super) fn span() -> NonZeroU64 {
    rand::rng().random()
}

/// The id of a trace that begins at this moment. The second takes 32 bits: from 2106 on it begins anew.
fn begun(now: Moment) -> NonZeroU128 {
    let second = u128::from(now.as_micros().unsigned_abs() / 1_000_000);
    let mut rng = rand::rng();
    let chance = u128::from(rng.random::<u32>()) << u64::BITS;
    NonZeroU128::from(rng.random::<NonZeroU64>()) | chance | (second << CHANCE_BITS)
}

/// Gives the SDK its ids.
#[derive(Debug)]
pub(crate) struct Ids;

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        trace().get().into()
    }

    fn new_span_id(&self) -> SpanId {
        span().get().into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use events_proxy_core::Moment;

    use super::begun;

    #[test]
    fn ids_of_one_second_begin_alike_and_differ_afterwards() {
        let now = Moment::from_micros(1_764_344_789_999_999);
        let ids: HashSet<String> = (0..1_000).map(|_| format!("{:032x}", begun(now))).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| id.starts_with("6929c3d5")), "{ids:?}");
        let seventh_last: HashSet<&str> = ids.iter().filter_map(|id| id.get(18..20)).collect();
        assert!(seventh_last.len() > 200, "the last seven bytes are not random: {seventh_last:?}");
    }

    #[test]
    fn a_later_second_is_a_greater_id_and_none_is_refused() {
        let at = |second: i64| begun(Moment::from_micros(second * 1_000_000));
        assert!(at(1_764_344_790) > at(1_764_344_789));
        assert_eq!(at(1 << 32).get() >> 96, 0, "the second begins anew");
        assert!(begun(Moment::from_micros(i64::MIN)).get() > 0 && begun(Moment::from_micros(i64::MAX)).get() > 0);
    }
}
