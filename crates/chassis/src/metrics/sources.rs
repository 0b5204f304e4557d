//! How many events of each source were accepted, refused, delivered, parked and dead.
//!
//! Bounded: the first [`SOURCES_MAX`] sources that a process meets have their own series, all others share one. Counting is
//! a look into a map and one addition; labels are made when somebody reads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use events_proxy_core::SourceId;
use opentelemetry::KeyValue;
use opentelemetry::metrics::AsyncInstrument;

use super::table::{EVENT, SOURCE, SOURCES_MAX};

/// What became of an event of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It was answered with 202.
    Accepted,
    /// It was refused, after its source was known.
    Refused,
    /// The target took it.
    Delivered,
    /// It was parked; each time counts.
    Parked,
    /// It was given up.
    Dead,
}

impl Event {
    /// All of them.
    pub(super) const ALL: [Self; 5] = [Self::Accepted, Self::Refused, Self::Delivered, Self::Parked, Self::Dead];

    /// Its word in labels.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Delivered => "delivered",
            Self::Parked => "parked",
            Self::Dead => "dead",
        }
    }
}

/// The events of one source.
#[derive(Debug, Default)]
struct Counts {
    /// See [`Event`].
    accepted: AtomicU64,
    /// See [`Event`].
    refused: AtomicU64,
    /// See [`Event`].
    delivered: AtomicU64,
    /// See [`Event`].
    parked: AtomicU64,
    /// See [`Event`].
    dead: AtomicU64,
}

impl Counts {
    /// The count of one kind.
    const fn of(&self, event: Event) -> &AtomicU64 {
        match event {
            Event::Accepted => &self.accepted,
            Event::Refused => &self.refused,
            Event::Delivered => &self.delivered,
            Event::Parked => &self.parked,
            Event::Dead => &self.dead,
        }
    }
}

/// Counts events by their source; clones count the same.
#[derive(Debug, Clone, Default)]
pub struct Sources(Arc<Shared>);

/// What clones share.
#[derive(Debug, Default)]
struct Shared {
    /// Those that have their own series.
    known: RwLock<HashMap<SourceId, Counts>>,
    /// All others.
    others: Counts,
}

impl Sources {
    /// Something became of an event.
    pub fn count(&self, source: &SourceId, event: Event) {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let (found, full) = (known.get(source), known.len() >= SOURCES_MAX);
        if let Some(counts) = found.or_else(|| full.then_some(&self.0.others)) {
            counts.of(event).fetch_add(1, Ordering::Relaxed);
            return;
        }
        drop(known);
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        // Others may have filled the last place meanwhile; one more does no harm.
        known.entry(source.clone()).or_default().of(event).fetch_add(1, Ordering::Relaxed);
    }

    /// Tells every count that is more than nothing.
    pub(super) fn observe(&self, counter: &dyn AsyncInstrument<u64>) {
        let tell = |source: &str, counts: &Counts| {
            for event in Event::ALL {
                let count = counts.of(event).load(Ordering::Relaxed);
                if count > 0 {
                    counter.observe(count, &[KeyValue::new(SOURCE.name, source.to_owned()), EVENT.is(event.as_str())]);
                }
            }
        };
        for (source, counts) in &*self.0.known.read().unwrap_or_else(PoisonError::into_inner) {
            tell(source.as_str(), counts);
        }
        tell("other", &self.0.others);
    }
}

#[cfg(test)]
mod tests {
    use events_proxy_core::SourceId;

    use super::{Event, SOURCES_MAX};
    use crate::metrics::Registry;

    #[test]
    fn a_source_has_its_own_series_until_there_are_too_many() {
        let registry = Registry::new();
        let sources = registry.sources();
        for number in 0..SOURCES_MAX + 3 {
            sources.count(&SourceId::new(format!("s-{number}")), Event::Accepted);
        }
        registry.sources().count(&SourceId::new("s-0"), Event::Accepted);
        registry.sources().count(&SourceId::new("s-0"), Event::Dead);
        let text = registry.render();
        for line in [
            "source_events_total{outcome=\"accepted\",source=\"s-0\"} 2",
            "source_events_total{outcome=\"dead\",source=\"s-0\"} 1",
            "source_events_total{outcome=\"accepted\",source=\"s-199\"} 1",
            "source_events_total{outcome=\"accepted\",source=\"other\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "`{line}` is missing in\n{text}");
        }
        assert_eq!(text.matches("\nsource_events_total{").count(), SOURCES_MAX + 2);
    }
}
