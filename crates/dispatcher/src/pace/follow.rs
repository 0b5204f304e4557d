//! Brings a changed limit to a process that has the limit for itself: it is read again now and then. The first look tells
//! whether a life before this one had it: a limit that is there was put there by one. That it has the limit for itself is seen
//! to by a lock beside the database's file.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use chassis::lifecycle::{OnFailure, Tasks, sentence};
use chassis::lock;
use storage::Store;
use tokio::time::MissedTickBehavior;

use super::{Alone, Pace};

/// How often the limit is read.
const INTERVAL: Duration = Duration::from_secs(2);
/// How soon it is read again at the start, where the table may not be there yet.
const AT_FIRST: Duration = Duration::from_millis(100);

/// Takes the place of the one dispatcher on a database that is a file and is there: on such a one several share no limit.
/// Holds it for as long as what it answers lives.
///
/// # Errors
/// Another process has it, or the file beside the database that tells so cannot be used.
pub fn only_one(url: &str) -> anyhow::Result<Option<File>> {
    let Some(database) = storage::file(url) else { return Ok(None) };
    // One file by all its names.
    let database = database.canonicalize().with_context(|| format!("find {}", database.display()))?;
    let mut beside = database.clone().into_os_string();
    beside.push(".dispatcher");
    let beside = PathBuf::from(beside);
    let Some(lock) = lock::take(&beside).with_context(|| format!("use {}", beside.display()))? else {
        let database = database.display();
        anyhow::bail!("another dispatcher works on the database {database}; only on PostgreSQL do several share the target's limit");
    };
    Ok(Some(lock))
}

/// Starts to follow the limit that the storage has for this target; puts the configured one there first.
pub(super) fn start(pace: Alone, target: &str, store: Store, tasks: &Tasks) {
    let (target, stopping) = (target.to_owned(), tasks.stopping());
    tasks.spawn("follow the limit", OnFailure::StopProcess, async move {
        let (configured, mut is_known, mut is_told) = (pace.limit(), false, false);
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Both arms are cancel-safe.
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                _ = tick.tick() => {}
            }
            let read = async {
                if !is_known {
                    let former = store.limit(&target).await?;
                    // Before anything is given out: what is not written down is not known to the next life.
                    store.configure_limit(&target, configured).await?;
                    if !is_told {
                        pace.follows(former);
                    }
                    (is_known, is_told) = (true, true);
                }
                store.limit(&target).await
            };
            match read.await {
                Ok(Some(limit)) => pace.change(limit)?,
                Ok(None) => is_known = false,
                // At the start the table may not be there yet; later the last limit known goes on.
                Err(error) => {
                    tracing::debug!(error = sentence(&error), "cannot read the limit; it is tried again");
                    if !is_told {
                        tick.reset_after(AT_FIRST);
                    }
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chassis::lifecycle::Tasks;
    use storage::{Options, Store};
    use tokio::time::Instant;

    use super::super::{Alone, Pace, limit};
    use super::only_one;

    /// Waits until something holds, for ten seconds at most.
    async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
        for _ in 0..200 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("still not: {what}");
    }

    #[tokio::test]
    async fn a_first_life_begins_at_once_and_the_next_one_an_interval_later() {
        let options = Options { url: "sqlite::memory:".to_owned(), max_connections: 1, acquire_timeout: Duration::from_secs(5) };
        let store = Store::connect(&options).await.unwrap();
        store.migrate().await.unwrap();
        for (life, waits) in [(1, false), (2, true)] {
            let began = Instant::now();
            let pace = Alone::resuming(1, Duration::from_secs(2)).unwrap();
            super::start(pace.clone(), "target", store.clone(), &Tasks::new());
            pace.slot().await.answered();
            assert_eq!(began.elapsed() >= Duration::from_secs(2), waits, "{:?} in life {life}", began.elapsed());
        }
    }

    #[tokio::test]
    async fn the_configured_limit_is_put_in_place_and_a_changed_one_is_followed() {
        let options = Options { url: "sqlite::memory:".to_owned(), max_connections: 1, acquire_timeout: Duration::from_secs(5) };
        let store = Store::connect(&options).await.unwrap();
        store.migrate().await.unwrap();
        let pace = Alone::new(10, Duration::from_secs(1)).unwrap();
        super::start(pace.clone(), "target", store.clone(), &Tasks::new());
        let configured = pace.limit();
        until("the configured limit is in place", async || store.limit("target").await.unwrap() == Some(configured)).await;
        let changed = limit(25, Duration::from_secs(2)).unwrap();
        assert!(store.change_limit("target", changed).await.unwrap());
        until("the changed limit holds here", async || pace.limit() == changed).await;
    }

    #[test]
    fn on_a_file_one_dispatcher_works_at_a_time_and_on_a_server_any_number() {
        let directory = tempfile::tempdir().unwrap();
        let url = |name: &str| format!("sqlite://{}?mode=rwc", directory.path().join(name).display());
        for name in ["one", "other"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        std::os::unix::fs::symlink(directory.path().join("one"), directory.path().join("alias")).unwrap();
        let first = only_one(&url("one")).unwrap();
        for name in ["one", "alias"] {
            let refused = only_one(&url(name)).unwrap_err().to_string();
            assert!(refused.contains("another dispatcher works on the database"), "{refused}");
        }
        assert!(only_one(&url("other")).unwrap().is_some());
        drop(first);
        assert!(only_one(&url("alias")).unwrap().is_some());
        for url in ["postgres://localhost/events", "sqlite::memory:"] {
            assert!(only_one(url).unwrap().is_none() && only_one(url).unwrap().is_none(), "{url}");
        }
    }
}
