//! Sessions and the refresh tokens that keep them open.
//!
//! A session holds one unspent token at a time. Rotation spends it and stores its successor, in one transaction;
//! a spent token presented again means that it was stolen or replayed, and ends the whole session.

use events_proxy_core::{Moment, SourceId};

/// A session that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Its id.
    pub id: String,
    /// Whose session it is.
    pub account_id: SourceId,
    /// The client's address; its tokens are good from there only.
    pub ip: String,
    /// When it began.
    pub started_at: Moment,
    /// The SHA-256 of its first refresh token.
    pub token_hash: [u8; 32],
    /// Until when that token is good.
    pub token_expires_at: Moment,
}

/// A refresh token is presented and asks for its successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The SHA-256 of the token that is presented.
    pub spent_hash: [u8; 32],
    /// The SHA-256 of its successor.
    pub next_hash: [u8; 32],
    /// The address it comes from.
    pub ip: String,
    /// When it is presented.
    pub now: Moment,
    /// Until when the successor is good.
    pub next_expires_at: Moment,
}

/// The session whose token was rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotatedSession {
    /// Its id.
    pub id: String,
    /// Whose session it is.
    pub account_id: SourceId,
    /// When it began.
    pub started_at: Moment,
}

/// How a rotation came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// The token is spent and its successor stored.
    Done(RotatedSession),
    /// No such token was ever issued, or it was forgotten.
    Unknown,
    /// The token's time is over; it is left as it was.
    Expired,
    /// The token was spent before, or its session was ended: now the whole session is ended.
    Reused,
    /// The token comes from another address than the session began at; it is left unspent.
    OtherAddress,
}
