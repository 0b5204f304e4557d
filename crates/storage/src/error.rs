//! How a call to the store can fail, named by what the caller can do.

use std::time::Duration;

use sea_orm::DbErr;

/// Why the store did not do what it was asked. Every call may be repeated after any of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no database this store can use. Repeating is pointless.
    #[error("use the database URL: {0}")]
    Url(&'static str),
    /// The database cannot be reached, or the connection was lost: whether a write happened is unknown. Repeat later.
    #[error("reach the database")]
    Unavailable(#[source] DbErr),
    /// The database did not answer in time: whether a write happened is unknown. Repeat later.
    #[error("wait for the database longer than {0:?}")]
    TooSlow(Duration),
    /// Other writers were in the way, several times over; nothing was written. Repeat at once or later.
    #[error("write between other writers")]
    Contended(#[source] DbErr),
    /// The database refused the statement; nothing was written. Repeating is pointless before someone has looked.
    #[error("run a statement")]
    Refused(#[source] DbErr),
    /// A stored value cannot be read back. Someone must look.
    #[error("read column `{column}` of table `{table}`")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
}
