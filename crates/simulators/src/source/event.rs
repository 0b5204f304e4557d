//! One event as the source makes it, and the trace it starts.

use rand::Rng;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use crate::clock::Clock;
use crate::trace::Recorded;

/// What happened, in the words of a shop.
const NAMES: [&str; 4] = ["order.created", "order.paid", "parcel.shipped", "parcel.returned"];

/// The body of a request to `POST /events`.
#[derive(Debug, Serialize)]
pub(super) struct Event {
    /// Unique for ever: a UUID of version 7.
    pub(super) id: String,
    /// What happened.
    name: &'static str,
    /// The particulars, some 200 characters.
    body: String,
    /// When it happened, in RFC 3339.
    timestamp: String,
}

impl Event {
    /// Makes an event that happens now.
    pub(super) fn now(clock: &Clock) -> Self {
        let mut chance = rand::rng();
        let number: u32 = chance.random_range(10_000_000..100_000_000);
        let name = NAMES.get(chance.random_range(0..NAMES.len())).copied().unwrap_or("order.created");
        let body = format!(
            r#"{{"order":"{number}","customer":"customer-{:05}","currency":"EUR","total":{}.{:02},"lines":[{{"article":"A-{:06}","quantity":{},"note":"für die Küche, bitte klingeln"}}]}}"#,
            chance.random_range(0..100_000),
            chance.random_range(1..5_000),
            chance.random_range(0..100),
            chance.random_range(0..1_000_000),
            chance.random_range(1..10),
        );
        Self { id: Uuid::now_v7().to_string(), name, body, timestamp: clock.rfc_3339(Instant::now()) }
    }
}

/// The W3C trace that an event starts.
#[derive(Debug)]
pub(super) struct Trace {
    /// 32 hexadecimal digits.
    pub(super) id: String,
    /// The span of the source, 16 hexadecimal digits.
    span: String,
    /// The span itself, where it is recorded.
    recorded: Option<Recorded>,
}

impl Trace {
    /// Starts a trace; its ids are never zero, which the standard forbids.
    pub(super) fn start() -> Self {
        let recorded = Recorded::request("send event");
        if let Some((id, span)) = recorded.ids() {
            return Self { id, span, recorded: Some(recorded) };
        }
        let mut chance = rand::rng();
        let (id, span) = (chance.random_range(1..=u128::MAX), chance.random_range(1..=u64::MAX));
        Self { id: format!("{id:032x}"), span: format!("{span:016x}"), recorded: None }
    }

    /// Ends the span with the answer's status.
    pub(super) fn answered(&mut self, status: u16) {
        if let Some(recorded) = self.recorded.take() {
            recorded.answered(status);
        }
    }

    /// The `traceparent` header, sampled.
    pub(super) fn parent(&self) -> String {
        format!("00-{}-{}-01", self.id, self.span)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Event, Trace};
    use crate::clock::Clock;

    #[test]
    fn ids_do_not_repeat_and_the_body_is_json_within_bounds() {
        let clock = Clock::start();
        let events: Vec<Event> = (0..1_000).map(|_| Event::now(&clock)).collect();
        assert_eq!(events.iter().map(|event| event.id.as_str()).collect::<HashSet<_>>().len(), 1_000);
        for event in &events {
            assert!(event.body.chars().count() < 1_000 && event.id.len() == 36);
            assert!(serde_json::from_str::<serde_json::Value>(&event.body).is_ok(), "{}", event.body);
        }
    }

    #[test]
    fn a_traceparent_has_the_standard_form() {
        let trace = Trace::start();
        let lengths: Vec<usize> = trace.parent().split('-').map(str::len).collect();
        assert_eq!(lengths, [2, 32, 16, 2]);
    }
}
