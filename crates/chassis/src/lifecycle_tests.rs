//! Tasks and their ends, on tokio's paused clock.

use std::time::Duration;

use super::{Cause, OnFailure, Tasks, sentence};

/// Longer than any test waits.
const LONG: Duration = Duration::from_secs(3_600);

/// An error with a cause.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Outer(&'static str, #[source] Cause);

#[test]
fn an_error_is_told_as_one_sentence_and_no_cause_twice() {
    let (inner, told) = ("the disk is gone", "flush: the disk is gone");
    assert_eq!(sentence(&Outer("write a record", Outer("flush", inner.into()).into())), format!("write a record: {told}"));
    assert_eq!(sentence(&Outer(told, inner.into())), told);
}

#[tokio::test(start_paused = true)]
async fn a_stop_names_what_still_runs() {
    let tasks = Tasks::new();
    let stopping = tasks.stopping();
    tasks.spawn("obedient", OnFailure::Log, async move {
        stopping.cancelled().await;
        Ok(())
    });
    tasks.spawn("stubborn", OnFailure::Log, async {
        tokio::time::sleep(LONG).await;
        Ok(())
    });
    assert_eq!(tasks.running(), ["obedient", "stubborn"]);
    assert_eq!(tasks.stop(Duration::from_secs(5)).await, ["stubborn"]);
    assert!(tasks.stop(LONG).await.is_empty());
    assert!(tasks.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stop_without_tasks_waits_for_nothing() {
    let before = tokio::time::Instant::now();
    assert!(Tasks::new().stop(LONG).await.is_empty());
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_that_stops_the_process_resolves_for_early_and_late_listeners() {
    let tasks = Tasks::new();
    let early = tasks.failed();
    tasks.spawn("negligible", OnFailure::Log, async { Err("whatever".into()) });
    tasks.spawn("first", OnFailure::StopProcess, async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Err("the disk is gone".into())
    });
    tasks.spawn("second", OnFailure::StopProcess, async {
        tokio::time::sleep(Duration::from_millis(2)).await;
        Err("so am I".into())
    });
    let failure = early.await;
    assert_eq!((failure.task, failure.cause.to_string().as_str()), ("first", "the disk is gone"));
    assert!(tasks.stop(LONG).await.is_empty());
    assert_eq!(tasks.failed().await.task, "first");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure() {
    let tasks = Tasks::new();
    tasks.spawn("fragile", OnFailure::StopProcess, async { panic!("a panic that the test wants") });
    let failure = tasks.failed().await;
    assert_eq!(failure.task, "fragile");
    assert_eq!(failure.cause.to_string(), "it panicked");
    assert!(tasks.stop(LONG).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_only_logged_stops_nothing() {
    let tasks = Tasks::new();
    tasks.spawn("negligible", OnFailure::Log, async { Err("whatever".into()) });
    let waited = tokio::time::timeout(Duration::from_secs(1), tasks.failed()).await;
    assert!(waited.is_err());
    assert!(!tasks.stopping().is_cancelled());
}

#[actix_rt::test]
async fn tasks_run_on_an_actix_runtime_too() {
    let tasks = Tasks::new();
    tasks.spawn("short", OnFailure::StopProcess, async { Ok(()) });
    assert!(tasks.stop(Duration::from_secs(5)).await.is_empty());
}
