//! W3C trace headers: a valid context is carried on as it was meant, and all else is none.

use events_proxy_core::TraceContext;
use events_proxy_core::propagation::TRACESTATE_BYTES_MAX;

use crate::message::line;

/// A `traceparent` on the first line, and a `tracestate` on the second if there is one.
///
/// # Panics
/// When a law is broken.
pub fn trace(input: &[u8]) {
    let (parent, rest) = line(input);
    let (Ok(parent), Ok(state)) = (std::str::from_utf8(parent), std::str::from_utf8(rest)) else { return };
    let state = (!rest.is_empty()).then_some(state);
    let context = TraceContext::parse(parent, state);
    assert_eq!(context.is_some(), is_valid(parent), "`{parent}` is judged wrongly");
    let Some(context) = context else { return };
    let written = context.traceparent();
    assert_eq!(
        (written.len(), written.get(2..), written.get(..2)),
        (55, parent.get(2..55), Some("00")),
        "`{parent}` is written differently"
    );
    assert_eq!(Some(context.trace_id()), parent.get(3..35));
    let carried = state.filter(|state| state.len() <= TRACESTATE_BYTES_MAX && state.chars().all(|char| (' '..='~').contains(&char)));
    assert_eq!(context.tracestate(), carried);
    assert_eq!(
        TraceContext::parse(written, context.tracestate()).as_ref(),
        Some(&context),
        "a context is read differently from how it was written"
    );
    let left_out = context.clone().left_out();
    assert!(!left_out.is_sampled());
    assert_eq!((left_out.trace_id(), left_out.tracestate()), (context.trace_id(), context.tracestate()));
    assert_eq!(TraceContext::parse(left_out.traceparent(), left_out.tracestate()), Some(left_out.clone()));
}

/// W3C Trace Context, §3.2.2, once more in other words: by the place of each character.
fn is_valid(parent: &str) -> bool {
    let shaped = parent.bytes().take(55).enumerate().all(|(place, byte)| match place {
        2 | 35 | 52 => byte == b'-',
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    });
    let part = |from: usize, to: usize| parent.get(from..to).unwrap_or_default();
    let all_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    // A version of the future may go on, behind another hyphen.
    let ends = match part(0, 2) {
        "ff" => false,
        "00" => parent.len() == 55,
        _ => parent.len() == 55 || parent.as_bytes().get(55) == Some(&b'-'),
    };
    parent.len() >= 55 && shaped && ends && !all_zero(part(3, 35)) && !all_zero(part(36, 52))
}
