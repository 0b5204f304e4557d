//! Brings a changed limit to a process that has the limit for itself: it is read again now and then. The first look tells
//! whether a life before this one had it: a limit that is there was put there by one.

use std::time::Duration;

use chassis::lifecycle::{OnFailure, Tasks, sentence};
use storage::Store;
use tokio::time::MissedTickBehavior;

use super::{Alone, Pace};

/// How often the limit is read.
const INTERVAL: Duration = Duration::from_secs(2);
/// How soon it is read again at the start, where the table may not be there yet.
const AT_FIRST: Duration = Duration::from_millis(100);

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
                    if !is_told {
                        pace.follows(store.limit(&target).await?);
                        is_told = true;
                    }
                    store.configure_limit(&target, configured).await?;
                    is_known = true;
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
}
