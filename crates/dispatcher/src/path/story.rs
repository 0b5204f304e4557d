//! What is told of an event's way besides the spans that are made as it goes: its waits, and, of a trace that nobody records,
//! all of it when an attempt fails.

use std::time::Duration;

use chassis::trace::{self, Past};
use events_proxy_core::envelope::Record;
use events_proxy_core::{Attempt, Envelope, Moment, Outcome, State, TraceContext};
use opentelemetry::KeyValue;

/// An event's way so far.
#[derive(Debug)]
pub(super) struct Story {
    /// Where it was before it came here: the wait's name, and its times.
    wait: (&'static str, (Moment, Moment)),
    /// From receipt to acceptance, at its first coming.
    received: Option<(Moment, Moment)>,
    /// When it came; what was attempted before has been told.
    came: Moment,
}

impl Story {
    /// An event comes from the topic, or from where it was parked or dead; its wait is told where its trace is recorded.
    pub(super) fn begin(
        (envelope, record, consumed_at): (&Envelope, &Record, Moment),
        (attempts, forgiven): (&[Attempt], u32),
        now: Moment,
    ) -> Self {
        let accepted_at = record.accepted_at().unwrap_or(envelope.received_at);
        let replayed = usize::try_from(forgiven).is_ok_and(|forgiven| forgiven == attempts.len());
        let wait = match attempts.last() {
            None => ("queue", (accepted_at, consumed_at)),
            Some(last) => (if replayed { "dead" } else { "parked" }, (last.ended_at(), now)),
        };
        trace::waited(wait.0, &envelope.trace, wait.1);
        Self { wait, received: attempts.is_empty().then_some((envelope.received_at, accepted_at)), came: now }
    }

    /// The event has come to an end for now. Where one of its attempts failed and its trace is not recorded, all is told now.
    pub(super) fn end(self, context: &TraceContext, attempts: &[Attempt], state: State, now: Moment) {
        let made = || attempts.iter().filter(|attempt| attempt.started_at >= self.came);
        let failed = state != State::Delivered || made().any(failed);
        if context.is_sampled() || !failed {
            return;
        }
        let received = self.received.map(|times| Past::wait("receive", times));
        let wait = Past::wait(self.wait.0, self.wait.1);
        let ended = Past {
            failure: (state == State::Dead).then(|| "the event is dead".to_owned()),
            attributes: vec![KeyValue::new("event.state", state.as_str())],
            ..Past::wait("settle", (now, now.plus(Duration::from_micros(1))))
        };
        let parts = received.into_iter().chain([wait]).chain(made().map(attempt)).chain([ended]);
        trace::told_afterwards(context, parts);
    }
}

/// Whether an attempt failed; to be asked for patience is no failure.
fn failed(attempt: &Attempt) -> bool {
    !matches!(attempt.outcome, Outcome::Delivered | Outcome::Throttled)
}

/// An attempt as it is told afterwards.
fn attempt(attempt: &Attempt) -> Past {
    let mut attributes = vec![KeyValue::new("attempt.outcome", attempt.outcome.as_str())];
    attributes.extend(attempt.status.map(|status| KeyValue::new("http.response.status_code", i64::from(status))));
    Past {
        failure: (attempt.outcome != Outcome::Delivered).then(|| attempt.detail.clone()),
        attributes,
        ..Past::wait("deliver", (attempt.started_at, attempt.ended_at()))
    }
}
