//! The step that lets a replay's order be found from the traces of its events.

use sea_orm::sea_query::Table;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::columns::Columns;

/// This step.
pub(super) struct Step;

impl MigrationName for Step {
    fn name(&self) -> &'static str {
        "m0007_replay_trace"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), sea_orm::DbErr> {
        let columns = Columns { backend: manager.get_database_backend() };
        manager.alter_table(Table::alter().table("replay").add_column(columns.text("trace")).take()).await
    }
}
