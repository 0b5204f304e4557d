//! Moves replays on, each at its own share of the target's limit, below what comes from the topic.
//!
//! Every replica tries; the storage gives each turn to one of them, so the share holds over all. What is moved is parked
//! and due: its partition's owner sends it on the usual path, and each attempt pays its slot.

use std::sync::Arc;
use std::time::Duration;

use chassis::clock::Clock;
use chassis::lifecycle::{Cause, sentence};
use storage::{Replay, Store, Turn};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::pace::{self, Pace};

/// How often replays are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Moves replays on.
#[derive(Debug)]
pub(crate) struct Replays {
    /// Where they are.
    pub(crate) store: Store,
    /// The topic.
    pub(crate) topic: Arc<str>,
    /// Knows the target's limit.
    pub(crate) pace: Arc<dyn Pace>,
    /// Tells when.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Replays {
    /// Gives every running replay its turns until the process stops.
    pub(crate) async fn run(self, stopping: CancellationToken) -> Result<(), Cause> {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Both arms are cancel-safe: each only waits.
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                _ = tick.tick() => {}
            }
            if let Err(error) = self.turns().await {
                tracing::debug!(error = sentence(&error), "replays wait: the storage does not answer");
            }
        }
    }

    /// One turn for each replay that runs.
    async fn turns(&self) -> Result<(), storage::Error> {
        for replay in self.store.running_replays(&self.topic).await? {
            let (at_most, pause) = portion(pace::per_second(self.pace.limit()), replay.share_thousandths);
            let turn = Turn { id: replay.id.clone(), at_most, pause, now: self.clock.now() };
            if let Some(moved) = self.store.replay_turn(&turn).await?
                && moved.done
            {
                told(&replay, moved.moved);
            }
        }
        Ok(())
    }
}

/// A replay has come to its end.
fn told(replay: &Replay, last: u64) {
    let moved = replay.moved.saturating_add(last);
    tracing::info!(replay.id = replay.id, chosen = replay.chosen, moved, "a replay is done; its events are on their way");
}

/// How many events a turn may move, and how long until the next: together the share of the limit.
fn portion(permitted_per_second: f64, share_thousandths: u16) -> (u32, Duration) {
    let most = u32::try_from(Turn::EVENTS_MAX).unwrap_or(u32::MAX);
    let per_second = permitted_per_second * f64::from(share_thousandths) / 1_000.0;
    let wanted = (1..=most).rev().find(|events| f64::from(*events) <= per_second * INTERVAL.as_secs_f64()).unwrap_or(1);
    let pause = Duration::try_from_secs_f64(f64::from(wanted) / per_second.max(1e-9)).unwrap_or(Duration::MAX);
    (wanted, pause.min(Duration::from_secs(86_400)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use storage::Turn;

    use super::portion;

    /// The rate that turns and pauses make, in events per second.
    fn rate(permitted: f64, share: u16) -> f64 {
        let (events, pause) = portion(permitted, share);
        f64::from(events) / pause.as_secs_f64()
    }

    #[test]
    fn turns_and_pauses_make_the_share_of_the_limit() {
        for (permitted, share, expected) in [(0.5, 200, 0.1), (5.0 / 3.0, 500, 5.0 / 6.0), (100.0, 200, 20.0), (300.0, 333, 99.9)] {
            let made = rate(permitted, share);
            assert!((made - expected).abs() < expected * 0.01, "{permitted} per second at {share}: {made}");
        }
    }

    #[test]
    fn a_turn_is_bounded_however_open_the_limit_is() {
        let (events, pause) = portion(1e6, 900);
        assert_eq!(usize::try_from(events).unwrap(), Turn::EVENTS_MAX);
        assert!(pause < Duration::from_secs(1));
    }
}
