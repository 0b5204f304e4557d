//! Every task has a name, an owner and a failure policy; a stop is asked for, waited for, and says what is left.
//!
//! ```text
//! Signals::next() or failed() ─▶ stop(grace): stopping() is cancelled ─▶ tasks end by themselves ─▶ the names of the rest
//! ```
//! Nothing is aborted: a task that outlives the grace runs on until its runtime is dropped.

mod signals;

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use signals::Signals;

/// Why a task failed, as it says itself.
pub type Cause = Box<dyn Error + Send + Sync>;

/// What the failure of a task means for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The process cannot do its work without it: [`Tasks::failed`] resolves.
    StopProcess,
    /// The process goes on; the failure is logged.
    Log,
}

/// The first failure of a task that the process cannot do without.
#[derive(Debug, Clone, thiserror::Error)]
#[error("task `{task}` failed")]
pub struct Failure {
    /// The task's name.
    pub task: &'static str,
    /// What it said.
    #[source]
    pub cause: Arc<dyn Error + Send + Sync>,
}

/// A task ended in a panic; the message went to stderr.
#[derive(Debug, thiserror::Error)]
#[error("it panicked")]
struct Panicked;

/// The tasks of a process, or of a part of it. Cheap to clone; clones share the tasks.
#[derive(Debug, Clone, Default)]
pub struct Tasks(Arc<Shared>);

/// What clones share.
#[derive(Debug, Default)]
struct Shared {
    /// Waits for the end of all tasks.
    tracker: TaskTracker,
    /// Cancelled when tasks should end.
    stopping: CancellationToken,
    /// The names of running tasks, by number.
    running: Mutex<BTreeMap<u64, &'static str>>,
    /// The next task's number.
    next: AtomicU64,
    /// The first failure that stops the process.
    failed: watch::Sender<Option<Failure>>,
}

impl Tasks {
    /// No task yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task on the current runtime. It should end soon after [`Self::stopping`] is cancelled. A panic is a
    /// failure like any other.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(&self, name: &'static str, on_failure: OnFailure, task: impl Future<Output = Result<(), Cause>> + Send + 'static) {
        let mut running = Running::new(Arc::clone(&self.0), name, on_failure);
        self.0.tracker.spawn(async move {
            let result = task.await;
            running.end(result);
        });
    }

    /// A token that is cancelled when the tasks should end.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.0.stopping.clone()
    }

    /// Asks all tasks to end, waits at most `grace`, and tells the names of those that still run.
    pub async fn stop(&self, grace: Duration) -> Vec<&'static str> {
        self.0.stopping.cancel();
        self.0.tracker.close();
        match tokio::time::timeout(grace, self.0.tracker.wait()).await {
            Ok(()) => Vec::new(),
            Err(_) => self.running(),
        }
    }

    /// The names of the tasks that run, in the order they were started.
    #[must_use]
    pub fn running(&self) -> Vec<&'static str> {
        self.0.running().values().copied().collect()
    }

    /// Resolves with the first failure of a task that stops the process, at once if it lies in the past; waits for
    /// ever while there is none.
    pub fn failed(&self) -> impl Future<Output = Failure> + Send + 'static {
        let shared = Arc::clone(&self.0);
        async move {
            let mut failed = shared.failed.subscribe();
            loop {
                if let Some(failure) = failed.borrow_and_update().clone() {
                    return failure;
                }
                // The sender lives in `shared`, so a change is the only thing that can come.
                drop(failed.changed().await);
            }
        }
    }
}

impl Shared {
    /// Locks the names; a panic elsewhere leaves them usable.
    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, &'static str>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running task's entry; taken out when the task ends, however it ends.
struct Running {
    /// Where the entry stands.
    shared: Arc<Shared>,
    /// Its number.
    number: u64,
    /// The task's name.
    name: &'static str,
    /// What its failure means.
    on_failure: OnFailure,
}

impl Running {
    /// Enters a task.
    fn new(shared: Arc<Shared>, name: &'static str, on_failure: OnFailure) -> Self {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        shared.running().insert(number, name);
        Self { shared, number, name, on_failure }
    }

    /// Judges how the task ended. The process hears of its first stopping failure, the log of every other one.
    fn end(&mut self, result: Result<(), Cause>) {
        let Err(cause) = result else {
            return;
        };
        let failure = Failure { task: self.name, cause: Arc::from(cause) };
        let told = self.on_failure == OnFailure::StopProcess
            && self.shared.failed.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert_with(|| failure.clone());
                is_first
            });
        if !told {
            tracing::error!(code = "task_failed", task = self.name, error = sentence(failure.cause.as_ref()), "a task failed");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.end(Err(Box::new(Panicked)));
        }
        self.shared.running().remove(&self.number);
    }
}

/// An error with its causes, as one sentence; a cause that is in it already, for some errors tell theirs themselves, is not told twice.
#[must_use]
pub fn sentence(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source()).map(ToString::to_string);
    causes.fold(error.to_string(), |told, cause| if told.contains(&cause) { told } else { told + ": " + &cause })
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
