//! The numbers a process tells of itself: OpenTelemetry instruments, read by Prometheus.
//!
//! Each is declared in the table of its crate ([`Family`]). Histograms are of seconds; their buckets are fine where the
//! accept path's deadlines lie, and reach to the minutes that a backlog takes.

pub mod family;
mod meter;
mod exemplars;
mod table;
mod requests;
mod sources;
mod openmetrics;

use std::sync::{Arc, OnceLock};

use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, SdkMeterProvider, Stream};
use prometheus::TextEncoder;

use exemplars::Exemplars;
use table::{AT, SPAN};

use crate::telemetry::{Ended, Spans};

pub use exemplars::Histogram;
pub use family::{Family, Kind, Label, Unit, Values};
pub use meter::Meter;
pub use requests::{Answering, Measured, Requests};
pub use sources::{Event, Sources};
pub use table::FAMILIES;

/// The content type of what [`Registry::render`] writes.
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The content type of what [`Registry::render_openmetrics`] writes.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The bounds of buckets of seconds.
const SECONDS: [f64; 20] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.18, 0.25, 0.4, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// Where an event is passed: what lies before it is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// The spool let go of it.
    Spool,
    /// The topic's offset moved over it.
    Topic,
}

impl Passing {
    /// Both of them.
    const ALL: [Self; 2] = [Self::Spool, Self::Topic];

    /// Its word in labels.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Spool => "spool",
            Self::Topic => "topic",
        }
    }
}

/// The instruments of a process. Cheap to clone; clones share the instruments.
#[derive(Debug, Clone)]
pub struct Registry {
    /// What Prometheus reads.
    families: prometheus::Registry,
    /// What makes meters.
    provider: SdkMeterProvider,
    /// Traces to look at.
    exemplars: Exemplars,
    /// Events by their source.
    sources: Sources,
    /// What becomes of spans, where they are exported.
    spans: Arc<OnceLock<Spans>>,
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
        let registry = Self { families, provider, exemplars: Exemplars::default(), sources: Sources::default(), spans: Arc::default() };
        let sources = registry.sources();
        registry.meter(FAMILIES).counters("source.events", move |counter| sources.observe(counter));
        registry
    }

    /// Makes the instruments of a table.
    #[must_use]
    pub fn meter(&self, families: &'static [Family]) -> Meter {
        Meter::new((self.provider.meter("events-proxy"), self.exemplars.clone()), families)
    }

    /// Tells how many events are unaccounted for at one place; nothing while that is not known.
    pub fn unaccounted(&self, at: Passing, read: impl Fn() -> Option<u64> + Send + Sync + 'static) {
        self.meter(FAMILIES).gauges("events.unaccounted", move |gauge| {
            if let Some(events) = read() {
                gauge.observe(whole(events), &[AT.is(at.as_str())]);
            }
        });
    }

    /// Measures the requests of a listener, as its outermost middleware.
    #[must_use]
    pub fn requests(&self) -> Requests {
        Requests(self.meter(FAMILIES).histogram("http.server.request.duration"))
    }

    /// Counts events by their source.
    #[must_use]
    pub fn sources(&self) -> Sources {
        self.sources.clone()
    }

    /// Tells from now on what becomes of spans.
    pub fn tell_spans(&self, spans: Spans) {
        self.spans.get_or_init(|| spans.clone());
        self.meter(FAMILIES).counters("trace.spans", move |counter| {
            for ended in Ended::ALL {
                counter.observe(spans.count(ended), &[SPAN.is(ended.as_str())]);
            }
        });
    }

    /// What becomes of spans; none where they are not exported.
    #[must_use]
    pub fn spans(&self) -> Option<Spans> {
        self.spans.get().cloned()
    }

    /// The present numbers as Prometheus reads them; nothing, and an error in the log, if they cannot be written.
    #[must_use]
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.families.gather()).unwrap_or_else(|error| {
            tracing::error!(code = "metrics_unwritable", %error, "cannot write the metrics");
            String::new()
        })
    }

    /// The present numbers as OpenMetrics 1.0, with exemplars.
    #[must_use]
    pub fn render_openmetrics(&self) -> String {
        openmetrics::write(&self.families.gather(), &self.exemplars)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

/// A count as Prometheus keeps it; exact up to 2^53.
#[must_use]
pub const fn whole(count: u64) -> f64 {
    count as f64
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
    use std::time::Duration;

    use super::{Family, Label, Registry, SECONDS, Unit};

    const PATH: Label = Label::of("path", || vec!["spool", "broker"]);
    const TABLE: &[Family] = &[
        Family::counter("events.accepted", "Events answered with 202").by(&[PATH]),
        Family::histogram("accept.duration", "Until it was durable"),
        Family::gauge("spool", "How much the spool holds").in_unit(Unit::Bytes),
    ];

    #[test]
    fn instruments_are_rendered_for_prometheus() {
        let registry = Registry::new();
        let meter = registry.clone().meter(TABLE);
        meter.counter("events.accepted").add(3, &[PATH.is("spool")]);
        meter.histogram("accept.duration").record(Duration::from_millis(300), &[]);
        meter.gauge("spool", || 42.0);
        let text = registry.render();
        for line in [
            "# HELP events_accepted_total Events answered with 202",
            "# TYPE events_accepted_total counter",
            "events_accepted_total{path=\"spool\"} 3",
            "events_accepted_total{path=\"broker\"} 0",
            "accept_duration_seconds_bucket{le=\"0.25\"} 0",
            "accept_duration_seconds_bucket{le=\"0.4\"} 1",
            "spool_bytes 42",
        ] {
            assert!(text.lines().any(|found| found == line), "`{line}` is missing in\n{text}");
        }
    }

    #[test]
    fn the_same_counter_made_twice_is_one() {
        let registry = Registry::new();
        for _ in 0..2 {
            registry.meter(TABLE).counter("events.accepted").add(2, &[PATH.is("spool")]);
        }
        assert!(registry.render().contains("events_accepted_total{path=\"spool\"} 4"), "{}", registry.render());
    }

    #[test]
    fn two_registries_share_nothing_and_an_empty_one_is_empty() {
        let (one, other) = (Registry::new(), Registry::new());
        one.meter(TABLE).counter("events.accepted").add(1, &[PATH.is("spool")]);
        assert_eq!(other.render(), "");
    }

    #[test]
    fn the_buckets_of_seconds_rise() {
        assert!(SECONDS.is_sorted());
    }
}
