//! The demo's own accounts, of a source and of an operator: made at the first start, with random secrets that only the
//! data directory holds.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use auth::password::Passwords;
use events_proxy_core::SourceId;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use storage::{Account, Store};

use crate::settings::Credentials;

/// The accounts' id and name.
const NAME: &str = "demo";
/// The cost of their hashes. A secret is random and 256 bits long, so the cost protects nothing that could be guessed.
const COST: u32 = auth::password::COST_MIN;

/// What an operator signs in with.
#[derive(Serialize, Deserialize)]
struct SignIn {
    /// The name.
    name: String,
    /// The secret.
    secret: String,
}

/// Makes sure that the demo's account exists, and tells its credentials.
///
/// # Errors
/// The data directory or the storage cannot be used.
pub async fn account(data: &Path, store: &Store) -> anyhow::Result<Credentials> {
    let credentials: Credentials = kept(&data.join("credentials.json"), |secret| Credentials { auth_id: NAME.to_owned(), secret })?;
    let secret = SecretString::from(credentials.secret.clone());
    let passwords = Passwords::new(1, 1, COST);
    let known = store.account(&credentials.auth_id).await.context("look for the demo's account")?;
    let fits = match &known {
        Some(account) => passwords.check(&secret, Some(&account.secret_hash)).await.context("check the demo's secret")?,
        None => false,
    };
    if !fits {
        let secret_hash = passwords.hash(&secret).await.context("hash the demo's secret")?;
        let account = Account { id: SourceId::new(NAME), auth_id: credentials.auth_id.clone(), secret_hash, brand: None };
        store.put_account(&account).await.context("store the demo's account")?;
    }
    Ok(credentials)
}

/// Makes sure that somebody can sign in at the console: who the settings name, else the demo's own operator.
///
/// # Errors
/// The data directory cannot be used.
pub async fn operator(data: &Path, settings: &mut dispatcher::operator::Settings) -> anyhow::Result<()> {
    if !settings.accounts.is_empty() {
        return Ok(());
    }
    let kept = kept(&data.join("operator.json"), |secret| SignIn { name: NAME.to_owned(), secret })?;
    let hashed = Passwords::new(1, 1, COST).hash(&SecretString::from(kept.secret)).await;
    let secret_hash = hashed.context("hash the operator's secret")?;
    settings.accounts = vec![auth::operator::Account { name: kept.name, secret_hash, role: auth::operator::Role::Operator }];
    Ok(())
}

/// What a file keeps; made with a random secret when the file is not there, for the owner's eyes only.
fn kept<T: Serialize + DeserializeOwned>(path: &Path, make: impl FnOnce(String) -> T) -> anyhow::Result<T> {
    match std::fs::read(path) {
        Ok(bytes) => {
            return serde_json::from_slice(&bytes).with_context(|| format!("read {}: remove it to have a new one", path.display()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    }
    let made = make(auth::access::random_secret().expose_secret().to_owned());
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        file.write_all(&serde_json::to_vec(&made)?)?;
        file.sync_all()
    };
    write().with_context(|| format!("write {}", path.display()))?;
    Ok(made)
}
