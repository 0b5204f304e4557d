//! The step that finds what failed of one source: without it all sources' dead events are gone through, or all events of the source.
//!
//! Each index holds one state alone, so events that go well pay nothing. On PostgreSQL the days that are there already go
//! without them until they are over, as in the step before.

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

/// This step.
pub(super) struct Step;

impl MigrationName for Step {
    fn name(&self) -> &'static str {
        "m0009_failing"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), sea_orm::DbErr> {
        let only = if manager.get_database_backend() == DbBackend::Postgres { "ONLY " } else { "" };
        for (name, rank) in [("journal_parked", 2), ("journal_dead", 3)] {
            let index = format!("CREATE INDEX {name} ON {only}journal (source_id, received_at DESC, event_id) WHERE state_rank = {rank}");
            manager.get_connection().execute_unprepared(&index).await?;
        }
        Ok(())
    }
}
