//! How a call to the store can fail, named by what the caller can do.

use std::time::Duration;

use sea_orm::sqlx::{self, sqlite::SqliteError};
use sea_orm::{DbErr, RuntimeErr};

/// Why the store did not do what it was asked. After any of these a call may be repeated, except [`crate::Store::rotate`],
/// whose second run meets a spent token if the first one's outcome is unknown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no database this store can use. Repeating is pointless.
    #[error("use the database URL: {0}")]
    Url(&'static str),
    /// The database cannot be reached or cannot work, or the connection was lost: whether a write happened is unknown. Repeat later.
    #[error("reach the database")]
    Unavailable(#[source] DbErr),
    /// The database did not answer in time: whether a write happened is unknown. Repeat later.
    #[error("wait for the database longer than {0:?}")]
    TooSlow(Duration),
    /// Other writers were in the way, several times over; nothing was written. Repeat at once or later.
    #[error("write between other writers")]
    Contended(#[source] DbErr),
    /// The partition belongs to another; nothing was written. Let go of the partition at once.
    #[error("write for a partition that belongs to another")]
    Fenced,
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

impl Error {
    /// Judges what the database or its driver said.
    pub(crate) fn judge(error: DbErr) -> Self {
        let fault = if let DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) = &error
        {
            Fault::of(cause)
        } else if matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) {
            Fault::Absent
        } else {
            Fault::Lasting
        };
        match fault {
            Fault::Absent => Self::Unavailable(error),
            Fault::Contention => Self::Contended(error),
            Fault::Lasting => Self::Refused(error),
        }
    }
}

/// What a fault of the driver means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The database cannot be reached or cannot work now.
    Absent,
    /// Another writer was in the way.
    Contention,
    /// The statement, or what it would write, is wrong.
    Lasting,
}

impl Fault {
    /// Judges by the kind of fault, and by the database's own code where it gave one.
    fn of(cause: &sqlx::Error) -> Self {
        use sqlx::Error::{Database, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
        if let Database(said) = cause {
            return match (said.try_downcast_ref::<SqliteError>(), said.code()) {
                (Some(_), Some(code)) => Self::of_sqlite(&code),
                (None, Some(code)) => Self::of_postgres(&code),
                (_, None) => Self::Lasting,
            };
        }
        let absent = matches!(cause, Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed);
        if absent { Self::Absent } else { Self::Lasting }
    }

    /// Judges an extended result code, whose low byte is the primary one. Source: sqlite.org/rescode.html.
    fn of_sqlite(code: &str) -> Self {
        match code.parse::<u32>().map(|code| code & 0xff) {
            // BUSY, LOCKED
            Ok(5 | 6) => Self::Contention,
            // IOERR, FULL, CANTOPEN
            Ok(10 | 13 | 14) => Self::Absent,
            _ => Self::Lasting,
        }
    }

    /// Judges an SQLSTATE. Source: PostgreSQL's documentation, appendix A.
    fn of_postgres(code: &str) -> Self {
        match code {
            // serialization failure, deadlock, lock not available
            "40001" | "40P01" | "55P03" => Self::Contention,
            // a standby that was the primary, a statement that took too long
            "25006" | "57014" => Self::Absent,
            // connection lost, out of resources, shutting down or starting, its disk failing
            _ if ["08", "53", "57P", "58"].iter().any(|class| code.starts_with(class)) => Self::Absent,
            _ => Self::Lasting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DbErr, Error, Fault};

    #[test]
    fn codes_are_judged_by_what_the_caller_can_do() {
        for (code, fault) in
            [("5", Fault::Contention), ("517", Fault::Contention), ("13", Fault::Absent), ("2067", Fault::Lasting), ("", Fault::Lasting)]
        {
            assert_eq!(Fault::of_sqlite(code), fault, "{code}");
        }
        for (code, fault) in [("40P01", Fault::Contention), ("08006", Fault::Absent), ("57P01", Fault::Absent), ("23505", Fault::Lasting)] {
            assert_eq!(Fault::of_postgres(code), fault, "{code}");
        }
    }

    #[test]
    fn an_error_of_the_mapper_is_no_reason_to_repeat() {
        assert!(matches!(Error::judge(DbErr::Custom("odd".to_owned())), Error::Refused(_)));
    }
}
