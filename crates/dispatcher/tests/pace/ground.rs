//! What a test stands on: a simulated target, and a schema of its own in the test database.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use chassis::lifecycle::Tasks;
use chassis::metrics::Registry;
use dispatcher::Slots;
use dispatcher::pace::{Means, Shared, limit};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use simulators::target::{Options, Target};
use storage::Store;
use tokio_util::sync::CancellationToken;

/// The name of the target in the database.
pub(crate) const TARGET: &str = "target";

/// A target with this limit.
pub(crate) fn target(requests: u32, interval: Duration) -> Target {
    let options = Options { rate_requests: requests, rate_interval: interval, ..Options::default() };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    Target::start(options, listener, CancellationToken::new()).unwrap()
}

/// A schema of the test database, gone after the test.
pub(crate) struct Schema {
    /// Opens the database with this schema alone in sight.
    url: String,
    /// Opens the database as it is.
    server: String,
    /// The schema's name.
    name: String,
}

impl Schema {
    /// Makes it, with the tables in it.
    pub(crate) async fn create() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the database of the tests is the one setting that tests have")]
        let server = std::env::var("TEST_DATABASE_URL")
            .unwrap_or_else(|_| panic!("TEST_DATABASE_URL names no PostgreSQL: run the tests by `make test`, which starts one"));
        let name = format!("pace_{:016x}", rand::random::<u64>());
        let schema =
            Self { url: format!("{server}{}options[search_path]={name}", if server.contains('?') { '&' } else { '?' }), server, name };
        schema.run(&format!("CREATE SCHEMA {}", schema.name)).await;
        schema.store().await.migrate().await.unwrap();
        schema
    }

    /// A store on it, as a process of its own would have it.
    pub(crate) async fn store(&self) -> Store {
        let options = storage::Options { url: self.url.clone(), max_connections: 2, acquire_timeout: Duration::from_secs(2) };
        Store::connect(&options).await.unwrap()
    }

    /// The pace of one process of several.
    pub(crate) async fn pace(&self, requests: u32, interval: Duration, tasks: &Tasks) -> Shared {
        let slots = Slots::new(&Registry::new());
        let means = Means { store: self.store().await, target: TARGET.to_owned(), limit: limit(requests, interval).unwrap(), slots };
        Shared::start(means, tasks)
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Removes it.
    pub(crate) async fn remove(self) {
        self.run(&format!("DROP SCHEMA {} CASCADE", self.name)).await;
    }

    /// How many transactions have written to the server so far, this question among them.
    pub(crate) async fn transactions(&self) -> i64 {
        let beside = Database::connect(&self.server).await.unwrap();
        let asked = Statement::from_string(DbBackend::Postgres, "SELECT pg_current_xact_id()::text::bigint");
        let answer = beside.query_one_raw(asked).await.unwrap().unwrap().try_get_by_index(0).unwrap();
        beside.close().await.unwrap();
        answer
    }

    /// Runs a statement beside all stores.
    pub(crate) async fn run(&self, sql: &str) {
        let beside = Database::connect(&self.server).await.unwrap();
        beside.execute_unprepared(sql).await.unwrap();
        beside.close().await.unwrap();
    }
}
