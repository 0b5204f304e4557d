//! The step that counts how the records ended that a partition's offset has passed. The count begins where offsets stand.

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::Table;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::columns::number;

/// This step.
pub(super) struct Step;

/// The columns that are added.
const COUNTS: [&str; 6] = ["counted_from", "passed_delivered", "passed_parked", "passed_dead", "passed_repeated", "passed_expired"];

impl MigrationName for Step {
    fn name(&self) -> &'static str {
        "m0006_balance"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), sea_orm::DbErr> {
        for name in COUNTS {
            // One at a time: SQLite adds no two columns by one statement.
            let count = number(name).not_null().default(0).take();
            manager.alter_table(Table::alter().table("dispatch_partition").add_column(count).take()).await?;
        }
        manager.get_connection().execute_unprepared("UPDATE dispatch_partition SET counted_from = next_offset").await?;
        Ok(())
    }
}
