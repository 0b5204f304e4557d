//! Makes instruments of families that a table declares; nothing else can be counted.

use opentelemetry::metrics::{AsyncInstrument, Counter};

use super::exemplars::{Exemplars, Histogram};
use super::family::{Family, Kind};

/// Makes the instruments of one table.
#[derive(Debug, Clone)]
pub struct Meter {
    /// What makes them.
    inner: opentelemetry::metrics::Meter,
    /// Where histograms keep traces.
    exemplars: Exemplars,
    /// What there is to make.
    families: &'static [Family],
}

impl Meter {
    /// A meter of these families.
    pub(super) fn new((inner, exemplars): (opentelemetry::metrics::Meter, Exemplars), families: &'static [Family]) -> Self {
        Self { inner, exemplars, families }
    }

    /// A counter. Where its labels are closed sets each of its series begins at 0, so that the first happening is an increase.
    #[must_use]
    pub fn counter(&self, name: &'static str) -> Counter<u64> {
        let family = self.family(name, Kind::Counter);
        let counter = self.inner.u64_counter(name).with_unit(family.unit.code()).with_description(family.told).build();
        family.sets().iter().for_each(|labels| counter.add(0, labels));
        counter
    }

    /// A counter of what comes in fractions; it begins as the others do.
    #[must_use]
    pub fn sum(&self, name: &'static str) -> Counter<f64> {
        let family = self.family(name, Kind::Counter);
        let counter = self.inner.f64_counter(name).with_unit(family.unit.code()).with_description(family.told).build();
        family.sets().iter().for_each(|labels| counter.add(0.0, labels));
        counter
    }

    /// A histogram.
    #[must_use]
    pub fn histogram(&self, name: &'static str) -> Histogram {
        let family = self.family(name, Kind::Histogram);
        let histogram = self.inner.f64_histogram(name).with_unit(family.unit.code()).with_description(family.told).build();
        Histogram::new(histogram, self.exemplars.of(&family.exposed()))
    }

    /// A counter that others keep, whose series `observe` tells when somebody asks.
    pub(super) fn counters(&self, name: &'static str, observe: impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static) {
        let family = self.family(name, Kind::Counter);
        let counter = self.inner.u64_observable_counter(name).with_unit(family.unit.code()).with_description(family.told);
        counter.with_callback(observe).build();
    }

    /// A gauge that is read when somebody asks.
    pub fn gauge(&self, name: &'static str, read: impl Fn() -> f64 + Send + Sync + 'static) {
        self.gauges(name, move |gauge| gauge.observe(read(), &[]));
    }

    /// A gauge whose series `observe` tells when somebody asks.
    pub fn gauges(&self, name: &'static str, observe: impl Fn(&dyn AsyncInstrument<f64>) + Send + Sync + 'static) {
        let family = self.family(name, Kind::Gauge);
        let gauge = self.inner.f64_observable_gauge(name).with_unit(family.unit.code()).with_description(family.told);
        gauge.with_callback(observe).build();
    }

    /// Looks a family up.
    fn family(&self, name: &str, kind: Kind) -> &'static Family {
        let found = self.families.iter().find(|family| family.name == name && family.kind == kind);
        found.unwrap_or_else(|| unreachable!("invariant: no table declares the {} {name}", kind.as_str()))
    }
}
