//! Sessions: log in, refresh, end.
//!
//! ```text
//! log in ──▶ r1 ──refresh──▶ r2 ──refresh──▶ r3      each refresh token is good once
//!             └──again──▶ the session is over         somebody else has a copy: nobody may go on
//! ```
//! Laws: an unknown account and a wrong secret are told alike, in the same time; a session is bound to the address that
//! began it; of a refresh token only the SHA-256 is remembered.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use events_proxy_core::{Moment, SourceId};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::access::{Issued, Keys};
use crate::password::Passwords;
use crate::random;
use crate::store::{Account, Opening, Remembers, Rotated, Rotation, Unavailable};

/// The longest id that is looked up, in bytes.
pub const AUTH_ID_BYTES_MAX: usize = 512;

/// A session as its owner gets it: once, for the refresh token is known to nobody else.
#[derive(Debug, Clone)]
pub struct Session {
    /// The session's id.
    pub id: String,
    /// The token to call with.
    pub access: Issued,
    /// The token to refresh with, good once.
    pub refresh_token: SecretString,
    /// When that expires.
    pub refresh_expires_at: Moment,
    /// When the session began.
    pub started_at: Moment,
}

/// Why no session was begun.
#[derive(Debug, thiserror::Error)]
pub enum LogInError {
    /// Unknown account or wrong secret; which of them is not told.
    #[error("the id or the secret is wrong")]
    Refused,
    /// Too many log-ins wait; try again later.
    #[error("too many log-ins wait")]
    Busy,
    /// What is remembered cannot be reached.
    #[error("begin a session")]
    Unavailable(#[source] Unavailable),
}

/// Why a session was not refreshed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// No such token.
    #[error("the refresh token is unknown")]
    Unknown,
    /// The token's time is over.
    #[error("the refresh token has expired")]
    Expired,
    /// The token was spent before or its session has ended; the session is over.
    #[error("the refresh token was used before or its session has ended")]
    Reused,
    /// The session is bound to another address; from there the token is still good.
    #[error("the session belongs to another address")]
    OtherAddress,
    /// What is remembered cannot be reached; the token may be spent.
    #[error("refresh a session")]
    Unavailable(#[source] Unavailable),
}

/// Begins, refreshes and ends sessions. Clones share everything.
#[derive(Debug, Clone)]
pub struct Sessions {
    /// What is remembered.
    memory: Arc<dyn Remembers>,
    /// Checks secrets.
    passwords: Passwords,
    /// Issues access tokens.
    keys: Keys,
    /// How long a refresh token lives.
    refresh_lifetime: Duration,
}

/// What a session's next pair of tokens is made from.
struct Holder {
    /// The session's id.
    session_id: String,
    /// Whose session it is.
    account_id: SourceId,
    /// When it began.
    started_at: Moment,
}

impl Sessions {
    /// Puts the parts together.
    #[must_use]
    pub fn new(memory: Arc<dyn Remembers>, passwords: Passwords, keys: Keys, refresh_lifetime: Duration) -> Self {
        Self { memory, passwords, keys, refresh_lifetime }
    }

    /// Begins a session for the account of that id and secret, bound to the caller's address. Where the account got in from there
    /// lately (`known`) strangers do not hold it up.
    ///
    /// # Errors
    /// [`LogInError`].
    pub async fn log_in(
        &self,
        (auth_id, secret): (&str, &SecretString),
        (ip, known): (IpAddr, bool),
        now: Moment,
    ) -> Result<Session, LogInError> {
        let account = self.account(auth_id).await.map_err(LogInError::Unavailable)?;
        let hash = account.as_ref().map(|account| account.secret_hash.as_str());
        let passwords = if known { self.passwords.for_known() } else { self.passwords.clone() };
        let matches = passwords.check(secret, hash).await.map_err(|_busy| LogInError::Busy)?;
        let Some(account) = account.filter(|_| matches) else { return Err(LogInError::Refused) };

        let holder = Holder { session_id: Uuid::new_v4().to_string(), account_id: account.id, started_at: now };
        let session = self.equip(&holder, random::draw(), now).map_err(LogInError::Unavailable)?;
        let opening = Opening {
            session_id: holder.session_id,
            account_id: holder.account_id,
            ip: ip.to_canonical(),
            started_at: now,
            token_hash: random::fingerprint(&session.refresh_token),
            token_expires_at: session.refresh_expires_at,
        };
        self.memory.open(&opening).await.map_err(LogInError::Unavailable)?;
        Ok(session)
    }

    /// Exchanges a refresh token for the session's next pair of tokens.
    ///
    /// # Errors
    /// [`RefreshError`].
    pub async fn refresh(&self, token: &SecretString, ip: IpAddr, now: Moment) -> Result<Session, RefreshError> {
        if token.expose_secret().len() != random::TEXT_BYTES {
            return Err(RefreshError::Unknown);
        }
        let next = random::draw();
        let rotation = Rotation {
            spent_hash: random::fingerprint(token),
            next_hash: random::fingerprint(&next),
            ip: ip.to_canonical(),
            now,
            next_expires_at: now.plus(self.refresh_lifetime),
        };
        match self.memory.rotate(&rotation).await.map_err(RefreshError::Unavailable)? {
            Rotated::Done { session_id, account_id, started_at } => {
                self.equip(&Holder { session_id, account_id, started_at }, next, now).map_err(RefreshError::Unavailable)
            }
            Rotated::Unknown => Err(RefreshError::Unknown),
            Rotated::Expired => Err(RefreshError::Expired),
            Rotated::Reused => Err(RefreshError::Reused),
            Rotated::OtherAddress => Err(RefreshError::OtherAddress),
        }
    }

    /// Ends a session: its refresh token is dead, its access token lives out its seconds.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn end(&self, session_id: &str, now: Moment) -> Result<(), Unavailable> {
        self.memory.end(session_id, now).await
    }

    /// Finds the account; an id that no account can have is not looked up. A NUL would be an error in PostgreSQL, and an
    /// error is told apart from an unknown id.
    async fn account(&self, auth_id: &str) -> Result<Option<Account>, Unavailable> {
        if auth_id.is_empty() || auth_id.len() > AUTH_ID_BYTES_MAX || auth_id.contains('\0') {
            return Ok(None);
        }
        self.memory.account(auth_id).await
    }

    /// Gives a session its access token beside the refresh token that it has.
    fn equip(&self, holder: &Holder, refresh_token: SecretString, now: Moment) -> Result<Session, Unavailable> {
        let access = self.keys.issue(&holder.account_id, &holder.session_id, now).map_err(|error| Unavailable(Box::new(error)))?;
        let refresh_expires_at = now.plus(self.refresh_lifetime);
        Ok(Session { id: holder.session_id.clone(), access, refresh_token, refresh_expires_at, started_at: holder.started_at })
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
