//! One event on its way: made, sent once, and counted by how it ended.

use std::sync::Arc;

use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::api::{self, Api};
use super::event::{Event, Trace};
use super::numbers::{Counters, End};
use crate::clock::Clock;
use crate::record::Recorder;

/// What every event needs on its way; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    /// Where to.
    pub(super) api: Arc<Api>,
    /// The newest access token.
    pub(super) bearer: watch::Receiver<HeaderValue>,
    /// Told when the token is not accepted any more.
    pub(super) stale: Arc<Notify>,
    /// Where the end is counted.
    pub(super) counters: Arc<Counters>,
    /// Where accepted events are written down.
    pub(super) recorder: Option<Recorder>,
    /// For the event's timestamp.
    pub(super) clock: Clock,
}

/// A line of the record file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted<'a> {
    /// The event.
    id: &'a str,
    /// The trace it started.
    trace_id: &'a str,
    /// When it was sent, in microseconds since the Unix epoch.
    sent_at_micros: i64,
}

impl Flight {
    /// Makes one event, sends it once, and counts its end. Never sends it again, whatever the end is.
    pub(super) async fn fly(&self) {
        let (event, mut trace) = (Event::now(&self.clock), Trace::start());
        let bearer = self.bearer.borrow().clone();
        let sent_at = Instant::now();
        let answer = timeout(self.api.give_up, self.api.send(&event, &trace, bearer)).await;
        let took = sent_at.elapsed();
        let end = match &answer {
            Ok(Ok(answer)) if answer.status().is_success() => End::Accepted,
            Ok(Ok(_)) => End::Refused,
            Ok(Err(_)) => End::Unreachable,
            Err(_) => End::GaveUp,
        };
        self.counters.ends(end, took);
        if end == End::Accepted
            && let Some(recorder) = &self.recorder
        {
            let sent_at_micros = self.clock.micros(sent_at);
            recorder.room().await.append(&Accepted { id: &event.id, trace_id: &trace.id, sent_at_micros });
        }
        match answer {
            Ok(Ok(answer)) => {
                trace.answered(answer.status().as_u16());
                if answer.status() == StatusCode::UNAUTHORIZED {
                    self.stale.notify_one();
                }
                tracing::debug!(event.id, trace.id, status = answer.status().as_u16(), ?took, "event answered");
                // Read to its end, so that the connection serves the next event; not worth waiting long for.
                if !matches!(timeout(self.api.give_up, api::read(answer)).await, Ok(Ok(_))) {
                    tracing::debug!(event.id, "the rest of an answer did not come");
                }
            }
            Ok(Err(error)) => tracing::debug!(event.id, trace.id, %error, "event without an answer"),
            Err(_) => tracing::debug!(event.id, trace.id, "event given up"),
        }
    }
}
