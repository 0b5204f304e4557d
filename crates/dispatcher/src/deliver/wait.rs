//! How long an answer asks to wait, by its headers: `Retry-After`, else when the rate-limit fields say that the limit begins anew.
//!
//! | field | source |
//! |---|---|
//! | `Retry-After: 7` or a date | RFC 9110, 10.2.3 |
//! | `RateLimit: "name";r=0;t=7` | draft-ietf-httpapi-ratelimit-headers, since -08 |
//! | `RateLimit: limit=10, remaining=0, reset=7` | the same, -07 |
//! | `RateLimit-Reset: 7` | the same, up to -06 |
//! | `X-RateLimit-Reset: 7`, or a moment in seconds or milliseconds since 1970 | custom |
//!
//! A date or a moment is measured against the answer's own `Date`: our clock may differ from the target's.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// From this on a number of seconds is a moment: in 2001, or a wait of 31 years.
const MOMENT_MIN: f64 = 1e9;
/// From this on it is one in milliseconds.
const MILLIS_MIN: f64 = 1e12;

/// How long an answer asks to wait; `None` when it says nothing that can be read.
pub(super) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let said = text(headers, &RETRY_AFTER)?;
    let until = || Some((date(said)? - answered(headers)?).try_into().unwrap_or_default());
    seconds(said).or_else(until)
}

/// When the limit begins anew; `None` when nothing that can be read says so, or `Retry-After` says what counts. Some targets tell it
/// with every answer.
pub(super) fn reset(headers: &HeaderMap) -> Option<Duration> {
    if headers.contains_key(RETRY_AFTER) {
        return None;
    }
    let combined = text(headers, &HeaderName::from_static("ratelimit")).and_then(parameter);
    let names = ["ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset"];
    let alone = || names.into_iter().find_map(|name| text(headers, &HeaderName::from_static(name)));
    let number = combined.or_else(alone)?.parse::<f64>().ok()?;
    if number < MOMENT_MIN {
        return Duration::try_from_secs_f64(number).ok();
    }
    let moment = if number < MILLIS_MIN { number } else { number / 1_000.0 };
    let answered = Duration::from_secs(u64::try_from(answered(headers)?.unix_timestamp()).ok()?);
    Some(Duration::try_from_secs_f64(moment).ok()?.saturating_sub(answered))
}

/// What a header says, where it can be read.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// When the target answered, by its own clock.
fn answered(headers: &HeaderMap) -> Option<OffsetDateTime> {
    text(headers, &DATE).and_then(date)
}

/// A number of seconds, whole or not.
fn seconds(text: &str) -> Option<Duration> {
    text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// The seconds until a reset in a combined field: parameter `t` or `reset`.
fn parameter(field: &str) -> Option<&str> {
    let parts = field.split([';', ',']).filter_map(|part| part.trim().split_once('='));
    parts.filter(|(name, _)| matches!(*name, "t" | "reset")).map(|(_, value)| value.trim()).next()
}

/// An HTTP date.
fn date(text: &str) -> Option<OffsetDateTime> {
    let text = text.strip_suffix("GMT")?.to_owned() + "+0000";
    OffsetDateTime::parse(&text, &Rfc2822).ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::{asked, reset};

    /// What an answer of Sun, 06 Nov 1994 08:49:37 GMT with these fields asks for, in seconds.
    fn seconds(fields: &[(&'static str, &'static str)]) -> Option<f64> {
        let mut headers = HeaderMap::new();
        headers.insert("date", HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        for (name, value) in fields {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let (asked, reset) = (asked(&headers), reset(&headers));
        assert!(asked.is_none() || reset.is_none(), "one of them counts");
        asked.or(reset).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn the_table_of_fields() {
        for (field, value, expected) in [
            ("retry-after", "7", Some(7.0)),
            ("retry-after", " 7 ", Some(7.0)),
            ("retry-after", "1.5", Some(1.5)),
            ("retry-after", "0", Some(0.0)),
            ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT", Some(30.0)),
            ("retry-after", "Sun, 06 Nov 1994 08:40:00 GMT", Some(0.0)),
            ("retry-after", "soon", None),
            ("retry-after", "-7", None),
            ("retry-after", "99999999999999999999999", None),
            ("ratelimit", "\"default\";r=0;t=7", Some(7.0)),
            ("ratelimit", "limit=10, remaining=0, reset=7", Some(7.0)),
            ("ratelimit", "\"default\";r=0", None),
            ("ratelimit-reset", "7", Some(7.0)),
            ("x-ratelimit-reset", "7", Some(7.0)),
            ("x-ratelimit-reset", "784111787", Some(784_111_787.0)),
            ("x-rate-limit-reset", "NaN", None),
            ("x-ratelimit-remaining", "0", None),
        ] {
            assert_eq!(seconds(&[(field, value)]), expected, "{field}: {value}");
        }
    }

    #[test]
    fn a_moment_is_measured_against_the_answers_own_date() {
        let answered = ("date", "Thu, 01 Jan 2026 00:00:00 GMT");
        assert_eq!(seconds(&[answered, ("x-ratelimit-reset", "1767225612")]), Some(12.0));
        assert_eq!(seconds(&[answered, ("x-ratelimit-reset", "1767225612500")]), Some(12.5));
        assert_eq!(seconds(&[answered, ("x-ratelimit-reset", "1767225000")]), Some(0.0));
        assert_eq!(seconds(&[("date", "today"), ("x-ratelimit-reset", "1767225612")]), None);
        assert_eq!(seconds(&[("date", "today"), ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]), None);
    }

    #[test]
    fn retry_after_goes_before_the_rate_limit_fields() {
        assert_eq!(seconds(&[("ratelimit-reset", "60"), ("retry-after", "2")]), Some(2.0));
        assert_eq!(seconds(&[("ratelimit", "\"a\";r=0;t=3"), ("x-ratelimit-reset", "60")]), Some(3.0));
    }
}
