//! Table `refresh_token`: every token of a session, by its hash.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_token")]
pub struct Model {
    /// The token's SHA-256.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: Vec<u8>,
    /// The session it belongs to.
    pub session_id: String,
    /// Until when it is good.
    pub expires_at: i64,
    /// Whether it was exchanged for its successor.
    pub spent: bool,
}

/// The table has no relations that are walked.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
