//! Table `replay`: orders to bring events on their way again, and the audit's record of them.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "replay")]
pub struct Model {
    /// Its id, a UUID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The topic whose events are meant.
    pub topic: String,
    /// Who ordered it.
    pub operator: String,
    /// When.
    pub begun_at: i64,
    /// What was chosen, as JSON.
    pub choice: String,
    /// How much of the target's limit it may use, in thousandths.
    pub share_thousandths: i32,
    /// `ReplayState::as_str`.
    pub state: String,
    /// How many events it chose when it began.
    pub chosen: i64,
    /// How many were moved so far.
    pub moved: i64,
    /// How many cannot be replayed, because their record is no event.
    pub skipped: i64,
    /// The moment of the last one that was looked at.
    pub seen_at: i64,
    /// Its partition.
    pub seen_partition: i64,
    /// Its offset.
    pub seen_offset: i64,
    /// Not to move any before.
    pub turn_at: i64,
    /// When it was done or cancelled.
    pub ended_at: Option<i64>,
    /// The span of the order, as a `traceparent`; none when nobody records it.
    pub trace: Option<String>,
}

/// The table has no relations that are walked.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
