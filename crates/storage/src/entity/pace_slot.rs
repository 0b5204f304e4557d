//! Table `pace_slot`: a target's limit, and where its slots stand. All times in nanoseconds.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pace_slot")]
pub struct Model {
    /// The target's name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub target: String,
    /// The limit: requests per interval.
    pub requests: i64,
    /// The interval.
    pub interval: i64,
    /// What is kept free of every interval.
    pub guard: i64,
    /// The requests that were last configured; the limit may have been changed since.
    pub configured_requests: i64,
    /// The interval that was last configured.
    pub configured_interval: i64,
    /// The first slot that nobody has, since the Unix epoch by the database's clock.
    pub next_slot: i64,
    /// No slot lies before this, by the same clock.
    pub paused_until: i64,
    /// How far slots were pushed back so far, all in all.
    pub pushed: i64,
}

/// The table has no relations that are walked.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
