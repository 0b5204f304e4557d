//! How long an answer's headers ask to wait: a number of seconds is taken at its word, nonsense is not read.

use std::time::Duration;

use dispatcher::deliver;

use crate::answer::headers;
use crate::message::Message;

/// The headers of a throttled answer, without a body; the first line says nothing.
///
/// # Panics
/// When a law is broken.
pub fn wait(input: &[u8]) {
    let message = Message::read(input);
    let headers = headers(&message);
    let asked = deliver::judge(429, &headers, b"", "").retry_after;
    let said = headers.get("retry-after").and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(seconds) = said.and_then(plain) {
        assert_eq!(asked, Some(Duration::from_secs(seconds)), "`Retry-After` is not taken at its word");
    }
    if said.is_some_and(|said| said.starts_with('-') && said != "-0") {
        assert!(asked.is_none_or(|asked| asked.is_zero()), "a wait into the past");
    }
    if ["retry-after", "ratelimit", "ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset"]
        .iter()
        .all(|name| !headers.contains_key(*name))
    {
        assert_eq!(asked, None, "a wait that nobody asked for");
    }
    let mut alone = headers.clone();
    for other in ["ratelimit", "ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset"] {
        alone.remove(other);
    }
    if said.is_some() {
        assert_eq!(deliver::judge(429, &alone, b"", "").retry_after, asked, "another header changes what `Retry-After` says");
    }
}

/// A whole number of seconds as RFC 9110 writes it, of a size that is exact in any arithmetic.
fn plain(text: &str) -> Option<u64> {
    (text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}
