//! The second step: who owns which partition, where each goes on, and what the topic dropped before it was read.

use sea_orm::sea_query::ColumnDef;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::columns::{Columns, number};

/// This step.
pub(super) struct Step;

impl MigrationName for Step {
    fn name(&self) -> &'static str {
        "m0002_ownership"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), sea_orm::DbErr> {
        let columns = Columns { backend: manager.get_database_backend() };
        let member = Columns::keyed("dispatch_member", &mut [columns.text("topic"), columns.text("id")])
            .col(columns.text("pod").not_null())
            .col(number("expires_at").not_null())
            .col(ColumnDef::new("draining").boolean().not_null())
            .take();
        let partition = Columns::keyed("dispatch_partition", &mut [columns.text("topic"), number("partition")])
            .col(columns.text("owner"))
            .col(number("epoch").not_null())
            .col(number("expires_at").not_null())
            .col(number("next_offset").not_null())
            .col(number("high_watermark").not_null())
            .take();
        let expired = Columns::keyed("expired", &mut [columns.text("topic"), number("partition"), number("first_offset")])
            .col(number("end_offset").not_null())
            .col(number("found_at").not_null())
            .take();
        for table in [member, partition, expired] {
            manager.create_table(table).await?;
        }
        Ok(())
    }
}
