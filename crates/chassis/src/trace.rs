//! The bridge between an event's trace context, as it travels, and the spans of this process.

use events_proxy_core::TraceContext;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetrySpanExt, SetParentError};
use uuid::Uuid;

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

/// The context of a trace that nobody records. The version digits of the random parts keep them from being zero.
fn fresh() -> TraceContext {
    let (trace, span) = (Uuid::new_v4().simple().to_string(), Uuid::new_v4().simple().to_string());
    let parent = format!("00-{trace}-{}-00", span.get(..16).unwrap_or_default());
    TraceContext::parse(&parent, None).expect("invariant: two random UUIDs in hexadecimal make a valid parent")
}

#[cfg(test)]
mod tests {
    use events_proxy_core::TraceContext;
    use tracing::Span;

    use super::{context, fresh, remote, written};

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
    fn a_tracestate_that_is_none_is_left_out() {
        let before = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some("no pairs at all")).unwrap();
        let after = written(&remote(&before).unwrap()).unwrap();
        assert_eq!((after.traceparent(), after.tracestate()), (before.traceparent(), None));
    }

    #[test]
    fn without_telemetry_there_is_a_trace_all_the_same() {
        let (one, other) = (context(&Span::none()), fresh());
        assert_ne!(one.trace_id(), other.trace_id());
        assert!(one.traceparent().ends_with("-00"));
    }
}
