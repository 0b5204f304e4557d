//! Looks at intervals whether every event is accounted for, and rings when one is not.
//!
//! The balance itself, and what it compares, is the storage's ([`storage::Balance`]): a difference is never a matter of timing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::lifecycle::{Cause, sentence};
use chassis::metrics::{Passing, Registry};
use storage::{Balance, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(15);
/// It rests so many times as long as a look took: it never costs the database more than a twentieth of one connection.
const REST: u32 = 20;

/// What the last look found; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Audit(Arc<Mutex<Option<Balance>>>);

impl Audit {
    /// An audit that tells the metrics what it finds.
    pub(crate) fn new(registry: &Registry) -> Self {
        let audit = Self::default();
        let told = audit.clone();
        registry.unaccounted(Passing::Topic, move || told.found().map(|balance| balance.unaccounted()));
        audit
    }

    /// What the last look found; nothing before the first one that was answered.
    pub(crate) fn found(&self) -> Option<Balance> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks until the process stops.
    pub(crate) async fn watch(self, store: Store, topic: Arc<str>, stopping: CancellationToken) -> Result<(), Cause> {
        let mut failures = 0_u32;
        loop {
            let began = Instant::now();
            match store.balance(&topic).await {
                Ok(balance) => {
                    failures = 0;
                    self.note(balance);
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures.is_power_of_two() {
                        let error = sentence(&error);
                        tracing::warn!(failures, error, "cannot judge whether all events are accounted for; the last look stands");
                    }
                }
            }
            // Both arms are cancel-safe: each only waits.
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = tokio::time::sleep(INTERVAL.max(began.elapsed() * REST)) => {}
            }
        }
    }

    /// Notes what was found; says so when it is not what it was.
    fn note(&self, balance: Balance) {
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(balance).unwrap_or_default();
        let (events, was) = (balance.unaccounted(), before.unaccounted());
        if events > was {
            tracing::error!(
                code = "events_unaccounted",
                events,
                skipped = balance.skipped,
                parked_gone = balance.parked_gone,
                dead_gone = balance.dead_gone,
                "events are unaccounted for: `events-proxy reconcile` names them"
            );
        } else if was > 0 && events == 0 {
            tracing::info!("all events are accounted for again");
        }
    }
}
