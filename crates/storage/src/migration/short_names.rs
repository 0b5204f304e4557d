//! The step that looks for names by their beginning: an index of PostgreSQL takes no more than 2,704 bytes, and a name of 1,000
//! characters may have 4,000. With the index of before such an event could not be written at all.
//!
//! Days that are there already go without an index of names until they are over, as in that step. SQLite takes any length.

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

/// This step.
pub(super) struct Step;

impl MigrationName for Step {
    fn name(&self) -> &'static str {
        "m0010_short_names"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), sea_orm::DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            let steps = "DROP INDEX journal_name; CREATE INDEX journal_name ON ONLY journal (substr(name, 1, 128), received_at DESC)";
            manager.get_connection().execute_unprepared(steps).await?;
        }
        Ok(())
    }
}
