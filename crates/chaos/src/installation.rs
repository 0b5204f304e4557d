//! An installation: one ingest and some dispatchers, on a topic and a database of their own on real services.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use sea_orm::ConnectionTrait;

use crate::process::{Process, Used, free_port, used};
use crate::source;

/// How many partitions the topic has.
pub const PARTITIONS: u32 = 8;

/// How long ingest may take to bring its spool to the topic.
const DRAIN: Duration = Duration::from_secs(120);
/// How much later it must have ended.
const END: Duration = Duration::from_secs(10);

/// Everything that runs; it is killed when it is dropped.
#[derive(Debug)]
pub struct Installation {
    /// Where files go.
    directory: tempfile::TempDir,
    /// The settings of all.
    settings: Vec<(&'static str, String)>,
    /// The way in.
    ingest: Process,
    /// Ingest's port.
    pub port: u16,
    /// The dispatchers.
    dispatchers: Vec<Process>,
}

impl Installation {
    /// Starts ingest; dispatchers will deliver to that target under a limit per second, with these settings too. The programs are
    /// found beside the directory of the example that asks.
    ///
    /// # Errors
    /// The services or the programs are not there, or ingest cannot be started.
    pub async fn start(target: SocketAddr, limit: u32, further: &[(&'static str, String)]) -> anyhow::Result<Self> {
        let (kafka, admin) = (variable("TEST_KAFKA_URL")?, variable("TEST_DATABASE_URL")?);
        let name = format!("installation_{}", uuid::Uuid::new_v4().simple());
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
            ("PROXY_SERVICE_TEST_USERS_DATA", source::accounts()?),
            ("AUTH_ACCESS_TOKEN_SECRET", "b1946ac92492d2347c6235b4d2611184".to_owned()),
            ("AUTH_ACCESS_TOKEN_EXPIRES_IN_SEC", "3600".to_owned()),
            // The backlog comes as fast as it can.
            ("RATE_LIMIT_REQUESTS_PER_INTERVAL", "1000000".to_owned()),
            ("STOP_GRACE_MS", DRAIN.as_millis().to_string()),
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
    ///
    /// # Errors
    /// One cannot be started.
    pub fn scale(&mut self, dispatchers: u32) -> anyhow::Result<()> {
        while self.dispatchers.len() < usize::try_from(dispatchers)? {
            let name = format!("dispatcher-{}", self.dispatchers.len());
            self.dispatchers.push(start("dispatcher", &name, self.directory.path(), &self.settings)?);
        }
        Ok(())
    }

    /// Lets ingest end; all that it accepted is then on the topic.
    ///
    /// # Errors
    /// It did not end well, or with events that are not on the topic.
    pub async fn drain(&mut self) -> anyhow::Result<()> {
        self.ingest.signal("TERM").context("stop ingest")?;
        let status = self.ingest.ended(DRAIN + END).await.context("wait for ingest")?.context("ingest does not end")?;
        ensure!(status.success(), "ingest ended with {status}");
        let told = self.ingest.written().context("read ingest's log")?;
        ensure!(told.contains(r#""unpublished":0"#), "ingest ended before all of its spool was on the topic");
        Ok(())
    }

    /// The number of the process of the first dispatcher.
    ///
    /// # Errors
    /// There is none.
    pub fn dispatcher(&self) -> anyhow::Result<u32> {
        Ok(self.dispatchers.first().context("find a dispatcher")?.id())
    }

    /// The numbers of the processes of ingest and of the first dispatcher.
    ///
    /// # Errors
    /// There is no dispatcher.
    pub fn pods(&self) -> anyhow::Result<[u32; 2]> {
        Ok([self.ingest.id(), self.dispatcher()?])
    }

    /// What ingest and the first dispatcher have used.
    ///
    /// # Errors
    /// One of them does not run.
    pub fn used(&self) -> anyhow::Result<[Used; 2]> {
        let [ingest, dispatcher] = self.pods()?;
        Ok([used(ingest)?, used(dispatcher)?])
    }
}

/// Starts a program of the product that was built beside this example.
fn start(program: &str, name: &str, directory: &Path, settings: &[(&'static str, String)]) -> anyhow::Result<Process> {
    let this = std::env::current_exe().context("find this program")?;
    let built = this.parent().and_then(Path::parent).context("find the build's directory")?;
    let path = built.join(program);
    ensure!(path.exists(), "{} is not there: build it first", path.display());
    let admin_port = free_port().context("find a free port")?.to_string();
    let shared = settings.iter().map(|(key, value)| (*key, value.as_str()));
    let own = [("ADMIN_PORT", admin_port.as_str()), ("CONTAINER_APP_REPLICA_NAME", name)];
    let log = directory.join(format!("{name}.log"));
    Process::start(&mut Command::new(path), &log, shared.chain(own)).with_context(|| format!("start {program}"))
}

/// A variable that names a real service.
fn variable(name: &str) -> anyhow::Result<String> {
    let found = std::env::vars_os().find(|(key, _)| key == name).and_then(|(_, value)| value.into_string().ok());
    found.with_context(|| format!("{name} is not set: run `make scale` or `make bench-kafka`"))
}
