//! `events-proxy account`: who may send events, straight in the database that ingest and dispatchers share.
//!
//! A secret is never an argument, for every user of a machine can read those: it is drawn at random and printed once, or read
//! from stdin. The database is that of the settings, for its URL may hold a password.

use std::io::{BufRead, Write};

use anyhow::{Context, bail, ensure};
use auth::access::random_secret;
use auth::password::Passwords;
use auth::session::AUTH_ID_BYTES_MAX;
use chassis::clock::{Clock, SystemClock};
use clap::{Args, Subcommand};
use events_proxy_core::SourceId;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use storage::{Change, Store};

use crate::settings::{self, Credentials};

/// The cost of the hashes that are made here: some 50 ms, so that a log-in meets its deadline on a busy machine too. Secrets that are drawn
/// here cannot be guessed whatever it is.
const COST: u32 = 10;
/// How many accounts are listed at once.
const PAGE: u64 = 1_000;

/// `events-proxy account`.
#[derive(Debug, Clone, Args)]
pub struct Account {
    /// What to do.
    #[command(subcommand)]
    action: Action,
    /// Where the demo keeps its database [default: DATA_DIR]; USER_REPOSITORY_TYPE and USER_REPOSITORY_URL name another.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<std::path::PathBuf>,
}

/// What to do with accounts.
#[derive(Debug, Clone, Subcommand)]
enum Action {
    /// Add an account and print what it logs in with, as JSON.
    Add {
        /// The id under which its events are known: 1 to 128 printable characters.
        id: String,
        /// What it logs in with [default: its id].
        #[arg(long, value_name = "NAME")]
        auth_id: Option<String>,
        /// The brand that its events carry instead of the usual one.
        #[arg(long)]
        brand: Option<String>,
        /// Read the secret from the first line of stdin instead of drawing one.
        #[arg(long)]
        secret_stdin: bool,
    },
    /// Give an account another secret and print it, as JSON; sessions go on.
    Rotate {
        /// Its id.
        id: String,
        /// Read the secret from the first line of stdin instead of drawing one.
        #[arg(long)]
        secret_stdin: bool,
        /// End its sessions, because the old secret is known to somebody.
        #[arg(long)]
        end_sessions: bool,
    },
    /// Refuse an account's log-ins and end its sessions; access tokens are good for their last seconds.
    Disable {
        /// Its id.
        id: String,
    },
    /// Let a disabled account log in again.
    Enable {
        /// Its id.
        id: String,
    },
    /// All accounts, without their secrets.
    List,
}

impl Account {
    /// Does it; false when there is no such account, or there is one already.
    ///
    /// # Errors
    /// A setting is wrong, the database does not answer, or a secret does not do.
    pub fn run(&self, out: &mut impl Write) -> anyhow::Result<bool> {
        let (options, _) = settings::kept(self.data_dir.as_deref())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
        runtime.block_on(async {
            let store = Store::connect(&options).await.context("connect to the database")?;
            store.migrate().await.context("bring the database to this version")?;
            self.act(&store, out).await
        })
    }

    /// Does it in a database.
    async fn act(&self, store: &Store, out: &mut impl Write) -> anyhow::Result<bool> {
        let change = async |id: &str, change| store.change_account(&SourceId::new(id), change, SystemClock.now()).await;
        let (id, known) = match &self.action {
            Action::List => return list(store, out).await.map(|()| true),
            Action::Add { id, auth_id, brand, secret_stdin } => {
                let auth_id = auth_id.as_ref().unwrap_or(id);
                return add(store, out, (id, auth_id, brand.as_deref()), *secret_stdin).await;
            }
            Action::Rotate { id, secret_stdin, end_sessions } => {
                let secret = secret(*secret_stdin)?;
                let known = change(id, Change::Secret(hash(&secret).await?)).await?;
                if known && *end_sessions {
                    change(id, Change::EndSessions).await?;
                }
                if known {
                    writeln!(out, "{}", json!({ "id": id, "secret": secret.expose_secret() }))?;
                }
                (id, known)
            }
            Action::Disable { id } => (id, change(id, Change::Disable).await?),
            Action::Enable { id } => (id, change(id, Change::Enable).await?),
        };
        if !known {
            writeln!(out, "There is no account `{}`; `events-proxy account list` tells those there are.", id.escape_debug())?;
        }
        Ok(known)
    }
}

/// Adds an account.
async fn add(
    store: &Store,
    out: &mut impl Write,
    (id, auth_id, brand): (&str, &str, Option<&str>),
    secret_stdin: bool,
) -> anyhow::Result<bool> {
    let source = SourceId::new(id);
    ensure!(source.names_an_account(), "the id must have 1 to 128 printable characters and no `/`");
    ensure!((1..=AUTH_ID_BYTES_MAX).contains(&auth_id.len()), "--auth-id must have 1 to {AUTH_ID_BYTES_MAX} bytes");
    let secret = secret(secret_stdin)?;
    let account =
        storage::Account { id: source, auth_id: auth_id.to_owned(), secret_hash: hash(&secret).await?, brand: brand.map(str::to_owned) };
    match store.add_account(&account).await {
        Ok(true) => {}
        Ok(false) => {
            writeln!(out, "There is an account `{}` already, and it stays as it is; `rotate` gives it another secret.", id.escape_debug())?;
            return Ok(false);
        }
        Err(storage::Error::Refused(_)) => bail!("another account logs in with `{}`: choose another --auth-id", auth_id.escape_debug()),
        Err(error) => return Err(error.into()),
    }
    let credentials = Credentials { auth_id: auth_id.to_owned(), secret: secret.expose_secret().to_owned() };
    writeln!(out, "{}", serde_json::to_string(&credentials)?)?;
    Ok(true)
}

/// Prints all accounts.
async fn list(store: &Store, out: &mut impl Write) -> anyhow::Result<()> {
    let mut behind = None;
    loop {
        let page = store.accounts(behind.as_ref(), PAGE).await?;
        for account in &page {
            let disabled = account.disabled_at.map(|at| at.to_string());
            writeln!(out, "{}", json!({ "id": account.id, "authId": account.auth_id, "brand": account.brand, "disabledAt": disabled }))?;
        }
        let Some(last) = page.into_iter().next_back() else { return Ok(()) };
        behind = Some(last.id);
    }
}

/// The secret: drawn at random, or the first line of stdin.
fn secret(stdin: bool) -> anyhow::Result<SecretString> {
    if !stdin {
        return Ok(random_secret());
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("read the secret from stdin")?;
    Ok(SecretString::from(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// The secret as it is stored.
async fn hash(secret: &SecretString) -> anyhow::Result<String> {
    Ok(Passwords::new(1, 1, COST).hash(secret).await?)
}
