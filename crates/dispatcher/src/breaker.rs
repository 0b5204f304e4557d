//! Whether the target is there at all: when nothing has worked for a while, nothing is sent but one probe now and then.
//!
//! From the fifth failure in a row on no event is judged: no attempt is used up, and the topic is the buffer. Where some calls
//! work, those that fail do so for what they carry: then the breaker stays closed, and they are judged.
//!
//! ```text
//! closed ──5 failures in a row──▶ doubts ──nothing worked for a second──▶ open ◀──fails: the event steps aside──┐
//!    ▲                              │                                      │                                    │
//!    └─────────a call works─────────┴──────────────────────────────────────┴──probe─────────────────────────────┘
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_retry::strategy::jitter;

use crate::waiting::Waiting;

/// Failures in a row, over all events, from which on it doubts.
const FAILURES: u32 = 5;
/// For how long nothing may have worked when it opens.
const SILENCE: Duration = Duration::from_secs(1);
/// The pause before the first probe; it doubles with each that fails, up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// How long a probe may be out before another takes its place: longer than any attempt.
const PROBE: Duration = Duration::from_secs(330);
/// How often whoever waits looks whether the probe is due.
const LOOK: Duration = Duration::from_millis(200);

/// What an attempt is to the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// One of many.
    Free,
    /// The one that finds out whether the target is back.
    Probe,
}

/// Whether the target is there.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// What it knows.
    state: Mutex<State>,
    /// How many wait until they may pass.
    waiting: AtomicUsize,
    /// Whether it is open, for those who wait for something else meanwhile.
    opened: watch::Sender<bool>,
}

/// What it knows.
#[derive(Debug, Default)]
struct State {
    /// Failures since the last success.
    failures: u32,
    /// When something worked last.
    worked: Option<Instant>,
    /// Set while it is open: when the next probe may go.
    open: Option<Open>,
}

/// An open breaker.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// When the next probe may go.
    probe_at: Instant,
    /// The pause after that probe's failure.
    pause: Duration,
}

impl Breaker {
    /// Waits until an attempt may be made, and tells which kind it is.
    pub(crate) async fn pass(&self) -> Pass {
        let _waiting = Waiting::new(&self.waiting);
        loop {
            let wait = {
                let mut state = self.state();
                let Some(open) = &mut state.open else { return Pass::Free };
                let now = Instant::now();
                if open.probe_at <= now {
                    open.probe_at = now + PROBE;
                    return Pass::Probe;
                }
                (open.probe_at - now).min(LOOK)
            };
            // Any of those who wait makes the probe: what always fails may have come first.
            tokio::time::sleep(wait + jitter(LOOK)).await;
        }
    }

    /// Whoever was let pass made no attempt: the next one may be the probe.
    pub(crate) fn passed_over(&self, pass: Pass) {
        if let Some(open) = self.state().open.as_mut().filter(|_| pass == Pass::Probe) {
            open.probe_at = Instant::now();
        }
    }

    /// Says whether it is open.
    pub(crate) fn is_open(&self) -> bool {
        self.state().open.is_some()
    }

    /// Waits until it is open.
    pub(crate) async fn opened(&self) {
        // The sender lives as long as this.
        self.opened.subscribe().wait_for(|open| *open).await.ok();
    }

    /// Says whether it is open or about to: no failure is an event's own then, as far as anybody knows.
    pub(crate) fn doubts(&self) -> bool {
        let state = self.state();
        state.open.is_some() || state.failures >= FAILURES
    }

    /// Says whether it is open and nobody is there to make the next probe.
    pub(crate) fn lacks_probe(&self) -> bool {
        self.is_open() && self.waiting.load(Ordering::SeqCst) == 0
    }

    /// The target answered something that it can only answer when it works.
    pub(crate) fn works(&self) {
        let mut state = self.state();
        let was_open = state.open.is_some();
        *state = State { worked: Some(Instant::now()), ..State::default() };
        if was_open {
            self.opened.send_replace(false);
        }
        drop(state);
        if was_open {
            tracing::info!("the target works again; deliveries go on");
        }
    }

    /// The target could not be reached or did not work. While it is open only a probe's failure counts: what was under way
    /// when it opened tells nothing new.
    pub(crate) fn fails(&self, pass: Pass, detail: &str) {
        let mut state = self.state();
        if state.open.is_some() && pass == Pass::Free {
            return;
        }
        state.failures = state.failures.saturating_add(1);
        let now = Instant::now();
        let pause = state.open.map(|open| open.pause);
        let worked = || state.worked.is_some_and(|at| now.saturating_duration_since(at) < SILENCE);
        if pause.is_none() && (state.failures < FAILURES || worked()) {
            return;
        }
        let wait = pause.unwrap_or(PAUSE.0);
        state.open = Some(Open { probe_at: now + wait, pause: (wait * 2).min(PAUSE.1) });
        self.opened.send_replace(true);
        drop(state);
        if pause.is_none() {
            tracing::warn!(detail, "the target does not work; events wait, and one at a time is tried");
        }
    }

    /// Takes the lock, which is never held over a wait.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::{Instant, timeout};

    use super::{Breaker, FAILURES, Pass};

    #[tokio::test(start_paused = true)]
    async fn a_target_that_is_away_sees_one_probe_at_a_time() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES {
            let pass = breaker.pass().await;
            breaker.fails(pass, "refused");
        }
        assert!(breaker.is_open());
        let began = Instant::now();
        assert_eq!(breaker.pass().await, Pass::Probe);
        assert!(began.elapsed() >= Duration::from_secs(1));
        assert!(breaker.lacks_probe());
        assert!(timeout(Duration::from_secs(60), breaker.pass()).await.is_err(), "a second probe went out");
        breaker.works();
        assert_eq!(breaker.pass().await, Pass::Free);
        assert!(!breaker.is_open() && !breaker.lacks_probe());
    }

    #[tokio::test(start_paused = true)]
    async fn where_something_works_now_and_then_it_doubts_and_stays_closed() {
        let breaker = Breaker::default();
        for _ in 0..20 {
            breaker.works();
            assert!(!breaker.doubts());
            (0..FAILURES - 1).for_each(|_| breaker.fails(Pass::Free, "its own fault"));
            assert!(!breaker.doubts());
            (0..50).for_each(|_| breaker.fails(Pass::Free, "its own fault"));
            assert!(breaker.doubts());
            tokio::time::sleep(Duration::from_millis(900)).await;
            breaker.fails(Pass::Free, "its own fault");
            assert!(!breaker.is_open());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        breaker.fails(Pass::Free, "away");
        assert!(breaker.is_open(), "for a second nothing has worked");
    }

    #[tokio::test(start_paused = true)]
    async fn while_somebody_waits_no_other_probe_is_lacking() {
        let breaker = Arc::new(Breaker::default());
        (0..FAILURES).for_each(|_| breaker.fails(Pass::Free, "refused"));
        let mut passing = JoinSet::new();
        for _ in 0..100 {
            let breaker = Arc::clone(&breaker);
            passing.spawn(async move { breaker.pass().await });
        }
        assert_eq!(passing.join_next().await.unwrap().unwrap(), Pass::Probe);
        assert!(!breaker.lacks_probe());
        passing.shutdown().await;
        assert!(breaker.lacks_probe(), "whoever goes away waits no more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_was_never_made_leaves_its_place_to_another() {
        let breaker = Breaker::default();
        (0..FAILURES).for_each(|_| breaker.fails(Pass::Free, "refused"));
        breaker.passed_over(Pass::Free);
        let pass = breaker.pass().await;
        breaker.passed_over(pass);
        assert!(timeout(Duration::from_secs(1), breaker.pass()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn only_failed_probes_make_the_next_one_wait_longer() {
        let breaker = Breaker::default();
        for _ in 0..100 * FAILURES {
            breaker.fails(Pass::Free, "was under way already");
        }
        for expected in [1, 2, 4, 5, 5] {
            let began = Instant::now();
            let pass = breaker.pass().await;
            assert_eq!(began.elapsed().as_secs(), expected);
            breaker.fails(pass, "still away");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_success_forgets_all_failures() {
        let breaker = Breaker::default();
        for _ in 0..20 {
            breaker.fails(Pass::Free, "timed out");
            breaker.works();
        }
        assert!(!breaker.is_open());
    }
}
