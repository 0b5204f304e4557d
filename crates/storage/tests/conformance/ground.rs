//! Where a law is judged: a database of its own, gone after the test.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Database};
use storage::{Options, Store};
use tempfile::TempDir;

/// A database that nobody else uses.
pub(crate) struct Ground {
    /// The store on it, migrated.
    pub(crate) store: Store,
    /// How to open another.
    pub(crate) options: Options,
    /// What removes it at the end.
    _remains: Remains,
}

/// What a database leaves behind when it is dropped: nothing.
pub(crate) enum Remains {
    /// It was in memory.
    Nothing,
    /// Its directory goes.
    Directory(#[expect(dead_code, reason = "held for its drop")] TempDir),
    /// Its schema goes.
    Schema(#[expect(dead_code, reason = "held for its drop")] Schema),
}

impl Ground {
    /// SQLite in memory.
    pub(crate) async fn memory() -> Self {
        Self::migrated(options("sqlite::memory:"), Remains::Nothing).await
    }

    /// SQLite in a file.
    pub(crate) async fn file() -> Self {
        let (options, remains) = bare_file();
        Self::migrated(options, remains).await
    }

    /// A schema of the PostgreSQL at TEST_DATABASE_URL.
    pub(crate) async fn server() -> Self {
        let (options, remains) = bare_server().await;
        Self::migrated(options, remains).await
    }

    /// Another store on the same database, as another process would have it.
    pub(crate) async fn another(&self) -> Store {
        Store::connect(&self.options).await.unwrap()
    }

    /// Runs statements beside the store.
    pub(crate) async fn run(&self, sql: &str) {
        let beside = Database::connect(&self.options.url).await.unwrap();
        beside.execute_unprepared(sql).await.unwrap();
        beside.close().await.unwrap();
    }

    async fn migrated(options: Options, remains: Remains) -> Self {
        let store = Store::connect(&options).await.unwrap();
        store.migrate().await.unwrap();
        Self { store, options, _remains: remains }
    }
}

fn bare_file() -> (Options, Remains) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.db");
    (options(&format!("sqlite://{}?mode=rwc", path.display())), Remains::Directory(directory))
}

async fn bare_server() -> (Options, Remains) {
    let schema = Schema::create().await;
    (options(&schema.url), Remains::Schema(schema))
}

/// Options for a test.
pub(crate) fn options(url: &str) -> Options {
    Options { url: url.to_owned(), max_connections: 4, acquire_timeout: Duration::from_secs(10) }
}

/// A schema of its own in the test database.
pub(crate) struct Schema {
    /// Opens the database with this schema alone in sight.
    url: String,
    /// Opens the database as it is.
    server: String,
    /// The schema's name.
    name: String,
}

impl Schema {
    async fn create() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the database of the tests is the one setting that tests have")]
        let server = std::env::var("TEST_DATABASE_URL")
            .unwrap_or_else(|_| panic!("TEST_DATABASE_URL names no PostgreSQL: run the tests by `make test`, which starts one"));
        let unique = tempfile::Builder::new().prefix("storage_").rand_bytes(12).tempdir().unwrap();
        let name = unique.path().file_name().unwrap().to_str().unwrap().to_lowercase();
        let database = Database::connect(&server).await.unwrap();
        database.execute_unprepared(&format!("CREATE SCHEMA {name}")).await.unwrap();
        database.close().await.unwrap();
        let joint = if server.contains('?') { '&' } else { '?' };
        Self { url: format!("{server}{joint}options[search_path]={name}"), server, name }
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // In a thread with a runtime of its own: this one may be unwinding.
        let dropping = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let database = Database::connect(&server).await.unwrap();
                database.execute_unprepared(&format!("DROP SCHEMA {name} CASCADE")).await.unwrap();
            });
        });
        drop(dropping.join());
    }
}
