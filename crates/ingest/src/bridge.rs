//! What `auth` must remember, kept by `storage`: the two know nothing of each other.

use async_trait::async_trait;
use auth::store::{Account, Opening, Remembers, Rotated, Rotation, Unavailable};
use events_proxy_core::Moment;
use storage::{NewSession, Store};

/// Accounts and sessions in the storage.
#[derive(Debug)]
pub(crate) struct Remembered(pub(crate) Store);

/// The storage's error as the port knows it.
fn unavailable(error: storage::Error) -> Unavailable {
    Unavailable(Box::new(error))
}

#[async_trait]
impl Remembers for Remembered {
    async fn account(&self, auth_id: &str) -> Result<Option<Account>, Unavailable> {
        let account = self.0.account(auth_id).await.map_err(unavailable)?;
        Ok(account.map(|account| Account { id: account.id, secret_hash: account.secret_hash }))
    }

    async fn open(&self, opening: &Opening) -> Result<(), Unavailable> {
        let session = NewSession {
            id: opening.session_id.clone(),
            account_id: opening.account_id.clone(),
            ip: opening.ip.to_string(),
            started_at: opening.started_at,
            token_hash: opening.token_hash,
            token_expires_at: opening.token_expires_at,
        };
        self.0.open_session(&session).await.map_err(unavailable)
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Rotated, Unavailable> {
        let rotation = storage::Rotation {
            spent_hash: rotation.spent_hash,
            next_hash: rotation.next_hash,
            ip: rotation.ip.to_string(),
            now: rotation.now,
            next_expires_at: rotation.next_expires_at,
        };
        Ok(match self.0.rotate(&rotation).await.map_err(unavailable)? {
            storage::Rotated::Done(session) => {
                Rotated::Done { session_id: session.id, account_id: session.account_id, started_at: session.started_at }
            }
            storage::Rotated::Unknown => Rotated::Unknown,
            storage::Rotated::Expired => Rotated::Expired,
            storage::Rotated::Reused => Rotated::Reused,
            storage::Rotated::OtherAddress => Rotated::OtherAddress,
        })
    }

    async fn end(&self, session_id: &str, at: Moment) -> Result<(), Unavailable> {
        self.0.end_session(session_id, at).await.map_err(unavailable)
    }
}
