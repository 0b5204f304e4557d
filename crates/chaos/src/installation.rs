//! The processes: one ingest and some dispatchers, on a topic and a database of their own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use chaos::process::{Process, Used, free_port, used};
use sea_orm::ConnectionTrait;

/// How many partitions the topic has.
pub(crate) const PARTITIONS: u32 = 8;

/// Everything that runs; it is killed when it is dropped.
pub(crate) struct Cluster {
    /// Where files go.
    directory: tempfile::TempDir,
    /// The settings of all.
    settings: Vec<(&'static str, String)>,
    /// The way in.
    ingest: Process,
    /// Ingest's port.
    pub(crate) port: u16,
    /// The dispatchers.
    dispatchers: Vec<Process>,
}

impl Cluster {
    /// Starts ingest; dispatchers will deliver to that target under a limit per second, with these settings too.
    pub(crate) async fn start(target: SocketAddr, limit: u32, further: &[(&'static str, String)]) -> anyhow::Result<Self> {
        let (kafka, admin) = (variable("TEST_KAFKA_URL")?, variable("TEST_DATABASE_URL")?);
        let name = format!("scale_{}", uuid::Uuid::new_v4().simple());
        let connection = sea_orm::Database::connect(&admin).await.context("reach PostgreSQL")?;
        connection.execute_unprepared(&format!("CREATE DATABASE {name}")).await.context("make a database")?;
        let (server, _) = admin.rsplit_once('/').context("read TEST_DATABASE_URL")?;
        let directory = tempfile::tempdir().context("make a directory")?;
        let port = free_port().context("find a free port")?;
        let mut settings = vec![
            ("QUEUE_TYPE", "Kafka".to_owned()),
            ("QUEUE_URL", kafka),
            ("QUEUE_TOPIC", name.clone()),
            ("QUEUE_PARTITIONS", PARTITIONS.to_string()),
            ("USER_REPOSITORY_TYPE", "Postgres".to_owned()),
            ("USER_REPOSITORY_URL", format!("{server}/{name}")),
            ("PORT", port.to_string()),
            ("PROXY_SERVICE_TEST_USERS_DATA", chaos::source::accounts()?),
            ("AUTH_ACCESS_TOKEN_SECRET", "b1946ac92492d2347c6235b4d2611184".to_owned()),
            ("AUTH_ACCESS_TOKEN_EXPIRES_IN_SEC", "3600".to_owned()),
            // The backlog comes as fast as it can.
            ("RATE_LIMIT_REQUESTS_PER_INTERVAL", "1000000".to_owned()),
            ("SPOOL_DIR", directory.path().join("spool").display().to_string()),
            ("TARGET_SERVICE_GRAPHQL_URL", format!("http://{target}/graphql")),
            ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "1000".to_owned()),
            ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", limit.to_string()),
        ];
        settings.extend_from_slice(further);
        let ingest = start("ingest", "ingest", directory.path(), &settings)?;
        Ok(Self { directory, settings, ingest, port, dispatchers: Vec::new() })
    }

    /// Starts dispatchers until there are so many.
    pub(crate) fn scale(&mut self, dispatchers: u32) -> anyhow::Result<()> {
        while self.dispatchers.len() < usize::try_from(dispatchers)? {
            let name = format!("dispatcher-{}", self.dispatchers.len());
            self.dispatchers.push(start("dispatcher", &name, self.directory.path(), &self.settings)?);
        }
        Ok(())
    }

    /// The numbers of the processes of ingest and of the first dispatcher.
    pub(crate) fn pods(&self) -> anyhow::Result<[u32; 2]> {
        Ok([self.ingest.id(), self.dispatchers.first().context("find a dispatcher")?.id()])
    }

    /// What ingest and the first dispatcher have used.
    pub(crate) fn used(&self) -> anyhow::Result<[Used; 2]> {
        let [ingest, dispatcher] = self.pods()?;
        Ok([used(ingest)?, used(dispatcher)?])
    }
}

/// Starts a program of the product that was built beside this one.
fn start(program: &str, name: &str, directory: &Path, settings: &[(&'static str, String)]) -> anyhow::Result<Process> {
    let this = std::env::current_exe().context("find this program")?;
    let built = this.parent().and_then(Path::parent).context("find the build's directory")?;
    let admin_port = free_port().context("find a free port")?.to_string();
    let shared = settings.iter().map(|(key, value)| (*key, value.as_str()));
    let own = [("ADMIN_PORT", admin_port.as_str()), ("CONTAINER_APP_REPLICA_NAME", name)];
    let log = directory.join(format!("{name}.log"));
    Process::start(&mut Command::new(built.join(program)), &log, shared.chain(own)).with_context(|| format!("start {program}"))
}

/// A variable that names a real service.
fn variable(name: &str) -> anyhow::Result<String> {
    let found = std::env::vars_os().find(|(key, _)| key == name).and_then(|(_, value)| value.into_string().ok());
    found.with_context(|| format!("{name} is not set: run `make scale`"))
}
