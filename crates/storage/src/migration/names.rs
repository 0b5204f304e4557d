//! The step that finds events by their name: a name that is rare, or that nobody has, is not looked for in all rows.
//!
//! On PostgreSQL the days that are there already go without it until they are over: to index them would hold up every writer
//! for as long as that takes.

use sea_orm::sea_query::{Index, IndexOrder};
use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

/// This step.
pub(super) struct Step;

impl MigrationName for Step {
    fn name(&self) -> &'static str {
        "m0008_names"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), sea_orm::DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            let days_to_come = "CREATE INDEX journal_name ON ONLY journal (name, received_at DESC)";
            manager.get_connection().execute_unprepared(days_to_come).await?;
            return Ok(());
        }
        let index = Index::create().name("journal_name").table("journal").col("name").col(("received_at", IndexOrder::Desc)).take();
        manager.create_index(index).await
    }
}
