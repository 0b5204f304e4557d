//! The last recorded trace in each bucket of a histogram, so that a slow bucket leads to a request that was slow.
//!
//! Bounded: one exemplar per bucket and set of labels, and [`SERIES_MAX`] sets per histogram. What belongs to no recorded
//! trace costs a look at a flag.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events_proxy_core::{Moment, TraceContext};
use opentelemetry::KeyValue;

use super::SECONDS;
use crate::clock::{Clock, SystemClock};

/// How many sets of labels of a histogram have exemplars.
const SERIES_MAX: usize = 64;

/// A histogram of seconds with its exemplars; clones are the same one.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// Where everything is counted.
    inner: opentelemetry::metrics::Histogram<f64>,
    /// What is kept of recorded traces.
    kept: Kept,
}

/// What was measured last in a bucket, and in which trace.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exemplar {
    /// The trace.
    pub(super) trace_id: String,
    /// How many seconds it was.
    pub(super) seconds: f64,
    /// When.
    pub(super) at: Moment,
}

/// Labels as Prometheus reads them, sorted.
pub(super) type Labels = Vec<(String, String)>;
/// The exemplars of a series, by bucket; the last one has no bound.
pub(super) type Buckets = [Option<Exemplar>; SECONDS.len() + 1];

/// The exemplars of one histogram.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<HashMap<Labels, Buckets>>>);

/// The exemplars of all histograms, by the name that Prometheus reads.
#[derive(Debug, Clone, Default)]
pub(super) struct Exemplars(Arc<Mutex<HashMap<String, Kept>>>);

impl Histogram {
    /// A histogram that keeps its exemplars there.
    pub(super) const fn new(inner: opentelemetry::metrics::Histogram<f64>, kept: Kept) -> Self {
        Self { inner, kept }
    }

    /// Records a time.
    pub fn record(&self, time: Duration, labels: &[KeyValue]) {
        self.inner.record(time.as_secs_f64(), labels);
    }

    /// Records a time of an event, and its trace with it if that is recorded.
    pub fn record_in(&self, trace: Option<&TraceContext>, time: Duration, labels: &[KeyValue]) {
        self.record(time, labels);
        if let Some(trace) = trace.filter(|trace| trace.is_sampled()) {
            self.kept.keep(labels, Exemplar { trace_id: trace.trace_id().to_owned(), seconds: time.as_secs_f64(), at: SystemClock.now() });
        }
    }
}

impl Kept {
    /// Keeps an exemplar instead of the one before it.
    fn keep(&self, labels: &[KeyValue], exemplar: Exemplar) {
        let mut labels: Labels = labels.iter().map(|label| (label.key.as_str().replace('.', "_"), label.value.to_string())).collect();
        labels.sort_unstable();
        let mut series = self.series();
        if series.len() >= SERIES_MAX && !series.contains_key(&labels) {
            return;
        }
        let buckets = series.entry(labels).or_insert_with(|| std::array::from_fn(|_| None));
        if let Some(bucket) = buckets.get_mut(SECONDS.partition_point(|bound| *bound < exemplar.seconds)) {
            *bucket = Some(exemplar);
        }
    }

    /// The exemplars of a series.
    pub(super) fn of(&self, labels: &Labels) -> Option<Buckets> {
        self.series().get(labels).cloned()
    }

    /// Takes the lock, which is never held over a wait.
    fn series(&self) -> MutexGuard<'_, HashMap<Labels, Buckets>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exemplars {
    /// Those of a histogram; an unknown one has none yet.
    pub(super) fn of(&self, name: &str) -> Kept {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;

    use super::{Exemplar, Kept, SERIES_MAX};
    use crate::clock::{Clock, SystemClock};
    use crate::metrics::SECONDS;

    fn exemplar(trace_id: &str, seconds: f64) -> Exemplar {
        Exemplar { trace_id: trace_id.to_owned(), seconds, at: SystemClock.now() }
    }

    #[test]
    fn each_bucket_keeps_its_last_exemplar_and_a_bound_belongs_to_its_own_bucket() {
        let (kept, labels) = (Kept::default(), [KeyValue::new("b.c", "2"), KeyValue::new("a", 1)]);
        for (trace, seconds) in [("first", 0.3), ("second", 0.4), ("slow", 9_999.0), ("fast", 0.0)] {
            kept.keep(&labels, exemplar(trace, seconds));
        }
        let buckets = kept.of(&vec![("a".to_owned(), "1".to_owned()), ("b_c".to_owned(), "2".to_owned())]).unwrap();
        let kept: Vec<(usize, &str)> =
            buckets.iter().enumerate().filter_map(|(at, one)| Some((at, one.as_ref()?.trace_id.as_str()))).collect();
        let of_400_ms = SECONDS.iter().position(|bound| *bound == 0.4).unwrap();
        assert_eq!(kept, [(0, "fast"), (of_400_ms, "second"), (SECONDS.len(), "slow")]);
    }

    #[test]
    fn the_number_of_series_is_bounded_and_those_that_are_there_go_on() {
        let kept = Kept::default();
        for series in 0..SERIES_MAX + 10 {
            kept.keep(&[KeyValue::new("series", series.to_string())], exemplar("old", 1.0));
        }
        kept.keep(&[KeyValue::new("series", "0")], exemplar("new", 1.0));
        assert_eq!(kept.series().len(), SERIES_MAX);
        let first = kept.of(&vec![("series".to_owned(), "0".to_owned())]).unwrap();
        assert!(first.iter().flatten().all(|exemplar| exemplar.trace_id == "new"));
    }
}
