//! What is counted and told of slots.

use std::time::Duration;

use chassis::lifecycle::sentence;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

/// What became of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A request was sent.
    Used,
    /// The attempt that it was for came too late.
    Late,
    /// The database's answer came too late.
    RoundTrip,
    /// A throttle, or a jump of the database's clock, took it back.
    Withdrawn,
}

impl Outcome {
    /// Its word in labels.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Late => "dropped_late",
            Self::RoundTrip => "dropped_round_trip",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Counters of slots; clones share them.
#[derive(Debug, Clone)]
pub struct Slots {
    /// Slots by what became of them.
    slots: Counter<u64>,
    /// How long attempts waited for a slot.
    wait: Histogram<f64>,
    /// Pauses that the target asked for.
    throttles: Counter<u64>,
    /// Reservations by whether the database answered.
    reservations: Counter<u64>,
}

impl Slots {
    /// Makes the instruments.
    #[must_use]
    pub fn new(meter: &Meter) -> Self {
        Self {
            slots: meter.u64_counter("pace.slots").with_description("Slots of the target's limit, by what became of them").build(),
            wait: meter.f64_histogram("pace.wait").with_unit("s").with_description("Time that attempts waited for a slot").build(),
            throttles: meter.u64_counter("pace.throttles").with_description("Times that the target said it is too fast").build(),
            reservations: meter.u64_counter("pace.reservations").with_description("Reservations of slots, by success").build(),
        }
    }

    /// A slot was used.
    pub(crate) fn used(&self) {
        self.slots.add(1, &[KeyValue::new("outcome", Outcome::Used.as_str())]);
    }

    /// Slots were not used.
    pub(crate) fn dropped(&self, outcome: Outcome, slots: usize) {
        if slots > 0 {
            self.slots.add(u64::try_from(slots).unwrap_or(u64::MAX), &[KeyValue::new("outcome", outcome.as_str())]);
        }
    }

    /// An attempt has got its slot.
    pub(crate) fn waited(&self, wait: Duration) {
        self.wait.record(wait.as_secs_f64(), &[]);
    }

    /// The target said that it is too fast.
    pub(crate) fn throttled(&self, wait: Duration) {
        self.throttles.add(1, &[]);
        tracing::debug!(seconds = wait.as_secs_f64(), "the target asks for patience; nothing is sent meanwhile");
    }

    /// The database answered, after so many failures.
    pub(crate) fn reserved(&self, failures: u32) {
        self.reservations.add(1, &[KeyValue::new("outcome", "ok")]);
        if failures > 0 {
            tracing::info!(failures, "the database gives out slots again; deliveries go on");
        }
    }

    /// The database did not answer.
    pub(crate) fn not_reserved(&self, failures: u32, error: &storage::Error) {
        self.reservations.add(1, &[KeyValue::new("outcome", "failed")]);
        if failures == 1 {
            tracing::warn!(error = sentence(error), "the database gives out no slots; nothing is sent until it does");
        }
    }
}
