//! Table `journal`: one row per event.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "journal")]
pub struct Model {
    /// Who sent it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source_id: String,
    /// The sender's id for it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: String,
    /// The day of its receipt, in days since 1970: what PostgreSQL divides the table by.
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: i64,
    /// Its kind.
    pub name: String,
    /// The trace it belongs to.
    pub trace_id: String,
    /// The brand it goes out with.
    pub brand: Option<String>,
    /// `State::rank` of where it is.
    pub state_rank: i16,
    /// When ingest received it.
    pub received_at: i64,
    /// When it was durable at ingest.
    pub accepted_at: Option<i64>,
    /// When the topic acknowledged it.
    pub published_at: Option<i64>,
    /// When it was taken from the topic.
    pub consumed_at: Option<i64>,
    /// When it came to its state.
    pub settled_at: Option<i64>,
    /// When it is due again.
    pub next_attempt_at: Option<i64>,
    /// Its partition.
    pub partition: i64,
    /// Its offset.
    pub offset: i64,
    /// Its attempts as a JSON array.
    pub attempts: Option<String>,
    /// `DeadReason::as_str` of why it is dead.
    pub dead_reason: Option<String>,
    /// Why it is dead, in words.
    pub dead_detail: Option<String>,
    /// How often it was replayed.
    pub replays: i32,
}

/// The table has no relations that are walked.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
