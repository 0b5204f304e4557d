//! The bridge between an event's trace context, as it travels, and the spans of this process.

mod ids;

use std::time::{Duration, UNIX_EPOCH};

use events_proxy_core::{Moment, TraceContext};
use opentelemetry::trace::{Span as _, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer};
use opentelemetry::{KeyValue, global};
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetrySpanExt, SetParentError};

use crate::telemetry::Spans;

pub(crate) use ids::Ids;

/// Whose spans these are.
pub(crate) const SCOPE: &str = "events-proxy";

/// Decides which requests are recorded. One that is not has a trace as well, and its context goes on, but no span: nobody
/// would see it. When more spans wait than can be exported soon, whole traces are left out instead of parts of all.
#[derive(Debug, Clone)]
pub struct Recorder {
    /// The share of traces to record where the caller does not say; none where nothing is exported.
    ratio: Option<f64>,
    /// Where spans wait, if they do.
    spans: Option<Spans>,
}

impl Recorder {
    /// One that records a share of the traces that begin here, or nothing at all.
    #[must_use]
    pub const fn new(ratio: Option<f64>) -> Self {
        Self { ratio, spans: None }
    }

    /// The same, with an eye on the spans that wait.
    #[must_use]
    pub fn watching(self, spans: Option<Spans>) -> Self {
        Self { spans, ..self }
    }

    /// Begins a request's part of its trace: its span, if it is recorded, and the context that goes on with the event.
    pub fn begin(&self, parent: Option<TraceContext>, span: impl FnOnce() -> Span) -> (Span, TraceContext) {
        let recorded =
            self.ratio.is_some_and(|ratio| parent.as_ref().map_or_else(|| rand::random::<f64>() < ratio, TraceContext::is_sampled));
        if !recorded {
            return (Span::none(), parent.unwrap_or_else(fresh));
        }
        if self.spans.as_ref().is_some_and(|spans| !spans.admit()) {
            return (Span::none(), parent.map_or_else(fresh, TraceContext::left_out));
        }
        let span = span();
        if let Some(parent) = &parent {
            adopt(&span, parent);
        }
        let context = context(&span);
        (span, context)
    }
}

/// Makes `span` a child of a span of another process. Call it right after the span was made, before it is entered,
/// before it has children, and before [`context`] is asked: afterwards its trace is fixed.
pub fn adopt(span: &Span, parent: &TraceContext) {
    let Some(parent) = remote(parent) else {
        return;
    };
    match span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent)) {
        Ok(()) => {}
        // Without telemetry, as in tests, there is nothing that could have a parent.
        Err(SetParentError::LayerNotFound | SetParentError::SpanDisabled) => {}
        Err(error @ SetParentError::AlreadyStarted) => tracing::warn!(%error, "a span keeps its own trace"),
    }
}

/// The context in which whoever comes next continues the trace of `span`. It is always valid: without telemetry it
/// begins a trace of its own, which is not sampled.
#[must_use]
pub fn context(span: &Span) -> TraceContext {
    let context = span.context();
    let span = context.span();
    written(span.span_context()).unwrap_or_else(fresh)
}

/// The span of a part of a trace, where the trace is recorded; else none, which costs nothing.
pub fn part(recorded: bool, span: impl FnOnce() -> Span) -> Span {
    if recorded { span() } else { Span::none() }
}

/// The context in which whoever comes next continues `trace` after `span`, which is a part of it, or none where it is not recorded.
#[must_use]
pub fn onward(trace: &TraceContext, span: &Span) -> TraceContext {
    if span.is_disabled() { trace.clone() } else { context(span) }
}

/// Something that is over, as a span of its own with its true start and end.
#[derive(Debug)]
pub struct Past {
    /// Its name.
    pub name: &'static str,
    /// From when to when it was.
    pub times: (Moment, Moment),
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// What else is known of it.
    pub attributes: Vec<KeyValue>,
}

impl Past {
    /// A wait.
    #[must_use]
    pub const fn wait(name: &'static str, times: (Moment, Moment)) -> Self {
        Self { name, times, failure: None, attributes: Vec::new() }
    }
}

/// Tells of a wait that is over, where the trace is recorded.
pub fn waited(name: &'static str, trace: &TraceContext, times: (Moment, Moment)) {
    if let Some(parent) = remote(trace).filter(SpanContext::is_sampled) {
        tell(parent, Past::wait(name, times));
    }
}

/// Tells of a part of a trace that nobody recorded, because it came to more than was expected of it: a failure is seen whatever
/// the share of recorded traces. Its spans hang on the context that the event carries.
pub fn told_afterwards(trace: &TraceContext, parts: impl IntoIterator<Item = Past>) {
    let Some(parent) = remote(trace) else { return };
    let recorded = SpanContext::new(parent.trace_id(), parent.span_id(), TraceFlags::SAMPLED, true, parent.trace_state().clone());
    for part in parts {
        tell(recorded.clone(), part);
    }
}

/// Makes a span of what is over.
fn tell(parent: SpanContext, past: Past) {
    let at = |moment: Moment| UNIX_EPOCH + Duration::from_micros(u64::try_from(moment.as_micros()).unwrap_or_default());
    let context = opentelemetry::Context::new().with_remote_span_context(parent);
    let tracer = global::tracer(SCOPE);
    let (from, to) = past.times;
    let builder = tracer.span_builder(past.name).with_start_time(at(from)).with_attributes(past.attributes);
    let mut span = builder.start_with_context(&tracer, &context);
    if let Some(failure) = past.failure {
        span.set_status(Status::error(failure));
    }
    span.end_with_timestamp(at(to));
}

/// Leads from a span to one of another trace, or of an earlier part of its own.
pub fn link(span: &Span, to: &TraceContext) {
    if let Some(to) = remote(to) {
        span.add_link(to);
    }
}

/// A context as the SDK holds it. A `tracestate` that the SDK does not take is left out.
fn remote(context: &TraceContext) -> Option<SpanContext> {
    let mut parts = context.traceparent().split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    let state = context.tracestate().and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
    let parent = SpanContext::new(trace, span, TraceFlags::new(flags), true, state);
    parent.is_valid().then_some(parent)
}

/// A context as it travels; `None` if it is not valid.
fn written(context: &SpanContext) -> Option<TraceContext> {
    let sampled = if context.is_sampled() { "01" } else { "00" };
    let parent = format!("00-{}-{}-{sampled}", context.trace_id(), context.span_id());
    TraceContext::parse(&parent, Some(&context.trace_state().header()))
}

/// The context of a trace that nobody records.
fn fresh() -> TraceContext {
    TraceContext::unrecorded(ids::trace(), ids::span())
}

#[cfg(test)]
mod tests {
    use events_proxy_core::TraceContext;
    use tracing::Span;

    use super::{Recorder, context, fresh, onward, part, remote, written};
    use crate::telemetry::{Ended, Spans};

    #[test]
    fn a_context_survives_the_sdk_unchanged() {
        for (parent, state) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some("vendor=a1,other@tenant=b2")),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", None),
        ] {
            let before = TraceContext::parse(parent, state).unwrap();
            assert_eq!(written(&remote(&before).unwrap()), Some(before));
        }
    }

    #[test]
    fn a_request_that_is_not_recorded_goes_on_with_its_own_context_and_without_a_span() {
        let parsed = |flags| TraceContext::parse(&format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}"), Some("a=1"));
        for (ratio, parent) in [(None, parsed("01")), (None, parsed("00")), (Some(1.0), parsed("00")), (Some(0.0), None), (None, None)] {
            let (span, context) = Recorder::new(ratio).begin(parent.clone(), || unreachable!("a span for nobody"));
            assert!(span.is_none());
            match parent {
                Some(parent) => assert_eq!(context, parent),
                None => assert!(!context.is_sampled()),
            }
        }
    }

    #[test]
    fn where_somebody_looks_the_caller_decides_and_else_the_share() {
        let sampled = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None);
        let made = |ratio, parent: &Option<TraceContext>| {
            let mut made = false;
            Recorder::new(Some(ratio)).begin(parent.clone(), || {
                made = true;
                Span::none()
            });
            made
        };
        assert!(made(0.0, &sampled) && made(1.0, &None));
        let recorded = (0..1_000).filter(|_| made(0.3, &None)).count();
        assert!((200..400).contains(&recorded), "{recorded} of 1000 at 0.3");
    }

    #[test]
    fn a_trace_that_would_have_holes_is_left_out_whole() {
        let spans = Spans::crowded();
        let recorder = Recorder::new(Some(1.0)).watching(Some(spans.clone()));
        let parent = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some("a=1"));
        let (span, context) = recorder.begin(parent.clone(), || unreachable!("a span without a place"));
        assert!(span.is_none() && !context.is_sampled());
        assert_eq!((context.trace_id(), context.tracestate()), (parent.unwrap().trace_id().to_owned().as_str(), Some("a=1")));
        assert_eq!(spans.count(Ended::Dropped), 1);
    }

    #[test]
    fn a_tracestate_that_is_none_is_left_out() {
        let before = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some("no pairs at all")).unwrap();
        let after = written(&remote(&before).unwrap()).unwrap();
        assert_eq!((after.traceparent(), after.tracestate()), (before.traceparent(), None));
    }

    #[test]
    fn a_trace_that_is_not_recorded_goes_on_as_it_came() {
        let trace = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", Some("a=1")).unwrap();
        let span = part(false, || unreachable!("a span for nobody"));
        assert_eq!(onward(&trace, &span), trace);
    }

    #[test]
    fn without_telemetry_there_is_a_trace_all_the_same() {
        let (one, other) = (context(&Span::none()), fresh());
        assert_ne!(one.trace_id(), other.trace_id());
        assert!(one.traceparent().ends_with("-00"));
    }
}
