//! How much one caller may ask for: so many requests in each window, a bounded number of callers remembered.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many callers are remembered; beyond it those of past windows are forgotten, then all.
const CALLERS_MAX: usize = 100_000;

/// A limit per caller.
#[derive(Debug)]
pub(crate) struct Quota<K> {
    /// Requests in one window.
    requests: u32,
    /// The window.
    interval: Duration,
    /// Each caller's present window: when it began, and how much of it is used.
    windows: Mutex<HashMap<K, (Instant, u32)>>,
}

/// What is left to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// The window's requests.
    pub(crate) limit: u32,
    /// Requests that are left in it.
    pub(crate) remaining: u32,
    /// When the next window begins.
    pub(crate) reset: Duration,
}

impl<K: Eq + Hash + Clone> Quota<K> {
    /// A limit of so many requests per interval.
    pub(crate) fn new(requests: u32, interval: Duration) -> Self {
        Self { requests, interval, windows: Mutex::default() }
    }

    /// Takes one request of a caller's window; `Err` when it is used up.
    pub(crate) fn take(&self, caller: &K) -> Result<Left, Left> {
        let now = Instant::now();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= CALLERS_MAX && !windows.contains_key(caller) {
            windows.retain(|_, (began, _)| now.duration_since(*began) < self.interval);
            if windows.len() >= CALLERS_MAX {
                windows.clear();
            }
        }
        let fresh = (now, 0);
        let window = match windows.get_mut(caller) {
            Some(window) => window,
            None => windows.entry(caller.clone()).or_insert(fresh),
        };
        if now.duration_since(window.0) >= self.interval {
            *window = fresh;
        }
        let reset = self.interval.saturating_sub(now.duration_since(window.0));
        if window.1 >= self.requests {
            return Err(Left { limit: self.requests, remaining: 0, reset });
        }
        window.1 += 1;
        Ok(Left { limit: self.requests, remaining: self.requests - window.1, reset })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Quota;

    #[tokio::test(start_paused = true)]
    async fn a_caller_waits_for_its_next_window_and_others_do_not() {
        let quota = Quota::new(2, Duration::from_secs(10));
        assert_eq!(quota.take(&"a").unwrap().remaining, 1);
        assert_eq!(quota.take(&"a").unwrap().remaining, 0);
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(quota.take(&"a").unwrap_err().reset, Duration::from_secs(6));
        assert!(quota.take(&"b").is_ok());
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(quota.take(&"a").is_ok());
    }
}
