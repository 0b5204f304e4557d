//! The numbers a process tells of itself: OpenTelemetry instruments, read by Prometheus.
//!
//! Instruments with the unit `s` are histograms of seconds; their buckets are fine where the accept path's deadlines
//! lie, and reach to the minutes that a backlog takes.

use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, SdkMeterProvider, Stream};
use prometheus::TextEncoder;

/// The content type of what [`Registry::render`] writes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The bounds of buckets of seconds.
const SECONDS: [f64; 20] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.18, 0.25, 0.4, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// The instruments of a process. Cheap to clone; clones share the instruments.
#[derive(Debug, Clone)]
pub struct Registry {
    /// What Prometheus reads.
    families: prometheus::Registry,
    /// What makes meters.
    provider: SdkMeterProvider,
}

impl Registry {
    /// A registry without instruments.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "the one collector of a new registry cannot collide with another")]
    pub fn new() -> Self {
        let families = prometheus::Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(families.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build()
            .expect("invariant: a new registry has no other collector");
        let provider = SdkMeterProvider::builder().with_reader(reader).with_view(in_seconds).build();
        Self { families, provider }
    }

    /// Makes instruments. Names follow OpenTelemetry: `events.accepted` is told as `events_accepted_total`.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.provider.meter("events-proxy")
    }

    /// The present numbers as Prometheus reads them; nothing, and an error in the log, if they cannot be written.
    #[must_use]
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.families.gather()).unwrap_or_else(|error| {
            tracing::error!(code = "metrics_unwritable", %error, "cannot write the metrics");
            String::new()
        })
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

/// Gives histograms of seconds their buckets.
fn in_seconds(instrument: &Instrument) -> Option<Stream> {
    if instrument.kind() != InstrumentKind::Histogram || instrument.unit() != "s" {
        return None;
    }
    let aggregation = Aggregation::ExplicitBucketHistogram { boundaries: SECONDS.to_vec(), record_min_max: false };
    Stream::builder().with_aggregation(aggregation).build().ok()
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;

    use super::{Registry, SECONDS};

    #[test]
    fn instruments_are_rendered_for_prometheus() {
        let registry = Registry::new();
        let meter = registry.clone().meter();
        meter.u64_counter("events.accepted").with_description("Events answered with 202").build().add(3, &[KeyValue::new("path", "spool")]);
        meter.f64_histogram("accept.duration").with_unit("s").build().record(0.3, &[]);
        meter.f64_histogram("batch.records").build().record(7.0, &[]);
        meter.u64_observable_gauge("spool.bytes").with_callback(|gauge| gauge.observe(42, &[])).build();
        let text = registry.render();
        for line in [
            "# HELP events_accepted_total Events answered with 202",
            "# TYPE events_accepted_total counter",
            "events_accepted_total{path=\"spool\"} 3",
            "accept_duration_seconds_bucket{le=\"0.25\"} 0",
            "accept_duration_seconds_bucket{le=\"0.4\"} 1",
            "batch_records_bucket{le=\"10\"} 1",
            "spool_bytes 42",
        ] {
            assert!(text.lines().any(|found| found == line), "`{line}` is missing in\n{text}");
        }
    }

    #[test]
    fn two_registries_share_nothing_and_an_empty_one_is_empty() {
        let (one, other) = (Registry::new(), Registry::new());
        one.meter().u64_counter("events.accepted").build().add(1, &[]);
        assert_eq!(other.render(), "");
    }

    #[test]
    fn the_buckets_of_seconds_rise() {
        assert!(SECONDS.is_sorted());
    }
}
