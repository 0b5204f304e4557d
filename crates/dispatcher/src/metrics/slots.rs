//! What is counted and told of slots.

use std::time::Duration;

use chassis::lifecycle::sentence;
use chassis::metrics::{Histogram, Registry};
use events_proxy_core::TraceContext;
use opentelemetry::metrics::Counter;

use super::families::{FAMILIES, RESERVED, SLOT};

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
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Used, Self::Late, Self::RoundTrip, Self::Withdrawn];

    /// Its word in labels.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Late => "dropped_late",
            Self::RoundTrip => "dropped_round_trip",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Whether the database gave slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reserved {
    /// It answered.
    Yes,
    /// It did not.
    No,
}

impl Reserved {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Yes, Self::No];

    /// Its word in labels.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "ok",
            Self::No => "failed",
        }
    }
}

/// Counters of slots; clones share them.
#[derive(Debug, Clone)]
pub struct Slots {
    /// Slots by what became of them.
    slots: Counter<u64>,
    /// How long attempts waited for a slot.
    wait: Histogram,
    /// Pauses that the target asked for.
    throttles: Counter<u64>,
    /// Reservations by whether the database answered.
    reservations: Counter<u64>,
}

impl Slots {
    /// Makes the instruments.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let meter = registry.meter(FAMILIES);
        Self {
            slots: meter.counter("pace.slots"),
            wait: meter.histogram("pace.wait"),
            throttles: meter.counter("pace.throttles"),
            reservations: meter.counter("pace.reservations"),
        }
    }

    /// A slot was used.
    pub(crate) fn used(&self) {
        self.slots.add(1, &[SLOT.is(Outcome::Used.as_str())]);
    }

    /// Slots were not used.
    pub(crate) fn dropped(&self, outcome: Outcome, slots: usize) {
        if slots > 0 {
            self.slots.add(u64::try_from(slots).unwrap_or(u64::MAX), &[SLOT.is(outcome.as_str())]);
        }
    }

    /// An attempt has got its slot.
    pub(crate) fn waited(&self, trace: &TraceContext, wait: Duration) {
        self.wait.record_in(Some(trace), wait, &[]);
    }

    /// The target said that it is too fast.
    pub(crate) fn throttled(&self, wait: Duration) {
        self.throttles.add(1, &[]);
        tracing::debug!(seconds = wait.as_secs_f64(), "the target asks for patience; nothing is sent meanwhile");
    }

    /// The database answered, after so many failures.
    pub(crate) fn reserved(&self, failures: u32) {
        self.reservations.add(1, &[RESERVED.is(Reserved::Yes.as_str())]);
        if failures > 0 {
            tracing::info!(failures, "the database gives out slots again; deliveries go on");
        }
    }

    /// The database did not answer.
    pub(crate) fn not_reserved(&self, failures: u32, error: &storage::Error) {
        self.reservations.add(1, &[RESERVED.is(Reserved::No.as_str())]);
        if failures == 1 {
            tracing::warn!(error = sentence(error), "the database gives out no slots; nothing is sent until it does");
        }
    }
}
