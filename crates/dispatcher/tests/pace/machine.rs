//! What the machine allows: how late it wakes tasks while a test runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Held by the test that runs.
static TURN: Mutex<()> = Mutex::const_new(());
/// How often a timer is looked at.
const TICK: Duration = Duration::from_millis(2);
/// A wake-up that is late by no more than this is what a quiet machine does too.
const USUAL: Duration = Duration::from_millis(3);

/// Waits until no other test runs.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// Watches timers as the tests' own tasks see them.
#[derive(Debug)]
pub(crate) struct Watch {
    watching: JoinSet<()>,
    lost_nanos: Arc<AtomicU64>,
}

impl Watch {
    /// Starts to watch.
    pub(crate) fn start() -> Self {
        let lost_nanos = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&lost_nanos);
        let watching = async move {
            loop {
                let due = Instant::now() + TICK;
                tokio::time::sleep_until(due).await;
                let late = due.elapsed().saturating_sub(USUAL);
                lost.fetch_add(u64::try_from(late.as_nanos()).unwrap(), Ordering::Relaxed);
            }
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(watching);
        Self { watching: tasks, lost_nanos }
    }

    /// The time in which tasks were not woken; ends the watch.
    pub(crate) fn lost(mut self) -> Duration {
        self.watching.abort_all();
        Duration::from_nanos(self.lost_nanos.load(Ordering::Relaxed))
    }
}
