//! Sessions that were ended, by a sign-out, a stolen refresh token or an account that is disabled: their access tokens are refused,
//! although their time is not over.
//!
//! A request reads nothing for that: ids are read now and then, of those sessions whose tokens may still be good by themselves.
//! While the storage is away the last ones known go on.

use std::sync::Arc;
use std::time::Duration;

use auth::access::Known;
use chassis::clock::Clock;
use chassis::lifecycle::{OnFailure, Tasks, sentence};
use events_proxy_core::Moment;
use storage::Store;
use tokio::time::{MissedTickBehavior, interval};

/// Begins to read them that often, those of the time that a token may be good; never, where that is nothing.
pub(crate) fn watch(store: Store, keys: Arc<Known>, (every, life): (Duration, Duration), clock: Arc<dyn Clock>, tasks: &Tasks) {
    if every.is_zero() {
        return;
    }
    let stopping = tasks.stopping();
    tasks.spawn("read ended sessions", OnFailure::StopProcess, async move {
        let mut tick = interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Both arms are cancel-safe.
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                _ = tick.tick() => {}
            }
            let since = clock.now().as_micros().saturating_sub(i64::try_from(life.as_micros()).unwrap_or(i64::MAX));
            match store.ended_sessions(Moment::from_micros(since)).await {
                Ok(ended) => keys.refuse(ended.into_iter().collect()),
                Err(error) => tracing::debug!(error = sentence(&error), "cannot read ended sessions; the last ones known go on"),
            }
        }
    });
}
