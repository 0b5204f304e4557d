//! Puts the accounts of the settings in place, in the background: events are accepted while the storage is away.

use std::time::Duration;

use storage::{Error, Store};
use tokio_util::sync::CancellationToken;

use crate::settings::Seed;
use chassis::lifecycle::sentence;

/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Migrates the storage and puts the accounts in place, until it is done or the process stops.
pub(crate) async fn sow(store: &Store, seeds: &[Seed], stop: CancellationToken) -> Result<(), chassis::lifecycle::Cause> {
    let mut failures = 0_u32;
    while let Err(error) = once(store, seeds).await {
        failures = failures.saturating_add(1);
        if failures.is_power_of_two() {
            tracing::warn!(failures, error = sentence(&error), "the storage does not answer; nobody can log in, events are accepted");
        }
        // Both arms are cancel-safe: nothing is under way between two tries.
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    Ok(())
}

/// Tries once; may be repeated.
async fn once(store: &Store, seeds: &[Seed]) -> Result<(), Error> {
    store.migrate().await?;
    for seed in seeds {
        store.put_account(&seed.account()).await?;
    }
    Ok(())
}
