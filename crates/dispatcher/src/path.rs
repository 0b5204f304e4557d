//! One event through enrich, pace and deliver, to how it ends this time.
//!
//! A throttle or a target that is away uses up no attempt. What may pass is tried again in place a few times, then parked; what
//! the target refuses is dead at once, and so is what makes our own delivery panic: it would do so wherever it comes next.
//! Whatever an answer asks for, an event waits in place no longer than the longest pause: its place is others', too.

mod story;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chassis::clock::Clock;
use chassis::trace;
use events_proxy_core::envelope::Record;
use events_proxy_core::{Attempt, DeadReason, Envelope, Moment, Outcome, TraceContext};
use futures_util::FutureExt;
use storage::{End, Settled};
use tokio::time::Instant;
use tokio_retry::strategy::{ExponentialBackoff, jitter};
use tracing::{Instrument, Span, field};

use crate::breaker::{Breaker, Pass};
use crate::classify::Verdict;
use crate::deliver::{Deliver, Order};
use crate::enrich::Brands;
use crate::metrics::Metrics;
use crate::own::hold::Hold;
use crate::pace::{Pace, Slot};
use story::Story;

/// How long the target is left alone when it says that it is too fast and not for how long.
const THROTTLE: Duration = Duration::from_secs(1);
/// The longest that `Retry-After` is believed.
const THROTTLE_MAX: Duration = storage::PAUSE_MAX;

/// How often an event is tried, and with which pauses.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Tries in place after the first.
    pub retries: u32,
    /// Attempts until an event is dead.
    pub attempts_max: u32,
    /// The shortest and the longest pause in place.
    pub backoff: (Duration, Duration),
    /// The shortest and the longest time a parked event waits.
    pub park: (Duration, Duration),
}

/// What every event's path needs.
#[derive(Debug)]
pub(crate) struct Path {
    /// Brands.
    pub(crate) brands: Brands,
    /// The limit.
    pub(crate) pace: Arc<dyn Pace>,
    /// The target.
    pub(crate) target: Box<dyn Deliver>,
    /// Whether the target is there.
    pub(crate) breaker: Breaker,
    /// How often an event is tried.
    pub(crate) patience: Patience,
    /// Tells when.
    pub(crate) clock: Arc<dyn Clock>,
    /// Counts.
    pub(crate) metrics: Metrics,
}

/// An event to be brought to an end.
#[derive(Debug)]
pub(crate) struct Journey {
    /// The lease that it is sent under.
    pub(crate) hold: Arc<Hold>,
    /// The event.
    pub(crate) envelope: Envelope,
    /// Its record, for when it is parked or dies.
    pub(crate) record: Record,
    /// Its place on the topic.
    pub(crate) place: (u32, u64),
    /// When it was read for the first time.
    pub(crate) consumed_at: Moment,
    /// Attempts made before.
    pub(crate) attempts: Vec<Attempt>,
    /// How many of them count no more, because it was replayed after them.
    pub(crate) forgiven: u32,
}

/// The delivery of an event panicked; the message went to stderr.
struct Panicked;

impl Journey {
    /// The same journey once more, for whoever may have to begin it anew.
    pub(crate) fn again(&self) -> Self {
        let (envelope, record) = (self.envelope.clone(), self.record.clone());
        Self { hold: Arc::clone(&self.hold), envelope, record, attempts: self.attempts.clone(), ..*self }
    }
}

impl Path {
    /// Brings an event to its end, or parks it; `None` when its partition is left before that: nothing was recorded then,
    /// and the event comes again.
    pub(crate) async fn travel(&self, journey: Journey) -> Option<Settled> {
        let Journey { hold, envelope, record, place: (partition, offset), consumed_at, mut attempts, forgiven } = journey;
        let recorded = envelope.trace.is_sampled();
        let span = trace::part(recorded, || consumed(&envelope, &record, (partition, offset)));
        if attempts.is_empty() {
            let accepted_at = record.accepted_at().unwrap_or(envelope.received_at);
            self.metrics.queued(&envelope.trace, consumed_at.since(accepted_at));
        }
        let story = Story::begin((&envelope, &record, consumed_at), (&attempts, forgiven), self.clock.now());
        let enrich = span.in_scope(|| trace::part(recorded, || tracing::info_span!("enrich")));
        let brand = hold.unless_left(self.brands.enrich(&envelope.source_id).instrument(enrich)).await?;
        let tried = self.tries(&hold, (&envelope, &brand), &mut attempts, forgiven).instrument(span.clone()).await?;
        let end = tried.unwrap_or_else(|Panicked| {
            self.metrics.panicked(&envelope, partition, offset);
            End::Dead { reason: DeadReason::AttemptsExhausted, detail: "its delivery panicked".to_owned() }
        });
        let trace_id = envelope.trace.trace_id().to_owned();
        if let End::Dead { reason, detail } = &end {
            self.metrics.died((Some(envelope.event.id.as_str()), Some(&trace_id)), reason.as_str(), detail);
        }
        story.end(&envelope.trace, &attempts, end.state(), self.clock.now());
        // The span of the settlement ends when the settlement is handed on; the commit itself serves many events.
        drop(span.in_scope(|| trace::part(recorded, || tracing::info_span!("settle", event.state = end.state().as_str()))));
        Some(Settled {
            source_id: envelope.source_id,
            event_id: envelope.event.id,
            name: envelope.event.name,
            trace_id,
            brand: Some(brand),
            received_at: envelope.received_at,
            consumed_at,
            settled_at: self.clock.now(),
            partition,
            offset,
            attempts,
            forgiven,
            end,
            record,
        })
    }

    /// Tries until it is clear how the event ends this time.
    async fn tries(
        &self,
        hold: &Hold,
        event: (&Envelope, &str),
        attempts: &mut Vec<Attempt>,
        forgiven: u32,
    ) -> Option<Result<End, Panicked>> {
        let mut pauses = backoff(self.patience);
        let mut in_place = 0_u32;
        loop {
            let Ok(verdict) = self.once(hold, event, attempts).await? else { return Some(Err(Panicked)) };
            match verdict.outcome {
                Outcome::Delivered => return Some(Ok(End::Delivered)),
                Outcome::Refused => return Some(Ok(End::Dead { reason: DeadReason::Refused, detail: verdict.detail })),
                Outcome::Throttled => {
                    let wait = verdict.retry_after.unwrap_or(THROTTLE).min(THROTTLE_MAX);
                    self.metrics.slots().throttled(wait);
                    self.pace.pause(wait).await;
                }
                Outcome::Unavailable | Outcome::Unknown => {
                    let made = counted(attempts, forgiven);
                    let asked = verdict.retry_after.unwrap_or_default().min(THROTTLE_MAX);
                    let parked = || End::Parked { next_attempt_at: self.clock.now().plus(self.parking(made).max(asked)) };
                    // It may have failed for what it carries: another one finds out whether the target is there.
                    if self.breaker.is_open() {
                        return Some(Ok(parked()));
                    }
                    if !self.breaker.doubts() {
                        in_place += 1;
                        if made >= self.patience.attempts_max {
                            return Some(Ok(End::Dead { reason: DeadReason::AttemptsExhausted, detail: verdict.detail }));
                        }
                        if in_place > self.patience.retries || asked > self.patience.backoff.1 {
                            return Some(Ok(parked()));
                        }
                    }
                    let pause = pauses.next().unwrap_or(self.patience.backoff.1).max(asked).min(self.patience.backoff.1);
                    hold.unless_left(tokio::time::sleep(pause)).await?;
                }
            }
        }
    }

    /// One attempt, paid for by a slot; `None` when the partition is left before it was made.
    async fn once(
        &self,
        hold: &Hold,
        (envelope, brand): (&Envelope, &str),
        attempts: &mut Vec<Attempt>,
    ) -> Option<Result<Verdict, Panicked>> {
        let (pass, slot) = self.leave(hold, &envelope.trace).await?;
        let span = trace::part(envelope.trace.is_sampled(), || attempted(attempts.len()));
        let trace = trace::onward(&envelope.trace, &span);
        let in_flight = self.metrics.attempting();
        let (started_at, began) = (self.clock.now(), Instant::now());
        let number = u32::try_from(attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let order = Order { source: &envelope.source_id, event: &envelope.event, brand, trace: &trace, first: number == 1 };
        let Ok(verdict) = AssertUnwindSafe(self.target.deliver(order).instrument(span.clone())).catch_unwind().await else {
            // It says nothing of the target, so another may be the probe.
            self.breaker.passed_over(pass);
            return Some(Err(Panicked));
        };
        if verdict.outcome == Outcome::Delivered {
            slot.answered()
        } else {
            slot.failed()
        }
        span.record("attempt.outcome", verdict.outcome.as_str());
        if let Some(status) = verdict.status {
            span.record("http.response.status_code", i64::from(status));
        }
        if verdict.outcome != Outcome::Delivered {
            span.record("otel.status_code", "ERROR");
        }
        drop(span);
        drop(in_flight);
        match verdict.outcome {
            Outcome::Delivered | Outcome::Refused | Outcome::Throttled => self.breaker.works(),
            Outcome::Unavailable | Outcome::Unknown => self.breaker.fails(pass, &verdict.detail),
        }
        let attempt = Attempt {
            number,
            started_at,
            duration_us: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
            outcome: verdict.outcome,
            status: verdict.status,
            detail: verdict.detail.clone(),
        };
        self.metrics.attempted(&envelope.trace, &attempt);
        // While the target is away, or asks for patience, an event would collect attempts without end: the latest
        // one stands for all of them.
        let waits = self.breaker.doubts() || verdict.outcome == Outcome::Throttled;
        let alike = |last: &Attempt| (last.outcome == Outcome::Throttled) == (verdict.outcome == Outcome::Throttled);
        if waits && attempts.last().is_some_and(alike) {
            attempts.pop();
        }
        attempts.push(attempt);
        Some(Ok(verdict))
    }

    /// Leave to make one attempt, from the breaker and from the limit; `None` when the partition is left before.
    async fn leave(&self, hold: &Hold, trace: &TraceContext) -> Option<(Pass, Slot)> {
        loop {
            let pass = hold.unless_left(self.breaker.pass()).await?;
            // Both arms are cancel-safe: a place among those who wait for a slot is given up, and so is a look. Those who waited while the
            // breaker opened would all run against a target that is away, or, if they only took their slots, hold up the probe behind them.
            let slot = tokio::select! {
                biased;
                () = self.breaker.opened(), if pass == Pass::Free => continue,
                slot = self.slot(hold, trace) => slot,
            };
            let Some(slot) = slot else {
                self.breaker.passed_over(pass);
                return None;
            };
            return Some((pass, slot));
        }
    }

    /// Waits for a slot at a time when the lease permits an attempt; `None` when the partition is left before.
    async fn slot(&self, hold: &Hold, trace: &TraceContext) -> Option<Slot> {
        loop {
            hold.permitted().await?;
            let began = Instant::now();
            let slot =
                hold.unless_left(self.pace.slot().instrument(trace::part(trace.is_sampled(), || tracing::info_span!("pace")))).await?;
            self.metrics.slots().waited(trace, began.elapsed());
            // A slot that comes when the lease has run short is lost: the target sees one request less.
            if hold.permits() {
                return Some(slot);
            }
        }
    }

    /// How long an event is parked after so many attempts: doubled each time, with full jitter above the least.
    fn parking(&self, made: u32) -> Duration {
        let (least, most) = self.patience.park;
        let rounds = (made / self.patience.retries.saturating_add(1)).saturating_sub(1).min(31);
        least + jitter(least.saturating_mul(1 << rounds).min(most).saturating_sub(least))
    }
}

/// The span of an event's way from the topic to its end, in its own trace; of a replayed one it leads to the replay's order.
fn consumed(envelope: &Envelope, record: &Record, (partition, offset): (u32, u64)) -> Span {
    let span = tracing::info_span!(
        "consume",
        otel.kind = "consumer",
        messaging.operation.name = "consume",
        messaging.operation.r#type = "process",
        messaging.destination.partition.id = partition,
        messaging.kafka.offset = i64::try_from(offset).unwrap_or(i64::MAX),
        source.id = envelope.source_id.as_str(),
        event.id = envelope.event.id.as_str(),
    );
    trace::adopt(&span, &envelope.trace);
    if let Some(replay) = record.replayed_in() {
        trace::link(&span, &replay);
    }
    span
}

/// The span of an attempt after so many others.
fn attempted(others: usize) -> Span {
    tracing::info_span!(
        "deliver",
        otel.kind = "client",
        otel.status_code = field::Empty,
        http.request.method = "POST",
        http.request.resend_count = i64::try_from(others).unwrap_or(i64::MAX),
        http.response.status_code = field::Empty,
        graphql.operation.r#type = "mutation",
        attempt.outcome = field::Empty,
    )
}

/// How many attempts count towards the most: those since the last replay that were no throttle.
fn counted(attempts: &[Attempt], forgiven: u32) -> u32 {
    let since = attempts.iter().skip(usize::try_from(forgiven).unwrap_or(usize::MAX));
    u32::try_from(since.filter(|attempt| attempt.outcome != Outcome::Throttled).count()).unwrap_or(u32::MAX)
}

/// The pauses in place: doubled each time, with full jitter.
fn backoff(patience: Patience) -> impl Iterator<Item = Duration> {
    let least = u64::try_from(patience.backoff.0.as_millis()).unwrap_or(u64::MAX);
    ExponentialBackoff::from_millis(2).factor((least / 2).max(1)).max_delay(patience.backoff.1).map(jitter)
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
