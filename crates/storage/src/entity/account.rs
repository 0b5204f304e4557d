//! Table `account`: one row per source system.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account")]
pub struct Model {
    /// The source's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// What it logs in with; unique.
    pub auth_id: String,
    /// The bcrypt hash of its secret.
    pub secret_hash: String,
    /// The brand of its events.
    pub brand: Option<String>,
    /// Since when nobody logs in with it, in microseconds since 1970.
    pub disabled_at: Option<i64>,
}

/// The table has no relations that are walked.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
