//! The limit: at most N requests in any rolling window, exactly.
//!
//! ```text
//!        a     b  c        d         N = 3: d is admitted once a has left, not earlier
//! ───────┼─────┼──┼────────┼────►
//!        (─── interval ───]          the window ends at d; what lies a whole interval before it is outside
//! ```
//! The most that any window held is held by one that ends at an arrival, so looking at each arrival is enough.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::RATE_REQUESTS_MAX;

/// The instants of one rolling window.
#[derive(Debug)]
struct Window {
    /// Its length.
    interval: Duration,
    /// The most instants that are kept; beyond, the count is a lower bound.
    kept_max: usize,
    /// What lies inside it, oldest first.
    instants: VecDeque<Instant>,
    /// The most it ever held.
    worst: usize,
}

impl Window {
    /// An empty window.
    const fn new(interval: Duration, kept_max: usize) -> Self {
        Self { interval, kept_max, instants: VecDeque::new(), worst: 0 }
    }

    /// Moves the window's end to `now`.
    fn move_to(&mut self, now: Instant) {
        while self.instants.front().is_some_and(|oldest| now.saturating_duration_since(*oldest) >= self.interval) {
            self.instants.pop_front();
        }
    }

    /// Takes up an arrival at the window's end.
    fn add(&mut self, now: Instant) {
        if self.instants.len() >= self.kept_max {
            self.instants.pop_front();
        }
        self.instants.push_back(now);
        self.worst = self.worst.max(self.instants.len());
    }

    /// How long until the oldest instant leaves; zero when there is none.
    fn until_one_leaves(&self, now: Instant) -> Duration {
        self.instants.front().map_or(Duration::ZERO, |oldest| self.interval.saturating_sub(now.saturating_duration_since(*oldest)))
    }
}

/// How a request stands with the limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// When it arrived.
    pub(super) at: Instant,
    /// Whether it may pass.
    pub(super) admitted: bool,
    /// How many a window admits.
    pub(super) limit: u32,
    /// How many more this window admits.
    pub(super) remaining: usize,
    /// How long until the window admits one more than now.
    pub(super) reset: Duration,
}

/// The two windows behind one lock.
#[derive(Debug)]
struct Windows {
    /// Requests that passed.
    admitted: Window,
    /// All requests.
    arrived: Window,
    /// Nothing passes before this.
    closed_until: Option<Instant>,
}

/// Judges requests in the order of their arrival.
#[derive(Debug)]
pub(super) struct Limiter {
    /// How many a window admits.
    limit: u32,
    /// What lies in the windows that end now.
    windows: Mutex<Windows>,
}

impl Limiter {
    /// A limiter that has seen nothing.
    pub(super) fn new(limit: u32, interval: Duration) -> Self {
        let kept_max = usize::try_from(RATE_REQUESTS_MAX).unwrap_or(usize::MAX);
        let window = || Window::new(interval, kept_max);
        let windows = Windows { admitted: window(), arrived: window(), closed_until: None };
        Self { limit, windows: Mutex::new(windows) }
    }

    /// Stamps and judges a request that arrives now. A throttled one uses up nothing.
    pub(super) fn arrive(&self) -> Standing {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        // Read inside the lock, so that stamps have the order of the judgements.
        windows.judge(self.limit, Instant::now())
    }

    /// Lets nothing pass for so long, whatever the windows hold.
    pub(super) fn close(&self, wait: Duration) {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).closed_until = Some(Instant::now() + wait);
    }

    /// The most requests that any window saw: admitted, and all that arrived.
    pub(super) fn worst(&self) -> (usize, usize) {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        (windows.admitted.worst, windows.arrived.worst)
    }
}

impl Windows {
    /// Judges an arrival; `now` never goes back.
    fn judge(&mut self, limit: u32, now: Instant) -> Standing {
        self.arrived.move_to(now);
        self.arrived.add(now);
        self.admitted.move_to(now);
        let places = usize::try_from(limit).unwrap_or(usize::MAX);
        let closed = self.closed_until.map(|until| until.saturating_duration_since(now)).filter(|wait| !wait.is_zero());
        let admitted = closed.is_none() && self.admitted.instants.len() < places;
        if admitted {
            self.admitted.add(now);
        }
        let remaining = places.saturating_sub(self.admitted.instants.len());
        let reset = closed.unwrap_or_else(|| self.admitted.until_one_leaves(now));
        Standing { at: now, admitted, limit, remaining: if closed.is_some() { 0 } else { remaining }, reset }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Window, Windows};

    /// Two empty windows of a millisecond.
    fn windows() -> Windows {
        let window = || Window::new(Duration::from_millis(1), 1_000);
        Windows { admitted: window(), arrived: window(), closed_until: None }
    }

    #[test]
    fn what_is_closed_lets_nothing_pass_and_tells_until_when() {
        let (mut windows, start) = (windows(), Instant::now());
        windows.closed_until = Some(start + Duration::from_micros(500));
        let refused = windows.judge(2, start + Duration::from_micros(200));
        assert_eq!((refused.admitted, refused.remaining, refused.reset), (false, 0, Duration::from_micros(300)));
        assert!(windows.judge(2, start + Duration::from_micros(500)).admitted);
    }

    #[test]
    fn a_place_is_free_exactly_one_interval_after_it_was_taken() {
        let (mut windows, start) = (windows(), Instant::now());
        let mut judge = |nanos| windows.judge(2, start + Duration::from_nanos(nanos));
        assert!(judge(0).admitted && judge(400_000).admitted);
        let refused = judge(999_999);
        assert!(!refused.admitted);
        assert_eq!((refused.remaining, refused.reset), (0, Duration::from_nanos(1)));
        assert!(judge(1_000_000).admitted && !judge(1_000_000).admitted);
        assert_eq!((windows.admitted.worst, windows.arrived.worst), (2, 4));
    }

    #[test]
    fn throttled_requests_use_up_nothing_but_are_seen() {
        let (mut windows, start) = (windows(), Instant::now());
        let admitted = (0..100).filter(|turn| windows.judge(1, start + Duration::from_micros(turn * 100)).admitted).count();
        assert_eq!((admitted, windows.admitted.worst, windows.arrived.worst), (10, 1, 10));
    }

    #[test]
    fn the_incremental_count_is_that_of_looking_at_every_window() {
        let interval = Duration::from_micros(1_000);
        let (mut window, mut instants, mut now) = (Window::new(interval, 10_000), Vec::new(), Instant::now());
        for _ in 0..3_000 {
            now += Duration::from_micros(rand::random_range(0..200) * rand::random_range(0..2));
            instants.push(now);
            window.move_to(now);
            window.add(now);
        }
        let held = |end: &Instant| instants.iter().filter(|at| *at <= end && *end - **at < interval).count();
        assert_eq!(window.worst, instants.iter().map(held).max().unwrap());
    }

    #[test]
    fn a_full_window_forgets_its_oldest_and_stays_bounded() {
        let mut window = Window::new(Duration::from_secs(1), 3);
        for _ in 0..10 {
            window.add(Instant::now());
        }
        assert_eq!((window.instants.len(), window.worst), (3, 3));
    }
}
