//! The kinds of columns that all steps use, spelled alike for both databases.

use sea_orm::DbBackend;
use sea_orm::sea_query::{ColumnDef, Index, Table, TableCreateStatement};

/// Writes columns alike for both databases.
pub(super) struct Columns {
    /// The database.
    pub(super) backend: DbBackend,
}

impl Columns {
    /// A text column that compares by bytes, as SQLite does, so that pages break at the same rows everywhere.
    pub(super) fn text(&self, name: &'static str) -> ColumnDef {
        let mut column = ColumnDef::new(name);
        column.text();
        if self.backend == DbBackend::Postgres {
            column.extra("COLLATE \"C\"");
        }
        column
    }

    /// A table with its primary key; further columns follow.
    pub(super) fn keyed(name: &'static str, columns: &mut [ColumnDef]) -> TableCreateStatement {
        let mut table = Table::create();
        let mut key = Index::create();
        table.table(name);
        for column in columns {
            key.col(column.get_column_name());
            table.col(column.not_null());
        }
        table.primary_key(&mut key).take()
    }
}

/// A BIGINT column.
pub(super) fn number(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().take()
}

/// A BLOB or BYTEA column.
pub(super) fn bytes(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).blob().take()
}
