//! Table `parked`: events that wait for their next attempt.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "parked")]
pub struct Model {
    /// The topic it came from.
    #[sea_orm(primary_key, auto_increment = false)]
    pub topic: String,
    /// Its partition.
    #[sea_orm(primary_key, auto_increment = false)]
    pub partition: i64,
    /// Its offset.
    #[sea_orm(primary_key, auto_increment = false)]
    pub offset: i64,
    /// When it is due again.
    pub next_attempt_at: i64,
    /// When ingest received it.
    pub received_at: i64,
    /// When it was taken from the topic.
    pub consumed_at: i64,
    /// Its attempts as a JSON array.
    pub attempts: String,
    /// How many of them count no more, because it was replayed after them.
    pub forgiven: i32,
    /// The record's key.
    pub record_key: Vec<u8>,
    /// The record's payload.
    pub record_payload: Vec<u8>,
    /// The record's headers, in postcard.
    pub record_headers: Vec<u8>,
}

/// The table has no relations that are walked.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
