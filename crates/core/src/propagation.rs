//! W3C trace context, as far as the path needs it: parse, pick out the trace id, write.
//!
//! A forged or malformed `traceparent` is no context at all; an oversized `tracestate` is dropped.
//! Source: W3C Trace Context, level 1, §3.2.2 and §3.3.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

use crate::hex;

/// The longest `tracestate` that is carried on, in bytes (the recommendation's minimum to keep).
pub const TRACESTATE_BYTES_MAX: usize = 512;
/// The length of a version-00 `traceparent`, in bytes.
const TRACEPARENT_BYTES: usize = 55;

/// A valid `traceparent` (lower case, version 00) with its `tracestate`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The 55 characters of the `traceparent`.
    parent: String,
    /// The vendors' part; empty when there is none.
    state: String,
}

impl TraceContext {
    /// Parses a `traceparent` with its optional `tracestate`; `None` unless the former is valid.
    #[must_use]
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let digits = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
        let mut parts = parent.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let shaped = version.len() == 2 && trace.len() == 32 && span.len() == 16 && flags.len() == 2;
        // Later versions may append fields; version 00 may not, and ff is forbidden.
        let version_fits = version != "ff" && (version != "00" || parent.len() == TRACEPARENT_BYTES);
        if !shaped || !version_fits || !digits(version) || !digits(trace) || !digits(span) || !digits(flags) || zero(trace) || zero(span) {
            return None;
        }
        let state = state.filter(|state| state.len() <= TRACESTATE_BYTES_MAX && state.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        Some(Self { parent: format!("00-{trace}-{span}-{flags}"), state: state.unwrap_or_default().to_owned() })
    }

    /// The context of a span of a trace that nobody records.
    #[must_use]
    pub fn unrecorded(trace: NonZeroU128, span: NonZeroU64) -> Self {
        let mut parent = String::with_capacity(TRACEPARENT_BYTES);
        parent.push_str("00-");
        hex::push(&mut parent, &trace.get().to_be_bytes());
        parent.push('-');
        hex::push(&mut parent, &span.get().to_be_bytes());
        parent.push_str("-00");
        Self { parent, state: String::new() }
    }

    /// The `traceparent` header's value.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        &self.parent
    }

    /// The `tracestate` header's value, if there is one.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        (!self.state.is_empty()).then_some(self.state.as_str())
    }

    /// Whether whoever began the trace records it.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        let flags = self.parent.get(53..).and_then(|flags| u8::from_str_radix(flags, 16).ok());
        flags.is_some_and(|flags| flags & 1 == 1)
    }

    /// The same context for whoever comes next, who shall not record it.
    #[must_use]
    pub fn left_out(mut self) -> Self {
        self.parent.truncate(TRACEPARENT_BYTES - 2);
        self.parent.push_str("00");
        self
    }

    /// The trace id: 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.parent.get(3..35).unwrap_or_default()
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{TRACESTATE_BYTES_MAX, TraceContext};

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_valid_parent_gives_its_trace_id() {
        let context = TraceContext::parse(VALID, Some("a=1")).unwrap();
        assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!((context.traceparent(), context.tracestate()), (VALID, Some("a=1")));
        assert_eq!(context.clone().left_out().traceparent(), VALID.replace("-01", "-00"));
        let unsampled = TraceContext::parse(&VALID.replace("-01", "-02"), None).unwrap();
        assert!(context.is_sampled() && !unsampled.is_sampled());
        assert!(TraceContext::parse(&VALID.replace("-01", "-03"), None).unwrap().is_sampled(), "the other flags say nothing of it");
        assert_eq!(context.to_string(), VALID);
    }

    #[test]
    fn a_later_version_may_say_more_and_is_carried_on_as_ours() {
        let later = VALID.replace("00-0af", "cc-0af") + "-what-the-future-brings";
        assert_eq!(TraceContext::parse(&later, None).unwrap().traceparent(), VALID);
    }

    #[test]
    fn a_tracestate_of_the_greatest_length_is_carried_on() {
        let longest = "x".repeat(TRACESTATE_BYTES_MAX);
        assert_eq!(TraceContext::parse(VALID, Some(&longest)).unwrap().tracestate(), Some(longest.as_str()));
    }

    #[test]
    fn forged_parents_are_no_context() {
        for forged in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-zz",
            "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333g-01",
            "cc0-af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-101",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        ] {
            assert_eq!(TraceContext::parse(forged, None), None, "{forged}");
        }
    }

    #[test]
    fn an_oversized_or_unprintable_tracestate_is_dropped() {
        for state in ["x".repeat(513), "a=\n".to_owned(), "ä=1".to_owned()] {
            assert_eq!(TraceContext::parse(VALID, Some(&state)).unwrap().tracestate(), None);
        }
    }

    proptest! {
        #[test]
        fn a_trace_that_nobody_records_is_written_as_a_valid_parent(trace in 1..=u128::MAX, span in 1..=u64::MAX) {
            let context = TraceContext::unrecorded(trace.try_into().unwrap(), span.try_into().unwrap());
            prop_assert_eq!(context.traceparent(), format!("00-{trace:032x}-{span:016x}-00"));
            prop_assert_eq!(TraceContext::parse(context.traceparent(), None), Some(context));
        }

        #[test]
        fn what_parses_is_written_as_a_parent_that_parses(parent in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[a-z]{0,4})?") {
            if let Some(context) = TraceContext::parse(&parent, None) {
                prop_assert_eq!(TraceContext::parse(context.traceparent(), None), Some(context));
            }
        }
    }
}
