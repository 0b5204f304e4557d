//! The step that adds where the slots of each target's limit stand.

use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

/// This step.
pub(super) struct Step;

impl MigrationName for Step {
    fn name(&self) -> &'static str {
        "m0004_pace"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), sea_orm::DbErr> {
        let mut table = Table::create();
        table.table("pace_slot").col(ColumnDef::new("target").text().not_null().primary_key());
        for name in NUMBERS {
            table.col(ColumnDef::new(*name).big_integer().not_null());
        }
        manager.create_table(table.take()).await
    }
}

/// The columns besides the target's name; times in nanoseconds, those of day since the Unix epoch.
const NUMBERS: &[&str] =
    &["requests", "interval", "guard", "configured_requests", "configured_interval", "next_slot", "paused_until", "pushed"];
