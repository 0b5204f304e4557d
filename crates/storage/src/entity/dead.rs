//! Table `dead`: events that were given up, and records that are no events.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dead")]
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
    /// `DeadKind::as_str` of who gave it up.
    pub kind: String,
    /// `DeadReason::as_str` of why.
    pub reason: String,
    /// Why, in words.
    pub detail: String,
    /// Who sent it.
    pub source_id: Option<String>,
    /// The sender's id for it.
    pub event_id: Option<String>,
    /// Its kind.
    pub name: Option<String>,
    /// The trace it belongs to.
    pub trace_id: Option<String>,
    /// The brand it would have gone out with.
    pub brand: Option<String>,
    /// When ingest received it.
    pub received_at: Option<i64>,
    /// When it was taken from the topic.
    pub consumed_at: Option<i64>,
    /// When it was given up.
    pub died_at: i64,
    /// Its attempts as a JSON array.
    pub attempts: String,
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
