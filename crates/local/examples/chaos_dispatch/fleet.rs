//! The processes: one ingest, and as many dispatchers as there shall be at the moment.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How many partitions the topic has.
const PARTITIONS: i64 = 8;
/// How long a take-over is waited for.
const PATIENCE: Duration = Duration::from_secs(40);
/// How many events are sent at once.
const LANES: usize = 16;

/// How a dispatcher ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By SIGKILL.
    Killed,
    /// By SIGSTOP, to wake as a zombie.
    Frozen,
    /// By SIGTERM.
    Stopped,
}

impl End {
    /// In a word.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Frozen => "frozen",
            Self::Stopped => "stopped",
        }
    }
}

/// The end of a dispatcher; times are microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    /// When it came.
    pub(crate) from: i64,
    /// When it was over with it.
    pub(crate) until: i64,
    /// Whether it was told to stop, and no other one ran until it had.
    pub(crate) alone: bool,
}

/// A take-over: what ended, from when its partitions were nobody's in microseconds since 1970, and for how long.
pub(crate) type Gap = (End, i64, Duration);

/// Everything that runs.
pub(crate) struct Fleet {
    /// Where files go.
    directory: PathBuf,
    /// The settings of all.
    settings: Vec<(&'static str, String)>,
    /// The way in.
    ingest: Child,
    /// Ingest's port.
    port: u16,
    /// The dispatchers, by name.
    dispatchers: Vec<(String, Child)>,
    /// How many there ever were.
    named: usize,
    /// Knows the owners.
    database: DatabaseConnection,
    /// Ends so far.
    ends: Vec<Ended>,
    /// Take-overs so far.
    gaps: Vec<Gap>,
}

impl Fleet {
    /// Starts ingest on a topic and a database of its own.
    pub(crate) async fn start(directory: &Path, target: &str, limit: u32) -> anyhow::Result<Self> {
        let kafka = variable("TEST_KAFKA_URL")?;
        let admin = variable("TEST_DATABASE_URL")?;
        let name = format!("chaos_{}", uuid::Uuid::new_v4().simple());
        let connection = sea_orm::Database::connect(&admin).await.context("reach PostgreSQL")?;
        connection.execute_unprepared(&format!("CREATE DATABASE {name}")).await.context("make a database")?;
        let (server, _) = admin.rsplit_once('/').context("read TEST_DATABASE_URL")?;
        let url = format!("{server}/{name}");
        let port = free_port()?;
        let hash = bcrypt::hash("secret of the shop", 4).context("hash")?;
        let settings = vec![
            ("QUEUE_TYPE", "Kafka".to_owned()),
            ("QUEUE_URL", kafka),
            ("QUEUE_TOPIC", name),
            ("QUEUE_PARTITIONS", PARTITIONS.to_string()),
            ("USER_REPOSITORY_TYPE", "Postgres".to_owned()),
            ("USER_REPOSITORY_URL", url.clone()),
            ("PORT", port.to_string()),
            ("PROXY_SERVICE_TEST_USERS_DATA", json!([{ "id": "source-1", "authId": "shop", "secret": hash }]).to_string()),
            ("AUTH_ACCESS_TOKEN_SECRET", "b1946ac92492d2347c6235b4d2611184".to_owned()),
            ("AUTH_ACCESS_TOKEN_EXPIRES_IN_SEC", "3600".to_owned()),
            ("SPOOL_DIR", directory.join("spool").display().to_string()),
            ("TARGET_SERVICE_GRAPHQL_URL", target.to_owned()),
            ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "1000".to_owned()),
            ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", limit.to_string()),
            ("ACCEPT_TIMEOUT_MS", "5000".to_owned()),
            ("RATE_LIMIT_REQUESTS_PER_INTERVAL", "1000000".to_owned()),
            ("DELIVERY_PARK_MIN_MS", "1000".to_owned()),
            ("DELIVERY_ATTEMPTS_MAX", "1000".to_owned()),
        ];
        let ingest = process("ingest", "ingest", directory, &settings)?;
        let database = sea_orm::Database::connect(&url).await.context("reach the database")?;
        let (dispatchers, ends, gaps) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { directory: directory.to_owned(), settings, ingest, port, dispatchers, named: 0, database, ends, gaps })
    }

    /// Sends so many events, and tells those that were accepted.
    pub(crate) async fn send(&self, events: usize) -> anyhow::Result<HashSet<String>> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().context("make a client")?;
        let api = format!("http://127.0.0.1:{}/api", self.port);
        let credentials = json!({ "authId": "shop", "secret": "secret of the shop" });
        let until = Instant::now() + PATIENCE;
        let session: Value = loop {
            match client.post(format!("{api}/user-sessions")).json(&credentials).send().await {
                Ok(answer) if answer.status() == 201 => break answer.json().await.context("read the session")?,
                _ => ensure!(Instant::now() < until, "ingest does not let the source in"),
            }
            sleep(Duration::from_millis(100)).await;
        };
        let token = session.get("accessToken").and_then(Value::as_str).context("read the token")?.to_owned();
        let mut lanes = JoinSet::new();
        for lane in 0..LANES {
            let (client, api, token) = (client.clone(), api.clone(), token.clone());
            lanes.spawn(async move {
                let mut accepted = Vec::new();
                for number in (lane..events).step_by(LANES) {
                    let id = format!("chaos-{number}");
                    let event = json!({ "id": id, "name": "order placed", "body": "two apples", "timestamp": "2026-01-31T12:00:00Z" });
                    let sent = client.post(format!("{api}/events")).bearer_auth(&token).json(&event).send().await;
                    if sent.is_ok_and(|answer| answer.status() == 202) {
                        accepted.push(id);
                    }
                }
                accepted
            });
        }
        Ok(lanes.join_all().await.into_iter().flatten().collect())
    }

    /// How many dispatchers run.
    pub(crate) fn len(&self) -> usize {
        self.dispatchers.len()
    }

    /// Starts dispatchers, or tells some to stop, until there are so many.
    pub(crate) fn scale(&mut self, count: usize) -> anyhow::Result<()> {
        while self.dispatchers.len() < count {
            self.named += 1;
            let name = format!("d{}", self.named);
            let child = process("dispatcher", &name, &self.directory, &self.settings)?;
            self.dispatchers.push((name, child));
        }
        while self.dispatchers.len() > count {
            let Some((_, mut child)) = self.dispatchers.pop() else { break };
            let at = now()?;
            signal(&child, "TERM")?;
            // The target answers on this runtime meanwhile.
            tokio::task::block_in_place(|| child.wait()).context("wait for a dispatcher")?;
            self.ends.push(Ended { from: at, until: now()?, alone: self.dispatchers.is_empty() });
        }
        Ok(())
    }

    /// Ends a dispatcher and tells how long its partitions were nobody's; starts another in its place, except for a frozen one,
    /// which wakes. `meanwhile` is called now and then.
    pub(crate) async fn end(&mut self, chosen: usize, end: End, sleeps: Duration, meanwhile: impl Fn()) -> anyhow::Result<Duration> {
        let count = self.dispatchers.len();
        let (name, mut child) = self.dispatchers.remove(chosen);
        let (at, alone) = (now()?, self.dispatchers.is_empty());
        let (mut began, mut from) = (Instant::now(), at);
        match end {
            End::Killed => {
                child.kill().context("kill a dispatcher")?;
                child.wait().context("wait for a dispatcher")?;
            }
            End::Frozen => signal(&child, "STOP")?,
            End::Stopped => {
                signal(&child, "TERM")?;
                while child.try_wait().context("wait for a dispatcher")?.is_none() {
                    sleep(Duration::from_millis(20)).await;
                }
                (began, from) = (Instant::now(), now()?);
            }
        }
        if alone {
            self.scale(count)?;
        }
        while self.is_owned_without(&name).await? {
            ensure!(began.elapsed() < PATIENCE, "nobody takes over from {name}");
            sleep(Duration::from_millis(50)).await;
            meanwhile();
        }
        let gap = began.elapsed();
        self.gaps.push((end, from, gap));
        if end == End::Frozen {
            while began.elapsed() < sleeps {
                sleep(Duration::from_secs(1)).await;
                meanwhile();
            }
            signal(&child, "CONT")?;
            self.dispatchers.push((name, child));
        }
        self.ends.push(Ended { from: at, until: now()?, alone: alone && end == End::Stopped });
        self.scale(count)?;
        Ok(gap)
    }

    /// Says whether a partition has no live owner, or still this one.
    async fn is_owned_without(&self, name: &str) -> anyhow::Result<bool> {
        let count = format!(
            "SELECT count(*) FROM dispatch_partition WHERE owner NOT LIKE '{name}/%'
             AND expires_at > EXTRACT(EPOCH FROM clock_timestamp()) * 1000000"
        );
        let row = self.database.query_one_raw(Statement::from_string(DbBackend::Postgres, count)).await.context("ask for owners")?;
        let owned: i64 = row.context("count owners")?.try_get_by_index(0).context("read a count")?;
        Ok(owned < PARTITIONS)
    }

    /// Stops everything.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        self.scale(0)?;
        signal(&self.ingest, "TERM")?;
        self.ingest.wait().context("wait for ingest")?;
        Ok(())
    }

    /// All ends so far.
    pub(crate) fn ends(&self) -> &[Ended] {
        &self.ends
    }

    /// How long take-overs took.
    pub(crate) fn gaps(&self) -> &[Gap] {
        &self.gaps
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in self.dispatchers.iter_mut().map(|(_, child)| child).chain([&mut self.ingest]) {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Starts a binary under a name, with its output in a file.
fn process(binary: &str, name: &str, directory: &Path, settings: &[(&str, String)]) -> anyhow::Result<Child> {
    let this = std::env::current_exe().context("find this program")?;
    let program = this.parent().and_then(Path::parent).context("find the build's directory")?.join(binary);
    let output = std::fs::File::create(directory.join(format!("{name}.log"))).context("make a log file")?;
    Command::new(&program)
        .env_clear()
        .envs(settings.iter().map(|(key, value)| (key, value)))
        .env("ADMIN_PORT", free_port()?.to_string())
        .env("CONTAINER_APP_REPLICA_NAME", name)
        .stdin(Stdio::null())
        .stdout(output)
        .spawn()
        .with_context(|| format!("start {}: build it first", program.display()))
}

/// Sends a signal.
fn signal(child: &Child, signal: &str) -> anyhow::Result<()> {
    let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().context("send a signal")?;
    ensure!(sent.success(), "could not send SIG{signal}");
    Ok(())
}

/// A variable that names a real service.
fn variable(name: &str) -> anyhow::Result<String> {
    let found = std::env::vars_os().find(|(key, _)| key == name).and_then(|(_, value)| value.into_string().ok());
    found.with_context(|| format!("{name} is not set: run `make chaos-dispatch`"))
}

/// The present moment as the target stamps it, in microseconds.
pub(crate) fn now() -> anyhow::Result<i64> {
    #[expect(clippy::disallowed_methods, reason = "compared with the stamps of a program that knows nothing of ours")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("read the clock")?;
    i64::try_from(since.as_micros()).context("read the clock")
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).context("find a free port")?.port())
}
