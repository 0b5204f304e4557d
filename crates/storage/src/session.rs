//! Sessions and the refresh tokens that keep them open.
//!
//! A session holds one unspent token at a time. Rotation spends it and stores its successor, in one transaction;
//! a spent token presented again means that it was stolen or replayed, and ends the whole session.

use std::time::Duration;

use events_proxy_core::{Moment, SourceId};
use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict, Query};
use sea_orm::{ActiveValue::Set, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, UpdateMany};

use crate::entity::{account, refresh_token, session};
use crate::store::Transact;
use crate::value::text;
use crate::{Answer, Store};

/// How long a token is remembered after its time is over, so that its reuse is told from an unknown one.
const MEMORY: Duration = Duration::from_secs(24 * 60 * 60);
/// The most ended sessions that are told at once.
const ENDED_MAX: u64 = 100_000;
/// The most forgotten sessions that one opening removes.
const SWEEP_ROWS_MAX: u64 = 100;

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
    /// The token was spent before, its session was ended or its account disabled: now the whole session is ended.
    Reused,
    /// The token comes from another address than the session began at; it is left unspent.
    OtherAddress,
}

impl Store {
    /// Opens a session with its first token, and sweeps away some whose time has long been over.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn open_session<'a>(&'a self, session: &'a NewSession) -> Answer<'a, ()> {
        Box::pin(async move { self.write(session).await })
    }

    /// Exchanges a refresh token for its successor; see [`Rotated`] for the rules.
    ///
    /// # Errors
    /// Any [`Error`]. If its outcome is unknown, do not repeat it: the token may be spent.
    pub fn rotate<'a>(&'a self, rotation: &'a Rotation) -> Answer<'a, Rotated> {
        Box::pin(async move { self.write(rotation).await })
    }

    /// Ends a session: none of its tokens is good any more. Does nothing if there is no such session or it was ended before.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn end_session<'a>(&'a self, session_id: &'a str, at: Moment) -> Answer<'a, ()> {
        Box::pin(async move { self.write(&Ending { session_id: text(session_id), at }).await })
    }

    /// The ids of sessions that were ended at this moment or later; where they are more than 100,000, those that ended last.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn ended_sessions(&self, since: Moment) -> Answer<'_, Vec<String>> {
        Box::pin(async move {
            let select = session::Entity::find()
                .select_only()
                .column(session::Column::Id)
                .filter(session::Column::EndedAt.gte(since.as_micros()))
                .order_by_desc(session::Column::EndedAt)
                .limit(ENDED_MAX);
            self.answer(select.into_tuple().all(self.reader())).await
        })
    }
}

impl Transact for NewSession {
    type Outcome = ();

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        sweep(transaction, self.started_at).await?;
        let row = session::ActiveModel {
            id: Set(text(&self.id)),
            account_id: Set(text(self.account_id.as_str())),
            ip: Set(text(&self.ip)),
            started_at: Set(self.started_at.as_micros()),
            expires_at: Set(self.token_expires_at.as_micros()),
            ended_at: Set(None),
        };
        // A caller that does not know how its call ended repeats it: what stands stays.
        let stay = OnConflict::column(session::Column::Id).do_nothing().to_owned();
        session::Entity::insert(row).on_conflict(stay).exec_without_returning(transaction).await?;
        add_token(transaction, &self.id, self.token_hash, self.token_expires_at).await
    }
}

impl Transact for Rotation {
    type Outcome = Rotated;

    /// Judges the presented token and does what follows from it, all under the session's lock.
    async fn run(&self, transaction: &DatabaseTransaction) -> Result<Rotated, DbErr> {
        // Locks go token first, session second, in every rotation; of two with the same token the later one sees it spent.
        let token = refresh_token::Entity::find_by_id(self.spent_hash.to_vec()).lock_exclusive().one(transaction).await?;
        let Some(token) = token else { return Ok(Rotated::Unknown) };
        let session = session::Entity::find_by_id(token.session_id.clone()).lock_exclusive().one(transaction).await?;
        let Some(session) = session else { return Ok(Rotated::Unknown) };
        // A log-in that was under way while its account was disabled opened a session after that ended all others.
        if token.spent || session.ended_at.is_some() || is_disabled(transaction, &session.account_id).await? {
            Ending { session_id: session.id, at: self.now }.run(transaction).await?;
            return Ok(Rotated::Reused);
        }
        if token.expires_at <= self.now.as_micros() {
            return Ok(Rotated::Expired);
        }
        if session.ip != text(&self.ip) {
            return Ok(Rotated::OtherAddress);
        }
        spend(transaction, token, self).await?;
        let account_id = SourceId::new(session.account_id);
        Ok(Rotated::Done(RotatedSession { id: session.id, account_id, started_at: Moment::from_micros(session.started_at) }))
    }
}

/// Marks a session as ended, unless it is.
struct Ending {
    /// The session's id, as the table holds it.
    session_id: String,
    /// When it ends.
    at: Moment,
}

impl Transact for Ending {
    type Outcome = ();

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        ending(self.at).filter(session::Column::Id.eq(self.session_id.as_str())).exec(transaction).await?;
        Ok(())
    }
}

/// Marks as ended those sessions that are not, among the ones that a filter chooses.
pub(crate) fn ending(at: Moment) -> UpdateMany<session::Entity> {
    let ended = session::Entity::update_many().col_expr(session::Column::EndedAt, Expr::value(at.as_micros()));
    ended.filter(session::Column::EndedAt.is_null())
}

/// Whether an account is disabled.
async fn is_disabled(transaction: &DatabaseTransaction, account_id: &str) -> Result<bool, DbErr> {
    let account = account::Entity::find_by_id(account_id).one(transaction).await?;
    Ok(account.is_some_and(|account| account.disabled_at.is_some()))
}

/// Spends a token, stores its successor and forgets spent ones whose time has long been over.
async fn spend(transaction: &DatabaseTransaction, token: refresh_token::Model, rotation: &Rotation) -> Result<(), DbErr> {
    use refresh_token::Column;
    let spent = refresh_token::Entity::update_many().col_expr(Column::Spent, Expr::value(true)).filter(Column::Hash.eq(token.hash));
    spent.exec(transaction).await?;
    let expires_at = rotation.next_expires_at.as_micros();
    session::Entity::update_many()
        .col_expr(session::Column::ExpiresAt, Expr::value(expires_at))
        .filter(session::Column::Id.eq(token.session_id.as_str()))
        .exec(transaction)
        .await?;
    refresh_token::Entity::delete_many()
        .filter(Column::SessionId.eq(token.session_id.as_str()))
        .filter(Column::Spent.eq(true))
        .filter(Column::ExpiresAt.lt(forgotten(rotation.now)))
        .exec(transaction)
        .await?;
    add_token(transaction, &token.session_id, rotation.next_hash, rotation.next_expires_at).await
}

/// Stores an unspent token.
async fn add_token(transaction: &DatabaseTransaction, session_id: &str, hash: [u8; 32], expires_at: Moment) -> Result<(), DbErr> {
    let row = refresh_token::ActiveModel {
        hash: Set(hash.to_vec()),
        session_id: Set(text(session_id)),
        expires_at: Set(expires_at.as_micros()),
        spent: Set(false),
    };
    let stay = OnConflict::column(refresh_token::Column::Hash).do_nothing().to_owned();
    refresh_token::Entity::insert(row).on_conflict(stay).exec_without_returning(transaction).await?;
    Ok(())
}

/// Removes some sessions, with their tokens, whose last token's time has long been over.
async fn sweep(transaction: &DatabaseTransaction, now: Moment) -> Result<(), DbErr> {
    use session::Column;
    let forgotten = Query::select()
        .column(Column::Id)
        .from(session::Entity)
        .and_where(Column::ExpiresAt.lt(forgotten(now)))
        .limit(SWEEP_ROWS_MAX)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .take();
    session::Entity::delete_many().filter(Column::Id.in_subquery(forgotten)).exec(transaction).await?;
    Ok(())
}

/// Tokens that expired before this are no longer remembered.
fn forgotten(now: Moment) -> i64 {
    now.as_micros().saturating_sub(i64::try_from(MEMORY.as_micros()).unwrap_or(i64::MAX))
}
