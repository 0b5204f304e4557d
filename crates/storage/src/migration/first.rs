//! The first step: every table.

use sea_orm::sea_query::{ColumnDef, ForeignKey, ForeignKeyAction, Index, IndexOrder, TableCreateStatement};
use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use super::columns::{Columns, bytes, number};

/// This step.
pub(super) struct Step;

impl MigrationName for Step {
    fn name(&self) -> &'static str {
        "m0001_first"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), sea_orm::DbErr> {
        let columns = Columns { backend: manager.get_database_backend() };
        for table in [columns.account(), columns.session(), columns.refresh_token(), columns.journal()] {
            manager.create_table(table).await?;
        }
        for table in [columns.parked(), columns.dead()] {
            manager.create_table(table).await?;
        }
        for (name, table, keys) in INDEXES {
            let mut index = Index::create();
            index.name(*name).table(*table);
            for (column, order) in *keys {
                index.col((*column, order.clone()));
            }
            manager.create_index(index.take()).await?;
        }
        let days = if columns.backend == DbBackend::Postgres {
            // What has no day of its own yet: a row is never refused for want of one.
            "CREATE TABLE journal_rest PARTITION OF journal DEFAULT"
        } else {
            "CREATE INDEX journal_day ON journal (day)"
        };
        manager.get_connection().execute_unprepared(days).await?;
        Ok(())
    }
}

/// A column of an index and its direction.
type Key = (&'static str, IndexOrder);

/// The indexes besides primary keys: name, table, columns.
const INDEXES: &[(&str, &str, &[Key])] = &[
    ("session_expires_at", "session", &[("expires_at", IndexOrder::Asc)]),
    ("refresh_token_session", "refresh_token", &[("session_id", IndexOrder::Asc)]),
    ("journal_received_at", "journal", &[("source_id", IndexOrder::Asc), ("received_at", IndexOrder::Desc), ("event_id", IndexOrder::Asc)]),
    ("journal_newest", "journal", &[("received_at", IndexOrder::Desc), ("source_id", IndexOrder::Asc), ("event_id", IndexOrder::Asc)]),
    ("journal_trace_id", "journal", &[("trace_id", IndexOrder::Asc)]),
    ("journal_state_rank", "journal", &[("state_rank", IndexOrder::Asc), ("received_at", IndexOrder::Asc)]),
    ("parked_due", "parked", &[("topic", IndexOrder::Asc), ("next_attempt_at", IndexOrder::Asc)]),
    ("parked_oldest", "parked", &[("topic", IndexOrder::Asc), ("partition", IndexOrder::Asc), ("received_at", IndexOrder::Asc)]),
    ("dead_died_at", "dead", &[("died_at", IndexOrder::Desc)]),
];

impl Columns {
    /// Who may send events.
    fn account(&self) -> TableCreateStatement {
        Self::keyed("account", &mut [self.text("id")])
            .col(self.text("auth_id").not_null().unique_key())
            .col(self.text("secret_hash").not_null())
            .col(self.text("brand"))
            .take()
    }

    /// Log-ins.
    fn session(&self) -> TableCreateStatement {
        Self::keyed("session", &mut [self.text("id")])
            .col(self.text("account_id").not_null())
            .col(self.text("ip").not_null())
            .col(number("started_at").not_null())
            .col(number("expires_at").not_null())
            .col(number("ended_at"))
            .take()
    }

    /// The tokens of a session; they go with it.
    fn refresh_token(&self) -> TableCreateStatement {
        Self::keyed("refresh_token", &mut [bytes("hash")])
            .col(self.text("session_id").not_null())
            .col(number("expires_at").not_null())
            .col(ColumnDef::new("spent").boolean().not_null())
            .foreign_key(ForeignKey::create().from("refresh_token", "session_id").to("session", "id").on_delete(ForeignKeyAction::Cascade))
            .take()
    }

    /// Where each event is. On PostgreSQL each day of receipt is a table of its own, so that days that are over go at once.
    fn journal(&self) -> TableCreateStatement {
        let mut table = Self::keyed("journal", &mut [self.text("source_id"), self.text("event_id"), number("day")]);
        if self.backend == DbBackend::Postgres {
            table.extra("PARTITION BY RANGE (day)");
        }
        table
            .col(self.text("name").not_null())
            .col(self.text("trace_id").not_null())
            .col(self.text("brand"))
            .col(ColumnDef::new("state_rank").small_integer().not_null())
            .col(number("received_at").not_null())
            .col(number("accepted_at"))
            .col(number("published_at"))
            .col(number("consumed_at"))
            .col(number("settled_at"))
            .col(number("next_attempt_at"))
            .col(number("partition").not_null())
            .col(number("offset").not_null())
            .col(self.text("attempts"))
            .col(self.text("dead_reason"))
            .col(self.text("dead_detail"))
            .take()
    }

    /// Events that wait.
    fn parked(&self) -> TableCreateStatement {
        Self::keyed("parked", &mut [self.text("topic"), number("partition"), number("offset")])
            .col(number("next_attempt_at").not_null())
            .col(number("received_at").not_null())
            .col(number("consumed_at").not_null())
            .col(self.text("attempts").not_null())
            .col(bytes("record_key").not_null())
            .col(bytes("record_payload").not_null())
            .col(bytes("record_headers").not_null())
            .take()
    }

    /// Events that were given up.
    fn dead(&self) -> TableCreateStatement {
        Self::keyed("dead", &mut [self.text("topic"), number("partition"), number("offset")])
            .col(self.text("kind").not_null())
            .col(self.text("reason").not_null())
            .col(self.text("detail").not_null())
            .col(self.text("source_id"))
            .col(self.text("event_id"))
            .col(self.text("name"))
            .col(self.text("trace_id"))
            .col(self.text("brand"))
            .col(number("received_at"))
            .col(number("consumed_at"))
            .col(number("died_at").not_null())
            .col(self.text("attempts").not_null())
            .col(bytes("record_key").not_null())
            .col(bytes("record_payload").not_null())
            .col(bytes("record_headers").not_null())
            .take()
    }
}
