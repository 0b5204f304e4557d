//! Whether the storage is away: nobody can get another access token then, and one that has just expired still sends events.
//!
//! Without that, an outage of the database that lasts longer than a token would refuse every event, and a source sends each once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::lifecycle::{OnFailure, Tasks, sentence};
use storage::{Error, Store};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::metrics::Metrics;

/// How often the storage is asked, and how long it may take to answer.
const LOOK: Duration = Duration::from_secs(1);
/// It is away when so many questions in a row were not answered: sooner than the leeway of a token that expires meanwhile is over.
const FAILURES: u32 = 2;

/// What is known; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    /// How long after its end a token is good while the storage is away.
    grace: Duration,
    /// Whether it is.
    away: Arc<AtomicBool>,
}

impl Outage {
    /// Begins to look.
    pub(crate) fn watch(store: Store, grace: Duration, metrics: Metrics, tasks: &Tasks) -> Self {
        let outage = Self { grace, away: Arc::default() };
        if grace > Duration::ZERO {
            let (looking, stopping) = (outage.clone(), tasks.stopping());
            tasks.spawn("watch the storage", OnFailure::StopProcess, async move {
                // Cancel-safe: it only looks.
                tokio::select! {
                    () = stopping.cancelled() => {}
                    () = looking.look(|| store.ping(), &metrics) => {}
                }
                Ok(())
            });
        }
        outage
    }

    /// How long a token may have expired, for events.
    pub(crate) fn grace(&self) -> Duration {
        if self.away.load(Ordering::Relaxed) { self.grace } else { Duration::ZERO }
    }

    /// Looks for ever.
    async fn look<Asked: Future<Output = Result<(), Error>>>(&self, ask: impl Fn() -> Asked, metrics: &Metrics) {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0_u32;
        loop {
            tick.tick().await;
            let told = match timeout(LOOK, ask()).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(sentence(&error)),
                Err(_) => Some("no answer in time".to_owned()),
            };
            failures = if told.is_some() { failures.saturating_add(1) } else { 0 };
            let away = failures >= FAILURES;
            if self.away.swap(away, Ordering::Relaxed) != away {
                metrics.storage_away(told.as_deref(), self.grace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use chassis::metrics::Registry;
    use storage::Error;
    use tokio::time::{sleep, timeout};

    use super::{LOOK, Outage};
    use crate::metrics::Metrics;

    #[tokio::test(start_paused = true)]
    async fn the_grace_begins_at_the_second_question_without_an_answer_and_ends_at_the_next_answer() {
        let grace = Duration::from_secs(900);
        let outage = Outage { grace, away: std::sync::Arc::default() };
        let (asked, metrics) = (AtomicU32::new(0), Metrics::new(&Registry::new()));
        let ask = || async {
            match asked.fetch_add(1, Ordering::Relaxed) {
                0 | 2 | 6.. => Ok(()),
                4 | 5 => pending().await,
                _ => Err(Error::TooSlow(LOOK)),
            }
        };
        let mut told = Vec::new();
        let seen = async {
            sleep(LOOK / 2).await;
            for _ in 0..8 {
                told.push(outage.grace() == grace);
                sleep(LOOK).await;
            }
        };
        let looking = outage.look(ask, &metrics);
        tokio::select! {
            () = seen => {}
            ended = timeout(LOOK * 60, looking) => panic!("{ended:?}"),
        }
        // Answered; not; answered; not, and silent for two seconds, of which one is the second question; answered.
        assert_eq!(told, [false, false, false, false, false, true, false, false]);
    }
}
