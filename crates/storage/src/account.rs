//! Accounts: who may send events, and under which brand.

use std::collections::HashMap;
use std::fmt;

use events_proxy_core::{Moment, SourceId};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::entity::account::{ActiveModel, Column, Entity, Model};
use crate::entity::session;
use crate::session::ending;
use crate::store::Transact;
use crate::value::text;
use crate::{Answer, Store};

/// A source system's account.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The id under which its events are known.
    pub id: SourceId,
    /// What it logs in with; unique.
    pub auth_id: String,
    /// The bcrypt hash of its secret.
    pub secret_hash: String,
    /// The brand its events carry, if it has one of its own.
    pub brand: Option<String>,
}

/// What an account is known by, without what opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The id under which its events are known.
    pub id: SourceId,
    /// What it logs in with.
    pub auth_id: String,
    /// The brand its events carry, if it has one of its own.
    pub brand: Option<String>,
    /// Since when nobody logs in with it.
    pub disabled_at: Option<Moment>,
}

/// What is done to an account.
#[derive(Clone)]
pub enum Change {
    /// Another secret opens it, by its bcrypt hash. Sessions go on.
    Secret(String),
    /// Nobody logs in with it, and its sessions are ended. Putting it in place again does not enable it.
    Disable,
    /// It can be logged in with again.
    Enable,
    /// Its sessions are ended.
    EndSessions,
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret",
            Self::Disable => "Disable",
            Self::Enable => "Enable",
            Self::EndSessions => "EndSessions",
        })
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("id", &self.id).field("auth_id", &self.auth_id).field("brand", &self.brand).finish_non_exhaustive()
    }
}

impl Store {
    /// Stores an account, replacing what was stored under its id.
    ///
    /// # Errors
    /// [`Error::Refused`] when another account has its `auth_id`; else any.
    pub fn put_account<'a>(&'a self, account: &'a Account) -> Answer<'a, ()> {
        Box::pin(async move { self.write(account).await })
    }

    /// Stores an account under an id that is free; false, and nothing is changed, when it is not.
    ///
    /// # Errors
    /// [`Error::Refused`] when another account has its `auth_id`; else any.
    pub fn add_account<'a>(&'a self, account: &'a Account) -> Answer<'a, bool> {
        Box::pin(async move { self.write(&Addition(account.clone())).await })
    }

    /// Changes an account, at a moment; false when there is none of that id.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn change_account<'a>(&'a self, id: &'a SourceId, change: Change, at: Moment) -> Answer<'a, bool> {
        Box::pin(async move { self.write(&Changing { id: text(id.as_str()), change, at }).await })
    }

    /// All accounts, by their ids; at most so many, behind one.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn accounts<'a>(&'a self, behind: Option<&'a SourceId>, most: u64) -> Answer<'a, Vec<Listed>> {
        Box::pin(async move {
            let mut rows = Entity::find().order_by_asc(Column::Id).limit(most);
            if let Some(behind) = behind {
                rows = rows.filter(Column::Id.gt(text(behind.as_str())));
            }
            let rows: Vec<Model> = self.answer(rows.all(self.reader())).await?;
            let listed = rows.into_iter().map(|row| Listed {
                id: SourceId::new(row.id),
                auth_id: row.auth_id,
                brand: row.brand,
                disabled_at: row.disabled_at.map(Moment::from_micros),
            });
            Ok(listed.collect())
        })
    }

    /// The account that logs in with `auth_id`; none when it is disabled.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn account<'a>(&'a self, auth_id: &'a str) -> Answer<'a, Option<Account>> {
        Box::pin(async move {
            let enabled = Entity::find().filter(Column::AuthId.eq(text(auth_id))).filter(Column::DisabledAt.is_null());
            let found = self.answer(enabled.one(self.reader())).await?;
            Ok(found.map(|row| Account { id: SourceId::new(row.id), auth_id: row.auth_id, secret_hash: row.secret_hash, brand: row.brand }))
        })
    }

    /// The brands of all accounts that have one.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn brands(&self) -> Answer<'_, HashMap<SourceId, String>> {
        Box::pin(async move {
            let branded = Entity::find().filter(Column::Brand.is_not_null()).select_only().columns([Column::Id, Column::Brand]);
            let rows: Vec<(String, String)> = self.answer(branded.into_tuple().all(self.reader())).await?;
            Ok(rows.into_iter().map(|(id, brand)| (SourceId::new(id), brand)).collect())
        })
    }
}

impl Account {
    /// The row of one that is not disabled.
    fn row(&self) -> ActiveModel {
        ActiveModel {
            id: Set(text(self.id.as_str())),
            auth_id: Set(text(&self.auth_id)),
            secret_hash: Set(text(&self.secret_hash)),
            brand: Set(self.brand.as_deref().map(text)),
            disabled_at: Set(None),
        }
    }
}

/// An account that is not to replace another.
struct Addition(Account);

impl Transact for Addition {
    type Outcome = bool;

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<bool, DbErr> {
        let row = self.0.row();
        if Entity::find_by_id(text(self.0.id.as_str())).one(transaction).await?.is_some() {
            return Ok(false);
        }
        Entity::insert(row).exec_without_returning(transaction).await?;
        Ok(true)
    }
}

/// A change of one account.
struct Changing {
    /// The account's id, as the table holds it.
    id: String,
    /// What is done.
    change: Change,
    /// When.
    at: Moment,
}

impl Transact for Changing {
    type Outcome = bool;

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<bool, DbErr> {
        let account = Entity::update_many().filter(Column::Id.eq(self.id.as_str()));
        let changed = match &self.change {
            Change::Secret(hash) => account.col_expr(Column::SecretHash, Expr::value(text(hash))),
            // One that is disabled stays so since then.
            Change::Disable => account.col_expr(Column::DisabledAt, Expr::col(Column::DisabledAt).if_null(self.at.as_micros())),
            Change::Enable => account.col_expr(Column::DisabledAt, Expr::value(None::<i64>)),
            Change::EndSessions => account.col_expr(Column::Id, Expr::col(Column::Id)),
        };
        let known = changed.exec(transaction).await?.rows_affected > 0;
        if matches!(self.change, Change::Disable | Change::EndSessions) {
            ending(self.at).filter(session::Column::AccountId.eq(self.id.as_str())).exec(transaction).await?;
        }
        Ok(known)
    }
}

impl Transact for Account {
    type Outcome = ();

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        let row = self.row();
        let replace = OnConflict::column(Column::Id).update_columns([Column::AuthId, Column::SecretHash, Column::Brand]).to_owned();
        Entity::insert(row).on_conflict(replace).exec_without_returning(transaction).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, SourceId};

    #[test]
    fn an_account_never_shows_its_hash() {
        let account = Account { id: SourceId::new("shop"), auth_id: "shop".to_owned(), secret_hash: "$2b$secret".to_owned(), brand: None };
        assert!(!format!("{account:?}").contains("$2b$secret"));
    }
}
