//! An in-memory fake of the port, for the tests of sessions. It keeps the port's laws and can be cut off.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use events_proxy_core::{Moment, SourceId};

use crate::store::{Account, Opening, Remembers, Rotated, Rotation, Unavailable};

/// A remembered session.
#[derive(Debug)]
struct Kept {
    /// Whose it is.
    account_id: SourceId,
    /// The address it is bound to.
    ip: IpAddr,
    /// When it began.
    started_at: Moment,
    /// Whether it is over.
    ended: bool,
}

/// A remembered refresh token.
#[derive(Debug, Clone)]
struct Token {
    /// Its session.
    session_id: String,
    /// When it expires.
    expires_at: Moment,
    /// Whether it was used.
    spent: bool,
}

/// Everything that is remembered.
#[derive(Debug, Default)]
struct Contents {
    /// Accounts by the id they log in with.
    accounts: HashMap<String, Account>,
    /// Sessions by id.
    sessions: HashMap<String, Kept>,
    /// Refresh tokens by hash.
    tokens: HashMap<[u8; 32], Token>,
}

/// The fake.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// What it remembers.
    contents: Mutex<Contents>,
    /// Whether it cannot be reached.
    cut: AtomicBool,
    /// How often an account was looked up.
    look_ups: AtomicUsize,
}

impl Memory {
    /// Adds an account.
    pub(crate) fn add(&self, auth_id: &str, account: Account) {
        self.contents.lock().unwrap().accounts.insert(auth_id.to_owned(), account);
    }

    /// Makes every later call fail, or stops that.
    pub(crate) fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    /// How often an account was looked up.
    pub(crate) fn look_ups(&self) -> usize {
        self.look_ups.load(Ordering::Relaxed)
    }

    /// How many sessions began.
    pub(crate) fn sessions(&self) -> usize {
        self.contents.lock().unwrap().sessions.len()
    }

    /// The hashes of all refresh tokens.
    pub(crate) fn token_hashes(&self) -> Vec<[u8; 32]> {
        self.contents.lock().unwrap().tokens.keys().copied().collect()
    }

    /// The contents, unless the fake is cut off.
    fn reach(&self) -> Result<MutexGuard<'_, Contents>, Unavailable> {
        if self.cut.load(Ordering::Relaxed) { Err(Unavailable("cut off".into())) } else { Ok(self.contents.lock().unwrap()) }
    }
}

#[async_trait]
impl Remembers for Memory {
    async fn account(&self, auth_id: &str) -> Result<Option<Account>, Unavailable> {
        self.look_ups.fetch_add(1, Ordering::Relaxed);
        Ok(self.reach()?.accounts.get(auth_id).cloned())
    }

    async fn open(&self, opening: &Opening) -> Result<(), Unavailable> {
        let mut contents = self.reach()?;
        let kept = Kept { account_id: opening.account_id.clone(), ip: opening.ip, started_at: opening.started_at, ended: false };
        contents.sessions.insert(opening.session_id.clone(), kept);
        let token = Token { session_id: opening.session_id.clone(), expires_at: opening.token_expires_at, spent: false };
        contents.tokens.insert(opening.token_hash, token);
        Ok(())
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Rotated, Unavailable> {
        let mut contents = self.reach()?;
        let Contents { sessions, tokens, .. } = &mut *contents;
        let Some(token) = tokens.get_mut(&rotation.spent_hash) else { return Ok(Rotated::Unknown) };
        let Some(session) = sessions.get_mut(&token.session_id) else { return Ok(Rotated::Unknown) };
        if token.spent || session.ended {
            session.ended = true;
            return Ok(Rotated::Reused);
        }
        if token.expires_at <= rotation.now {
            return Ok(Rotated::Expired);
        }
        if session.ip != rotation.ip {
            return Ok(Rotated::OtherAddress);
        }
        token.spent = true;
        let session_id = token.session_id.clone();
        let next = Token { session_id: session_id.clone(), expires_at: rotation.next_expires_at, spent: false };
        tokens.insert(rotation.next_hash, next);
        Ok(Rotated::Done { session_id, account_id: session.account_id.clone(), started_at: session.started_at })
    }

    async fn end(&self, session_id: &str, _at: Moment) -> Result<(), Unavailable> {
        if let Some(session) = self.reach()?.sessions.get_mut(session_id) {
            session.ended = true;
        }
        Ok(())
    }
}
