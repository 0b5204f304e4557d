//! The step that finds sessions by when they were ended, for those who refuse their access tokens.

use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

/// This step.
pub(super) struct Step;

impl MigrationName for Step {
    fn name(&self) -> &'static str {
        "m0011_ended_sessions"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), sea_orm::DbErr> {
        let index = sea_orm::sea_query::Index::create().name("session_ended_at").table("session").col("ended_at").take();
        manager.create_index(index).await
    }
}
