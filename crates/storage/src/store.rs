//! The store itself: connections, transactions, and the bounds on both.
//!
//! ```text
//! SQLite file       one connection for writes that last and one for those that need no fsync, in turn; several readers (WAL)
//! SQLite in memory  one connection for everything, kept for ever: the database lives in it
//! PostgreSQL        one pool; connections are made when first needed
//! ```
//! A transaction that met other writers is run again, at most [`TRIES_MAX`] times. A call whose outcome is unknown
//! (connection lost, no answer in time) is never repeated here: all writes may be repeated by the caller.

use std::fmt;
use std::fs::OpenOptions;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, Connection};
use sea_orm::{
    ConnAcquireErr, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, QueryResult,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::Error;

/// How often one transaction is tried while other writers are in its way.
const TRIES_MAX: u32 = 5;
/// The wait before the second try; it doubles from try to try.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
/// How long PostgreSQL works on one statement before it gives up.
const STATEMENT_MAX: Duration = Duration::from_secs(10);
/// How long PostgreSQL waits for the next statement of a transaction before it rolls it back. A client that vanished
/// without a word would hold its locks until TCP notices, two hours later; so they go before those who wait give up.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// How long a call waits for an answer once it has a connection, tries and their waits included.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// How long it may take to look through whole tables.
const LOOK_MAX: Duration = Duration::from_secs(600);
/// How long a connection may take to show that it is alive before it is thrown away.
const ALIVE_MAX: Duration = Duration::from_secs(1);
/// How many prepared statements a PostgreSQL connection keeps. One of some hundred rows takes the server 0.4 MB.
const STATEMENTS_KEPT: usize = 32;
/// After how many pages, of 4 KiB, SQLite copies its write-ahead log into the file: a page that many commits change is copied once.
const WAL_PAGES: &str = "4000";
/// How much of its file SQLite keeps in memory for a connection that reads, in KiB below zero: its own default.
const READER_CACHE: &str = "-2000";
/// The same for each of the two that write: what a transaction changes lies all over the indexes, and pages that do not fit are read again, or
/// written before it ends. A database in memory is all there, whatever this says.
const WRITER_CACHE: &str = "-8000";

const _: () = assert!(SILENCE_MAX.as_secs() < STATEMENT_MAX.as_secs(), "a vanished client's locks go before a waiting statement");
const _: () = assert!(STATEMENT_MAX.as_secs() < ANSWER_MAX.as_secs(), "the server gives up first and says why");

/// Where the database is and how many connections it may be asked for.
#[derive(Clone)]
pub struct Options {
    /// `sqlite://path?mode=rwc`, `sqlite::memory:` or `postgres://…`.
    pub url: String,
    /// The most connections; on SQLite the most readers.
    pub max_connections: u32,
    /// How long a call waits for a connection, and on SQLite for another process' write.
    pub acquire_timeout: Duration,
}

impl fmt::Debug for Options {
    /// Hides the URL: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .finish_non_exhaustive()
    }
}

/// Says whether whoever is on the way to the database can neither read along nor pose as it: it is a file, it is on this machine, or TLS
/// checks its certificate. A URL that cannot be read is guarded, for it leads nowhere.
#[must_use]
pub fn is_guarded(url: &str) -> bool {
    let Ok(Place::Server) = Place::of(url) else { return true };
    let Ok(server) = PgConnectOptions::from_str(url) else { return true };
    let host = server.get_host();
    let of_this_machine = server.get_socket().is_some()
        || host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    of_this_machine || matches!(server.get_ssl_mode(), PgSslMode::VerifyFull | PgSslMode::VerifyCa)
}

/// The file of a database that is one, and that only processes of this machine can use.
#[must_use]
pub fn file(url: &str) -> Option<PathBuf> {
    let Ok(Place::File) = Place::of(url) else { return None };
    SqliteConnectOptions::from_str(url).ok().map(|options| options.get_filename().to_owned())
}

/// What is remembered. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct Store {
    /// For single statements that only read.
    read: DatabaseConnection,
    /// For all that is written to last.
    write: DatabaseConnection,
    /// For what waits for no fsync: see [`Transact::LASTS`].
    passing: DatabaseConnection,
    /// Transactions of a SQLite file go one after the other. Those who meet without it, as other processes do, poll for their turn.
    turn: Option<Arc<Mutex<()>>>,
    /// How long a call waits for a connection.
    acquire_timeout: Duration,
}

/// An answer on its way. On the heap for one reason: what is behind it, all of sea-orm and its drivers, is compiled in this crate
/// alone, and not once more wherever an answer is awaited.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("backend", &self.read.get_database_backend()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store. An absent PostgreSQL is no error here; the first call that needs it fails instead.
    ///
    /// # Errors
    /// [`Error::Url`] when the URL cannot be used; any other when SQLite's file cannot be opened.
    pub fn connect(options: &Options) -> Answer<'_, Self> {
        Box::pin(async move {
            let acquire_timeout = options.acquire_timeout;
            let shared =
                |pool: DatabaseConnection| Self { read: pool.clone(), write: pool.clone(), passing: pool, turn: None, acquire_timeout };
            match Place::of(&options.url)? {
                Place::Memory => {
                    let mut only = sqlite(options, 1, WRITER_CACHE, SqliteSynchronous::Full);
                    open(only.idle_timeout(None).max_lifetime(None).min_connections(1)).await.map(shared)
                }
                Place::File => {
                    make_ours(&options.url);
                    Ok(Self {
                        write: open(&sqlite(options, 1, WRITER_CACHE, SqliteSynchronous::Full)).await?,
                        passing: open(&sqlite(options, 1, WRITER_CACHE, SqliteSynchronous::Normal)).await?,
                        read: open(&sqlite(options, options.max_connections, READER_CACHE, SqliteSynchronous::Full)).await?,
                        turn: Some(Arc::default()),
                        acquire_timeout,
                    })
                }
                Place::Server => open(&postgres(options)).await.map(shared),
            }
        })
    }

    /// Says whether the database answers.
    ///
    /// # Errors
    /// [`Error`] when it does not.
    pub fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async move { self.answer(self.read.ping()).await })
    }

    /// Whether other processes on other machines may use the same database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.read.get_database_backend() == DbBackend::Postgres
    }

    /// The connection for statements that only read; they are waited for by [`Self::answer`].
    pub(crate) const fn reader(&self) -> &DatabaseConnection {
        &self.read
    }

    /// The connection for single statements that write; they are waited for by [`Self::answer`] too.
    pub(crate) const fn writer(&self) -> &DatabaseConnection {
        &self.write
    }

    /// Waits for a single statement within the bound of a call.
    pub(crate) async fn answer<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, Error> {
        bounded(self.acquire_timeout + ANSWER_MAX, async { statement.await.map_err(Error::judge) }).await
    }

    /// Waits for a statement that reads through whole tables, for somebody who asked for that.
    pub(crate) async fn look_through(&self, select: Statement) -> Result<Vec<QueryResult>, Error> {
        bounded(self.acquire_timeout + LOOK_MAX, async {
            let transaction = self.read.begin().await.map_err(Error::judge)?;
            if self.is_shared() {
                let bound = format!("SET LOCAL statement_timeout = {}", LOOK_MAX.as_millis());
                transaction.execute_unprepared(&bound).await.map_err(Error::judge)?;
            }
            transaction.query_all_raw(select).await.map_err(Error::judge)
        })
        .await
    }

    /// Runs a transaction within the bound of a call; again if other writers were in its way. What it answers lasts if it says so.
    pub(crate) async fn write<T: Transact + ?Sized>(&self, work: &T) -> Result<T::Outcome, Error> {
        self.write_within(ANSWER_MAX, work).await
    }

    /// As [`Self::write`], with a bound of its own.
    pub(crate) async fn write_within<T: Transact + ?Sized>(&self, bound: Duration, work: &T) -> Result<T::Outcome, Error> {
        bounded(self.acquire_timeout + bound, async {
            let mut wait = BACKOFF_MIN;
            for _ in 1..TRIES_MAX {
                match self.once(work).await.map_err(Error::judge) {
                    Err(Error::Contended(_)) => tokio::time::sleep(wait).await,
                    outcome => return outcome,
                }
                wait *= 2;
            }
            self.once(work).await.map_err(Error::judge)
        })
        .await
    }

    /// One try of a transaction.
    async fn once<T: Transact + ?Sized>(&self, work: &T) -> Result<T::Outcome, DbErr> {
        let _turn = match &self.turn {
            Some(turn) => {
                let turn = timeout(self.acquire_timeout, turn.lock()).await;
                Some(turn.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))?)
            }
            None => None,
        };
        let writer = if T::LASTS { &self.write } else { &self.passing };
        // SQLite: a transaction that begins by reading and then writes cannot wait for another writer, it fails.
        let options = TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() };
        let transaction = writer.begin_with_options(options).await?;
        if !T::LASTS && self.is_shared() {
            transaction.execute_unprepared("SET LOCAL synchronous_commit = off").await?;
        }
        match work.run(&transaction).await {
            Ok(outcome) => transaction.commit().await.map(|()| outcome),
            Err(error) => {
                // What failed is the work; a failed rollback means the connection is gone, and the work with it.
                drop(transaction.rollback().await);
                Err(error)
            }
        }
    }
}

/// What is done in one transaction. It may be run several times; only the last run counts.
pub(crate) trait Transact: Sync {
    /// What comes of it.
    type Outcome: Send;

    /// Whether it is on the database's disk when its commit is answered. Where not, the commit waits for no fsync, and a power cut of the
    /// machine, or a crash of a server, may undo it: whole, and only until the next one that lasts takes it along.
    const LASTS: bool = true;

    /// Does it, short of the commit.
    fn run(&self, transaction: &DatabaseTransaction) -> impl Future<Output = Result<Self::Outcome, DbErr>> + Send;
}

/// Waits for a call at most so long.
async fn bounded<T>(bound: Duration, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    // On the heap: the futures of some statements are large.
    timeout(bound, Box::pin(call)).await.unwrap_or(Err(Error::TooSlow(bound)))
}

/// What kind of database a URL names.
enum Place {
    /// SQLite in this process' memory.
    Memory,
    /// SQLite in a file.
    File,
    /// PostgreSQL.
    Server,
}

impl Place {
    /// Reads the URL. What is wrong with it is said without its text, for it may hold a password.
    fn of(url: &str) -> Result<Self, Error> {
        match url.split_once(':') {
            Some(("sqlite", _)) if SqliteConnectOptions::from_str(url).is_err() => Err(Error::Url("it is no SQLite URL")),
            Some(("sqlite", rest)) if rest.contains(":memory:") || rest.contains("mode=memory") => Ok(Self::Memory),
            Some(("sqlite", _)) => Ok(Self::File),
            Some(("postgres" | "postgresql", _)) if PgConnectOptions::from_str(url).is_err() => Err(Error::Url("it is no PostgreSQL URL")),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Server),
            _ => Err(Error::Url("it must begin with sqlite: or postgres:")),
        }
    }
}

/// What both databases need.
fn common(options: &Options, connections: u32) -> ConnectOptions {
    let mut pool = ConnectOptions::new(&options.url);
    pool.max_connections(connections.max(1)).acquire_timeout(options.acquire_timeout).sqlx_logging(false).record_stmt_in_spans(false);
    pool
}

/// SQLite with a write-ahead log. A commit is on the disk when it returns if the connections are fully synchronous, else with a later one.
fn sqlite(options: &Options, connections: u32, cache: &'static str, synchronous: SqliteSynchronous) -> ConnectOptions {
    let busy_timeout = options.acquire_timeout;
    let mut pool = common(options, connections);
    // A connection to a file does not die by itself, and what undoes a statement halfway needs no file.
    pool.test_before_acquire(false).map_sqlx_sqlite_opts(move |sqlite| {
        let sqlite = sqlite.journal_mode(SqliteJournalMode::Wal).synchronous(synchronous).pragma("temp_store", "memory");
        sqlite.pragma("wal_autocheckpoint", WAL_PAGES).pragma("cache_size", cache).busy_timeout(busy_timeout).foreign_keys(true)
    });
    pool
}

/// Makes SQLite's file for nobody but our user, where SQLite would make it as the umask lets it; its write-ahead log takes the same mode.
/// What goes wrong here is told when SQLite opens it.
fn make_ours(url: &str) {
    let Ok(file) = SqliteConnectOptions::from_str(url) else { return };
    if url.contains("mode=rwc") {
        drop(OpenOptions::new().write(true).create_new(true).mode(0o600).open(file.get_filename()));
    }
}

/// PostgreSQL, connected to when first needed.
fn postgres(options: &Options) -> ConnectOptions {
    let mut pool = common(options, options.max_connections);
    pool.connect_lazy(true).test_before_acquire(false).map_sqlx_postgres_opts(|server| {
        let bounds = [("statement_timeout", STATEMENT_MAX), ("idle_in_transaction_session_timeout", SILENCE_MAX)];
        let bounds = bounds.map(|(name, bound)| (name, bound.as_millis().to_string()));
        server.statement_cache_capacity(STATEMENTS_KEPT).options(bounds)
    });
    // sqlx asks without a bound whether a connection is alive. Behind a broken network a call would wait for each dead
    // one until its own time is over, and those given back would hold their places in the pool for a quarter of an hour.
    let bound = ALIVE_MAX.min(options.acquire_timeout / 4);
    pool.map_sqlx_postgres_pool_opts(move |pool| {
        pool.before_acquire(move |connection, _| Box::pin(alive(connection, bound)))
            .after_release(move |connection, _| Box::pin(alive(connection, bound)))
    });
    pool
}

/// Says whether a connection answers; an error makes the pool throw it away.
async fn alive(connection: &mut PgConnection, bound: Duration) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(bound, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

/// Opens a pool.
async fn open(pool: &ConnectOptions) -> Result<DatabaseConnection, Error> {
    Database::connect(pool.clone()).await.map_err(Error::judge)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
