//! The port: what must be remembered so that a source can log in.
//!
//! The laws stand on [`Remembers`]. Whoever implements it gives back what it was given, and nothing about a secret
//! but its hash ever passes here.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;

use async_trait::async_trait;
use events_proxy_core::{Moment, SourceId};

/// An account that may log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id: the source id of its events.
    pub id: SourceId,
    /// The bcrypt hash of its secret.
    pub secret_hash: String,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A session that begins, with its first refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The session's id.
    pub session_id: String,
    /// Whose session it is.
    pub account_id: SourceId,
    /// The address it is bound to.
    pub ip: IpAddr,
    /// When it begins.
    pub started_at: Moment,
    /// The SHA-256 of its refresh token.
    pub token_hash: [u8; 32],
    /// When that token expires.
    pub token_expires_at: Moment,
}

/// A refresh token presented for its successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The SHA-256 of the presented token.
    pub spent_hash: [u8; 32],
    /// The SHA-256 of its successor.
    pub next_hash: [u8; 32],
    /// The address that presents it.
    pub ip: IpAddr,
    /// When it is presented.
    pub now: Moment,
    /// When the successor expires.
    pub next_expires_at: Moment,
}

/// What became of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// The token is spent and its successor stored.
    Done {
        /// The session's id.
        session_id: String,
        /// Whose session it is.
        account_id: SourceId,
        /// When it began.
        started_at: Moment,
    },
    /// No such token.
    Unknown,
    /// The token's time is over.
    Expired,
    /// The token was spent before, or its session has ended; either way the session is over now.
    Reused,
    /// The session is bound to another address; the token is still unspent.
    OtherAddress,
}

/// The memory could not be asked, or did not answer. Whether it did what it was asked is unknown.
#[derive(Debug, thiserror::Error)]
#[error("reach what is remembered of sessions")]
pub struct Unavailable(#[source] pub Box<dyn Error + Send + Sync>);

/// Remembers accounts, sessions and refresh tokens.
///
/// Laws:
/// - A rotation is one transaction: of two with the same token at the same time, one is `Done`, the other `Reused`.
/// - It judges in this order: `Unknown`, `Reused`, `Expired` (from the very moment on), `OtherAddress`.
/// - `Reused` ends the session in that transaction: no token of it is good any more, the unspent one included.
/// - Every call returns within the implementation's own deadline.
#[async_trait]
pub trait Remembers: Send + Sync + fmt::Debug {
    /// Finds the account that logs in by this id.
    ///
    /// # Errors
    /// [`Unavailable`].
    async fn account(&self, auth_id: &str) -> Result<Option<Account>, Unavailable>;

    /// Remembers a new session and its first refresh token.
    ///
    /// # Errors
    /// [`Unavailable`].
    async fn open(&self, opening: &Opening) -> Result<(), Unavailable>;

    /// Exchanges a refresh token for its successor.
    ///
    /// # Errors
    /// [`Unavailable`]; the token may be spent then.
    async fn rotate(&self, rotation: &Rotation) -> Result<Rotated, Unavailable>;

    /// Ends a session. One that is unknown or has ended is left as it is.
    ///
    /// # Errors
    /// [`Unavailable`].
    async fn end(&self, session_id: &str, at: Moment) -> Result<(), Unavailable>;
}

#[cfg(test)]
mod tests {
    use events_proxy_core::SourceId;

    use super::Account;

    #[test]
    fn an_account_never_shows_its_hash() {
        let account = Account { id: SourceId::new("shop"), secret_hash: "$2b$04$hidden".to_owned() };
        assert_eq!(format!("{account:?}"), r#"Account { id: SourceId("shop"), .. }"#);
    }
}
