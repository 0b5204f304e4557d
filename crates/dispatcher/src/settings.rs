//! The settings of the dispatcher, judged once at the start.

mod target;

use std::ops::RangeInclusive;
use std::time::Duration;

use chassis::settings::{Reader, common};

use crate::consume::Order;
use crate::deliver::Target;
use crate::own::plan::Terms;
use crate::path::Patience;

/// A day.
const DAY_SECONDS: u64 = 86_400;
/// How many requests a limit may permit in its interval.
pub(crate) const RATE_REQUESTS: RangeInclusive<u64> = 1..=10_000_000;
/// How long a limit's interval may be, in milliseconds.
pub(crate) const RATE_INTERVAL_MS: RangeInclusive<u64> = 1..=86_400_000;

/// What the dispatcher needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The target.
    pub target: Target,
    /// The target's limit: requests per interval.
    pub limit: (u32, Duration),
    /// Whether a tenth of the first attempts fails on purpose.
    pub testing: bool,
    /// How often an event is tried, and with which pauses.
    pub patience: Patience,
    /// The brand of events whose source has none.
    pub brand: String,
    /// Events under way at the same time.
    pub in_flight_max: usize,
    /// How far a partition is read ahead: records.
    pub span_records_max: usize,
    /// How far a partition is read ahead: bytes.
    pub span_bytes_max: usize,
    /// Whether events of a source wait for each other.
    pub order: Order,
    /// The times that leases live by.
    pub terms: Terms,
    /// How long the brokers keep what is on the topic.
    pub retention: Duration,
    /// Rows of one transaction.
    pub batch_max: usize,
    /// Who may look at events and act on them, and how events are shown.
    pub operator: crate::operator::Settings,
    /// How many days the journal is kept.
    pub journal_days: u32,
}

impl Settings {
    /// Reads them; `None` when something is wrong, which the reader then knows.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let timeout = reader.millis("target_service_timeout_ms", 1..=300_000);
        let target = target::read(reader, timeout);
        let requests = reader.number("target_service_rate_limit_requests_per_interval", RATE_REQUESTS);
        let interval = reader.millis("target_service_rate_limit_interval_ms", RATE_INTERVAL_MS);
        let testing = testing(reader);
        let patience = patience(reader);
        let brand = reader.text("event_brand");
        let in_flight_max = reader.number("delivery_in_flight_max", 1..=100_000);
        let span_records_max = reader.number("delivery_span_records_max", 1..=1_000_000);
        let span_bytes_max = reader.number("delivery_span_bytes_max", 65_536..=1_073_741_824);
        let order = reader.one_of("delivery_order", &[("none", Order::None), ("key", Order::Source)]);
        let terms = timeout.and_then(|timeout| terms(reader, timeout));
        let retention = reader.millis("queue_retention_ms", 60_000..=315_360_000_000);
        let batch_max = reader.number("journal_batch_max", 1..=5_000);
        let operator = crate::operator::Settings::read(reader);
        let journal_days: Option<u32> = reader.number("journal_retention_days", 1..=3_650);
        if let (Some(retention), Some(days)) = (retention, journal_days)
            && Duration::from_secs(u64::from(days) * DAY_SECONDS) < retention
        {
            reader.mistake("journal_retention_days", "must not be less than queue_retention_ms: an event could be delivered twice");
        }
        Some(Self {
            target: target?,
            limit: (requests?, interval?),
            testing: testing?,
            patience: patience?,
            brand: brand?,
            in_flight_max: in_flight_max?,
            span_records_max: span_records_max?,
            span_bytes_max: span_bytes_max?,
            order: order?,
            terms: terms?,
            retention: retention?,
            batch_max: batch_max?,
            operator: operator?,
            journal_days: journal_days?,
        })
    }
}

/// Whether attempts fail on purpose.
fn testing(reader: &mut Reader) -> Option<bool> {
    let testing = reader.flag("graphql_client_testing_mode")?;
    if testing && common::is_production(reader)? {
        reader.mistake("graphql_client_testing_mode", "must be false in production");
        return None;
    }
    Some(testing)
}

/// The times that leases live by.
fn terms(reader: &mut Reader, attempt: Duration) -> Option<Terms> {
    let ttl = reader.millis("dispatch_lease_ttl_ms", 1_000..=600_000);
    let margin = reader.millis("dispatch_lease_margin_ms", 100..=60_000);
    let renew = reader.millis("dispatch_lease_renew_ms", 100..=60_000);
    let terms = Terms { ttl: ttl?, margin: margin?, renew: renew?, attempt };
    if !terms.hold() {
        let message = "must be at least target_service_timeout_ms + dispatch_lease_margin_ms + twice dispatch_lease_renew_ms: \
                       an attempt has to end while nobody else can own its partition";
        reader.mistake("dispatch_lease_ttl_ms", message);
        return None;
    }
    Some(terms)
}

/// How often an event is tried.
fn patience(reader: &mut Reader) -> Option<Patience> {
    let retries = reader.number("target_service_request_retries", 0..=10);
    let attempts_max = reader.number("delivery_attempts_max", 1..=1_000);
    let backoff_min = reader.millis("delivery_backoff_min_ms", 1..=60_000);
    let backoff_max = reader.millis("delivery_backoff_max_ms", 1..=600_000);
    let park_min = reader.millis("delivery_park_min_ms", 1..=86_400_000);
    let park_max = reader.millis("delivery_park_max_ms", 1..=604_800_000);
    let (backoff, park) = ((backoff_min?, backoff_max?), (park_min?, park_max?));
    for ((least, most), key) in [(backoff, "delivery_backoff_max_ms"), (park, "delivery_park_max_ms")] {
        if least > most {
            reader.mistake(key, "must not be smaller than its `_min_ms`");
            return None;
        }
    }
    Some(Patience { retries: retries?, attempts_max: attempts_max?, backoff, park })
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
