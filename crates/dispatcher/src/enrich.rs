//! Stage 7 of 10 — enrich: adds what the source does not know, the brand.
//!
//! Brands of accounts are read now and then; while the storage is away the last ones known go on. Law: no event of a source is
//! sent before brands were read once since that source was met: its account may be younger than what is known.
//! Next: `crates/dispatcher/src/pace.rs`.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chassis::lifecycle::{OnFailure, Tasks, sentence};
use events_proxy_core::SourceId;
use storage::{Error, Store};
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, sleep};

/// How often accounts are read again.
const INTERVAL: Duration = Duration::from_secs(10);
/// The pause after a failure, where an event waits for them.
const PAUSE: Duration = Duration::from_millis(500);
/// How many sources are remembered as met; beyond it all are met anew.
const MET_MAX: usize = 100_000;

/// Knows the brand of each source; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Brands {
    /// Where accounts are.
    store: Store,
    /// What is known.
    known: Arc<RwLock<Known>>,
    /// One read at a time serves all that wait for it.
    reading: Arc<Mutex<()>>,
    /// The brand of accounts without one of their own.
    fallback: Arc<str>,
}

/// What is known.
#[derive(Debug, Default)]
struct Known {
    /// Accounts that have a brand of their own.
    brands: HashMap<SourceId, String>,
    /// Sources that were met before brands were read last.
    met: HashSet<SourceId>,
}

impl Brands {
    /// Starts to read the accounts' brands.
    pub(crate) fn start(store: Store, fallback: &str, tasks: &Tasks) -> Self {
        let brands = Self { store, known: Arc::default(), reading: Arc::default(), fallback: Arc::from(fallback) };
        let (reading, stopping) = (brands.clone(), tasks.stopping());
        tasks.spawn("read brands", OnFailure::StopProcess, async move {
            let mut tick = tokio::time::interval(INTERVAL);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                // Both arms are cancel-safe.
                tokio::select! {
                    () = stopping.cancelled() => return Ok(()),
                    _ = tick.tick() => {}
                }
                if let Err(error) = reading.read(None).await {
                    tracing::debug!(error = sentence(&error), "cannot read brands; the last ones known go on");
                }
            }
        });
        brands
    }

    /// Reads brands once, for a source that was met; an error keeps what is known.
    async fn read(&self, met: Option<&SourceId>) -> Result<(), Error> {
        let brands = self.store.brands().await?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.brands = brands;
        if let Some(source) = met {
            if known.met.len() >= MET_MAX {
                known.met.clear();
            }
            known.met.insert(source.clone());
        }
        Ok(())
    }

    /// The brand of a source's events. Waits for the storage where the source is met for the first time.
    pub(crate) async fn enrich(&self, source: &SourceId) -> String {
        if let Some(brand) = self.known(source) {
            return brand;
        }
        let _reading = self.reading.lock().await;
        loop {
            if let Some(brand) = self.known(source) {
                return brand;
            }
            if let Err(error) = self.read(Some(source)).await {
                tracing::debug!(error = sentence(&error), "cannot read brands; events of a source that was not met before wait");
                sleep(PAUSE).await;
            }
        }
    }

    /// The brand of a source that was met.
    fn known(&self, source: &SourceId) -> Option<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let brand = || known.brands.get(source).map_or_else(|| self.fallback.to_string(), Clone::clone);
        known.met.contains(source).then(brand)
    }

    /// The same, to whom a source is no stranger.
    #[cfg(test)]
    pub(crate) fn after(self, source: &SourceId) -> Self {
        self.known.write().unwrap().met.insert(source.clone());
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chassis::lifecycle::Tasks;
    use events_proxy_core::SourceId;
    use storage::{Account, Options, Store};
    use tokio::time::timeout;

    use super::{Brands, INTERVAL};

    /// An account of that brand.
    fn account(id: &str, brand: &str) -> Account {
        Account { id: SourceId::new(id), auth_id: id.to_owned(), secret_hash: "none".to_owned(), brand: Some(brand.to_owned()) }
    }

    #[tokio::test]
    async fn events_of_a_new_account_have_its_brand_and_none_goes_before_brands_are_read() {
        let options = Options { url: "sqlite::memory:".to_owned(), max_connections: 1, acquire_timeout: Duration::from_secs(5) };
        let store = Store::connect(&options).await.unwrap();
        let brands = Brands::start(store.clone(), "others", &Tasks::new());
        let shop = SourceId::new("shop");
        // Without its tables the storage is as good as away.
        assert!(timeout(Duration::from_millis(200), brands.enrich(&shop)).await.is_err(), "a brand that nobody read");
        store.migrate().await.unwrap();
        store.put_account(&account("shop", "acme")).await.unwrap();
        assert_eq!(timeout(INTERVAL / 2, brands.enrich(&shop)).await.unwrap(), "acme");
        store.put_account(&account("bank", "fintech")).await.unwrap();
        assert_eq!(timeout(INTERVAL / 2, brands.enrich(&SourceId::new("bank"))).await.unwrap(), "fintech");
        assert_eq!(brands.enrich(&SourceId::new("nobody")).await, "others");
    }
}
