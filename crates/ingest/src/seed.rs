//! Puts the accounts of the settings in place, in the background: events are accepted while the storage is away.

use std::time::Duration;

use storage::{Error, Store};
use tokio_util::sync::CancellationToken;

use crate::settings::Seed;
use chassis::lifecycle::sentence;

/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Migrates the storage and puts the accounts in place, until it is done or the process stops. An account that the storage
/// refuses is tried again, after the others: whoever has its log-in there may be taken out, or get another one. Those that are in
/// place are not put there again: what is changed meanwhile by the command line stays.
pub(crate) async fn sow(store: &Store, seeds: &[Seed], stop: CancellationToken) -> Result<(), chassis::lifecycle::Cause> {
    let (mut failures, mut missing) = (0_u32, seeds.iter().collect());
    while let Err(error) = once(store, &mut missing).await {
        failures = failures.saturating_add(1);
        if failures.is_power_of_two() {
            match error {
                Failed::Storage(error) => {
                    tracing::warn!(
                        failures,
                        error = sentence(&error),
                        "the storage does not answer; nobody can log in, events are accepted"
                    );
                }
                Failed::Account(source, error) => tracing::error!(
                    code = "account_refused",
                    failures,
                    source.id = source,
                    error = sentence(&error),
                    "an account cannot be put in place, most likely because one that the settings no longer name has its `authId`; it is tried again"
                ),
            }
        }
        // Both arms are cancel-safe: nothing is under way between two tries.
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    Ok(())
}

/// Why not all accounts are in place.
enum Failed<'a> {
    /// The storage does not do what it is asked.
    Storage(Error),
    /// It refuses the account of this id; those after it are in place.
    Account(&'a str, Error),
}

/// Tries once; may be repeated with those that are missing then.
async fn once<'a>(store: &Store, missing: &mut Vec<&'a Seed>) -> Result<(), Failed<'a>> {
    store.migrate().await.map_err(Failed::Storage)?;
    let mut refused = Ok(());
    let mut at = 0;
    while let Some(seed) = missing.get(at).copied() {
        match store.put_account(&seed.account()).await {
            Ok(()) => {
                missing.remove(at);
            }
            Err(error @ Error::Refused(_)) => {
                refused = Err(Failed::Account(&seed.id, error));
                at += 1;
            }
            Err(error) => return Err(Failed::Storage(error)),
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use storage::{Options, Store};
    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    use super::{PAUSE, sow};
    use crate::settings::Seed;

    fn seed(id: &str, auth_id: &str) -> Seed {
        Seed { id: id.to_owned(), auth_id: auth_id.to_owned(), secret: "$2b$04$".to_owned(), brand: None }
    }

    /// Waits until somebody logs in by that id.
    async fn in_place(store: &Store, auth_id: &str, id: &str) {
        let there = async {
            while store.account(auth_id).await.unwrap().is_none_or(|account| account.id.as_str() != id) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), there).await.unwrap_or_else(|_| panic!("{id} is not in place"));
    }

    #[tokio::test]
    async fn an_account_that_is_refused_holds_up_and_changes_no_other_and_comes_when_its_log_in_is_free() {
        let options = Options { url: "sqlite::memory:".to_owned(), max_connections: 1, acquire_timeout: Duration::from_secs(5) };
        let store = Store::connect(&options).await.unwrap();
        store.migrate().await.unwrap();
        store.put_account(&seed("former", "shop").account()).await.unwrap();
        let seeds = [seed("shop", "shop"), seed("bank", "bank")];
        let stop = CancellationToken::new();
        let free = async {
            in_place(&store, "bank", "bank").await;
            // As the command line does; many tries come after it.
            store.put_account(&seed("bank", "renamed").account()).await.unwrap();
            tokio::time::sleep(3 * PAUSE).await;
            store.put_account(&seed("former", "elsewhere").account()).await.unwrap();
            in_place(&store, "shop", "shop").await;
            in_place(&store, "renamed", "bank").await;
        };
        let (sown, ()) = tokio::join!(sow(&store, &seeds, stop), free);
        sown.unwrap();
    }
}
