//! The step that brings replays: their orders, and what an event remembers of them.

use sea_orm::sea_query::{ColumnDef, Index, IndexOrder, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::columns::{Columns, number};

/// This step.
pub(super) struct Step;

impl MigrationName for Step {
    fn name(&self) -> &'static str {
        "m0004_replay"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), sea_orm::DbErr> {
        let columns = Columns { backend: manager.get_database_backend() };
        let replay = Columns::keyed("replay", &mut [columns.text("id")])
            .col(columns.text("topic").not_null())
            .col(columns.text("operator").not_null())
            .col(number("begun_at").not_null())
            .col(columns.text("choice").not_null())
            .col(ColumnDef::new("share_thousandths").integer().not_null())
            .col(columns.text("state").not_null())
            .col(number("chosen").not_null())
            .col(number("moved").not_null())
            .col(number("skipped").not_null())
            .col(number("seen_at").not_null())
            .col(number("seen_partition").not_null())
            .col(number("seen_offset").not_null())
            .col(number("turn_at").not_null())
            .col(number("ended_at"))
            .take();
        manager.create_table(replay).await?;
        for (table, column) in [("journal", "replays"), ("parked", "forgiven")] {
            let mut added = ColumnDef::new(column).integer().not_null().default(0).take();
            manager.alter_table(Table::alter().table(table).add_column(&mut added).take()).await?;
        }
        manager.create_index(Index::create().name("replay_begun_at").table("replay").col(("begun_at", IndexOrder::Desc)).take()).await?;
        manager.create_index(Index::create().name("dead_event").table("dead").col("source_id").col("event_id").take()).await?;
        manager.create_index(Index::create().name("dead_reason").table("dead").col("reason").col("died_at").take()).await
    }
}
