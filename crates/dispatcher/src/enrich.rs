//! Stage 7 of 10 — enrich: adds what the source does not know, the brand.
//!
//! Brands of accounts are read now and then; while the storage is away the last ones known go on.
//! Next: `crates/dispatcher/src/pace.rs`.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chassis::lifecycle::{OnFailure, Tasks};
use events_proxy_core::SourceId;
use storage::Store;
use tokio::time::MissedTickBehavior;

/// How often accounts are read again.
const INTERVAL: Duration = Duration::from_secs(10);

/// Knows the brand of each source; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Brands {
    /// Accounts that have a brand of their own.
    known: Arc<RwLock<HashMap<SourceId, String>>>,
    /// The brand of all others.
    fallback: Arc<str>,
}

impl Brands {
    /// Starts to read the accounts' brands.
    pub(crate) fn start(store: Store, fallback: &str, tasks: &Tasks) -> Self {
        let brands = Self { known: Arc::default(), fallback: Arc::from(fallback) };
        let (reading, stopping) = (brands.clone(), tasks.stopping());
        tasks.spawn("read brands", OnFailure::StopProcess, async move {
            let mut tick = tokio::time::interval(INTERVAL);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                // Both arms are cancel-safe.
                tokio::select! {
                    () = stopping.cancelled() => return Ok(()),
                    _ = tick.tick() => reading.read(&store).await,
                }
            }
        });
        brands
    }

    /// Reads once; an error keeps what is known.
    async fn read(&self, store: &Store) {
        match store.brands().await {
            Ok(known) => *self.known.write().unwrap_or_else(PoisonError::into_inner) = known,
            Err(error) => tracing::debug!(%error, "cannot read brands; the last ones known go on"),
        }
    }

    /// The brand of a source's events.
    pub(crate) fn enrich(&self, source: &SourceId) -> String {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(source).map_or_else(|| self.fallback.to_string(), Clone::clone)
    }
}
