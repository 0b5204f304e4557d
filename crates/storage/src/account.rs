//! Accounts: who may send events, and under which brand.

use std::collections::HashMap;
use std::fmt;

use events_proxy_core::SourceId;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect};

use crate::entity::account::{ActiveModel, Column, Entity};
use crate::store::Transact;
use crate::value::text;
use crate::{Error, Store};

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
    pub async fn put_account(&self, account: &Account) -> Result<(), Error> {
        self.write(account).await
    }

    /// The account that logs in with `auth_id`.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn account(&self, auth_id: &str) -> Result<Option<Account>, Error> {
        let found = self.answer(Entity::find().filter(Column::AuthId.eq(text(auth_id))).one(self.reader())).await?;
        Ok(found.map(|row| Account { id: SourceId::new(row.id), auth_id: row.auth_id, secret_hash: row.secret_hash, brand: row.brand }))
    }

    /// The brands of all accounts that have one.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn brands(&self) -> Result<HashMap<SourceId, String>, Error> {
        let branded = Entity::find().filter(Column::Brand.is_not_null()).select_only().columns([Column::Id, Column::Brand]);
        let rows: Vec<(String, String)> = self.answer(branded.into_tuple().all(self.reader())).await?;
        Ok(rows.into_iter().map(|(id, brand)| (SourceId::new(id), brand)).collect())
    }
}

impl Transact for Account {
    type Outcome = ();

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        let row = ActiveModel {
            id: Set(text(self.id.as_str())),
            auth_id: Set(text(&self.auth_id)),
            secret_hash: Set(text(&self.secret_hash)),
            brand: Set(self.brand.as_deref().map(text)),
        };
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
