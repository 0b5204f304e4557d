//! The demo's own account: made at the first start, with a random secret that only the data directory holds.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use auth::password::Passwords;
use events_proxy_core::SourceId;
use secrecy::{ExposeSecret, SecretString};
use storage::{Account, Store};

use crate::settings::Credentials;

/// The account's id and name.
const NAME: &str = "demo";
/// The cost of its hash. The secret is random and 256 bits long, so the cost protects nothing that could be guessed.
const COST: u32 = auth::password::COST_MIN;

/// Where the credentials are.
#[must_use]
pub fn path(data: &Path) -> PathBuf {
    data.join("credentials.json")
}

/// Makes sure that the account exists, and tells its credentials.
///
/// # Errors
/// The data directory or the storage cannot be used.
pub async fn account(data: &Path, store: &Store) -> anyhow::Result<Credentials> {
    let path = path(data);
    let credentials = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("read {}: remove it to have a new one", path.display()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path)?,
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
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

/// Makes credentials, for the owner's eyes only.
fn make(path: &Path) -> anyhow::Result<Credentials> {
    let secret = auth::access::random_secret().expose_secret().to_owned();
    let credentials = Credentials { auth_id: NAME.to_owned(), secret };
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        file.write_all(&serde_json::to_vec(&credentials)?)?;
        file.sync_all()
    };
    write().with_context(|| format!("write {}", path.display()))?;
    Ok(credentials)
}
