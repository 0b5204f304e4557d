//! What happens to events in ingest: each happening logs and counts together.

use std::error::Error;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chassis::lifecycle::sentence;
use chassis::metrics::Event;
use events_proxy_core::envelope::Record;
use events_proxy_core::{Envelope, Moment, SourceId, TraceContext};

use super::families::{FAULT, LOGGED_IN, REASON, REFRESHED, WAITED};
use super::{LogIn, Metrics, Refreshed, SpoolFault, Waited, Way};
use crate::accept::Budget;
use crate::reject::Reject;

impl Metrics {
    /// An event is durable.
    pub(crate) fn accepted(&self, way: Way, budget: Budget, envelope: &Envelope) {
        let [spool, broker, both] = &self.0.ways;
        let labels = match way {
            Way::Spool => spool,
            Way::Broker => broker,
            Way::Both => both,
        };
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
        self.0.events_accepted.add(1, labels);
        self.0.accept_duration.record_in(Some(&envelope.trace), budget.spent(), labels);
        self.0.sources.count(&envelope.source_id, Event::Accepted);
        if budget.is_over() {
            self.0.accepted_late.add(1, &[]);
        }
    }

    /// A soft wait for the topic is over.
    pub(crate) fn waited(&self, waited: Waited) {
        self.0.accept_waits.add(1, &[WAITED.is(waited.as_str())]);
    }

    /// A request to send an event is refused.
    pub(crate) fn refused(&self, reject: &Reject) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        self.0.events_refused.add(1, &[REASON.is(reject.code())]);
    }

    /// Such a request is of this source.
    pub(crate) fn refused_of(&self, source: &SourceId) {
        self.0.sources.count(source, Event::Refused);
    }

    /// A request to send an event is let in by a token that has expired: nobody can get another one now.
    pub(crate) fn expired_token_taken(&self) {
        self.0.expired_tokens.add(1, &[]);
    }

    /// The storage is away from now on, as the error says, or there again.
    pub(crate) fn storage_away(&self, error: Option<&str>, grace: Duration) {
        match error {
            Some(error) => {
                let grace_seconds = grace.as_secs();
                tracing::warn!(
                    error,
                    grace_seconds,
                    "the storage is away: nobody gets a session; access tokens that expire still send events"
                );
            }
            None => tracing::info!("the storage is there again"),
        }
    }

    /// The spool did not take an event; the topic is asked.
    pub(crate) fn spool_failed(&self, fault: SpoolFault, error: &dyn Error) {
        self.0.spool_failures.add(1, &[FAULT.is(fault.as_str())]);
        tracing::debug!(kind = fault.as_str(), error = sentence(error), "the spool did not take an event; it goes straight to the topic");
    }

    /// No way that would do took an event; its source is told so.
    pub(crate) fn no_durable_path(&self, error: &dyn Error) {
        if let Some(events) = self.0.pathless.happened() {
            tracing::error!(code = "no_durable_path", events, error = sentence(error), "events are refused: no durable path takes them");
        }
    }

    /// How far the spool is published was not stored: repeats after a restart, and no event lost.
    pub(crate) fn progress_unkept(&self, error: &dyn Error) {
        if let Some(times) = self.0.progress_unkept.happened() {
            tracing::warn!(times, error = sentence(error), "cannot store how far the spool is published; it is tried again");
        }
    }

    /// Old files of the spool stay.
    pub(crate) fn files_unremoved(&self, error: &dyn Error) {
        if let Some(times) = self.0.files_unremoved.happened() {
            tracing::warn!(times, error = sentence(error), "cannot remove old files of the spool; it is tried again");
        }
    }

    /// What the topic refused does not read.
    pub(crate) fn refused_unreadable(&self, error: &dyn Error) {
        if let Some(times) = self.0.refused_unreadable.happened() {
            tracing::warn!(times, error = sentence(error), "the log of refused events does not read; it is tried again");
        }
    }

    /// A record of the spool went straight to the topic before.
    pub(crate) fn overtaken(&self) {
        self.0.ended.fetch_add(1, Ordering::Release);
        self.0.events_overtaken.add(1, &[]);
    }

    /// A record will never be on the topic; it is kept with the reason.
    pub(crate) fn unpublishable(&self, record: &Record, offset: u64, reason: &str) {
        self.0.ended.fetch_add(1, Ordering::Release);
        self.0.events_unpublishable.add(1, &[]);
        let trace = record.text("traceparent").and_then(|parent| TraceContext::parse(parent, None));
        tracing::warn!(
            event.id = record.text("event-id"),
            trace_id = trace.as_ref().map(TraceContext::trace_id),
            spool.offset = offset,
            reason,
            "an event is dead: the topic will never have it; its payload is kept"
        );
    }

    /// A read of the spool failed; it is tried again.
    pub(crate) fn spool_unreadable(&self, failures: u32, error: &dyn Error) {
        self.0.spool_read_failures.add(1, &[]);
        if failures.is_power_of_two() {
            tracing::error!(
                code = "spool_unreadable",
                failures,
                error = sentence(error),
                "the spool does not read; what is in it waits, and events are accepted"
            );
        }
    }

    /// A backlog is long: fresh events pass it.
    pub(crate) fn catching_up(&self, records: u64) {
        self.0.catch_ups.add(1, &[]);
        tracing::info!(records, "the topic is far behind: fresh events pass the backlog");
    }

    /// The backlog is published.
    pub(crate) fn caught_up(&self, joining: Duration) {
        tracing::info!(joining.ms = joining.as_millis(), "the backlog is published");
    }

    /// A read of the spool gave way for so long.
    pub(crate) fn gave_way(&self, time: Duration) {
        self.0.gave_way.add(time.as_secs_f64(), &[]);
    }

    /// The topic has a batch.
    pub(crate) fn published(&self, records: &[Record], now: Moment) {
        let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
        self.0.published.fetch_add(count, Ordering::Relaxed);
        self.0.ended.fetch_add(count, Ordering::Release);
        self.0.events_published.add(count, &[]);
        for record in records {
            if let Some(accepted_at) = record.accepted_at() {
                self.0.publish_duration.record_in(record.recorded_trace().as_ref(), now.since(accepted_at), &[]);
            }
        }
    }

    /// The topic did not take a batch; it is sent again.
    pub(crate) fn publish_failed(&self, partition: u32, attempt: u32, error: &dyn Error) {
        self.0.publish_failures.add(1, &[]);
        // Told at the 1st, 2nd, 4th, 8th … failure in a row, so that an outage does not fill the log.
        if attempt.is_power_of_two() {
            tracing::warn!(partition, attempt, error = sentence(error), "the topic did not take a batch; its events wait in the spool");
        }
    }

    /// The storage did not take a dead row; it is tried again, and its partition waits.
    pub(crate) fn burial_failed(&self, failures: u32, error: &dyn Error) {
        if failures.is_power_of_two() {
            tracing::error!(
                code = "burial_failed",
                failures,
                error = sentence(error),
                "an event that the topic refuses cannot be stored as dead; its partition waits"
            );
        }
    }

    /// A record that the topic refused does not read where it waited for the storage: it is passed over.
    pub(crate) fn refused_event_lost(&self, offset: u64, error: &dyn Error) {
        self.0.unpublishable_lost.add(1, &[]);
        tracing::error!(code = "refused_event_lost", offset, error = sentence(error), "a refused event's record does not read: it is lost");
    }

    /// A log-in ended. Whose it was is told nowhere: what is typed in its place may be a secret.
    pub(crate) fn logged_in(&self, outcome: LogIn) {
        self.0.log_ins.add(1, &[LOGGED_IN.is(outcome.as_str())]);
    }

    /// A refresh ended.
    pub(crate) fn refreshed(&self, outcome: Refreshed) {
        self.0.refreshes.add(1, &[REFRESHED.is(outcome.as_str())]);
    }

    /// Rows of the journal were given up.
    pub(crate) fn journal_dropped(&self, rows: usize) {
        self.0.journal_dropped.add(u64::try_from(rows).unwrap_or(u64::MAX), &[]);
    }
}
