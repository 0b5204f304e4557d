//! Starts the product's processes, sends events to them, and keeps what the target saw.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long the system may take for anything before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Held by a test that loads the machine, and by one that measures time: those of the first kind run side by side, one of
/// the second kind alone.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// The machine, for a test that loads it.
pub(crate) async fn busy() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

/// The machine, for a test whose result depends on being woken in time.
pub(crate) async fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

/// Where `make test` puts the binaries of the workspace.
pub(crate) fn binary(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_events-proxy")).with_file_name(name);
    assert!(path.exists(), "{} is not built: run `make test`, which builds the whole workspace", path.display());
    path
}

/// A running process of the product; killed when dropped, with its log printed if the test failed.
pub(crate) struct Process {
    /// The child.
    child: Child,
    /// Its name.
    name: &'static str,
    /// Where its output goes.
    log: PathBuf,
}

impl Process {
    /// Starts a binary with these settings and nothing else in its environment; its output goes to a file.
    pub(crate) fn start(name: &'static str, directory: &Path, settings: &[(&str, String)], args: &[&str]) -> Self {
        let log = directory.join(format!("{name}.log"));
        let output = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let child = Command::new(binary(name))
            .args(args)
            .env_clear()
            .envs(settings.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, name, log }
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Asks it to end by a signal and waits for it.
    pub(crate) async fn end(&mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "{} does not end", self.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it wrote so far.
    pub(crate) fn written(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let text = self.written();
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("--- the end of what {} wrote ---", self.name);
            for line in lines.iter().skip(lines.len().saturating_sub(30)) {
                eprintln!("{line}");
            }
        }
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "after {PATIENCE:?} still not: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The account that tests send from.
pub(crate) const AUTH_ID: &str = "shop";
/// Its secret.
pub(crate) const SECRET: &str = "a secret of the shop";

/// The accounts' setting with the one account.
pub(crate) fn accounts() -> String {
    let hash = bcrypt::hash(SECRET, 4).unwrap();
    json!([{ "id": "source-1", "authId": AUTH_ID, "secret": hash }]).to_string()
}

/// A source that is logged in.
#[derive(Clone)]
pub(crate) struct Source {
    /// The client, with the source's patience.
    client: reqwest::Client,
    /// Where the API is.
    api: String,
    /// Its access token.
    token: String,
}

impl Source {
    /// Logs in, waiting for the API to be there.
    pub(crate) async fn log_in(port: u16) -> Self {
        chassis::tls::install();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        let api = format!("http://127.0.0.1:{port}/api");
        let mut token = String::new();
        until("the API lets the source in", async || {
            let asked = client.post(format!("{api}/user-sessions")).json(&json!({ "authId": AUTH_ID, "secret": SECRET })).send().await;
            let Ok(answer) = asked else { return false };
            if answer.status() != 201 {
                return false;
            }
            let session: Value = answer.json().await.unwrap();
            token = session["accessToken"].as_str().unwrap().to_owned();
            true
        })
        .await;
        Self { client, api, token }
    }

    /// Sends an event once; tells the status, or nothing when there was no answer.
    pub(crate) async fn send(&self, id: &str, trace: Option<&str>) -> Option<u16> {
        let event = json!({ "id": id, "name": "order placed", "body": "two apples", "timestamp": "2026-01-31T12:00:00Z" });
        let mut request = self.client.post(format!("{}/events", self.api)).bearer_auth(&self.token).json(&event);
        if let Some(trace) = trace {
            request = request.header("traceparent", trace);
        }
        request.send().await.ok().map(|answer| answer.status().as_u16())
    }

    /// Sends any event once; tells the status.
    pub(crate) async fn send_event(&self, event: &Value) -> Option<u16> {
        let request = self.client.post(format!("{}/events", self.api)).bearer_auth(&self.token).json(event);
        request.send().await.ok().map(|answer| answer.status().as_u16())
    }

    /// Its access token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Sends events with these numbers, so many at a time; tells the ids that were answered with 202.
    pub(crate) async fn send_all(&self, name: &str, numbers: std::ops::Range<usize>, at_once: usize) -> HashSet<String> {
        let mut sending = tokio::task::JoinSet::new();
        for lane in 0..at_once {
            let (source, name, numbers) = (self.clone(), name.to_owned(), numbers.clone());
            sending.spawn(async move {
                let mut accepted = Vec::new();
                for number in numbers.skip(lane).step_by(at_once) {
                    let id = format!("{name}-{number}");
                    if source.send(&id, None).await == Some(202) {
                        accepted.push(id);
                    }
                }
                accepted
            });
        }
        sending.join_all().await.into_iter().flatten().collect()
    }

    /// What the journal says of an event; nothing while it knows none.
    pub(crate) async fn look_up(&self, id: &str) -> Option<Value> {
        let answer = self.client.get(format!("{}/events/{id}", self.api)).bearer_auth(&self.token).send().await.ok()?;
        if answer.status() == 200 { answer.json().await.ok() } else { None }
    }
}

/// A target in this process, which keeps every event it took.
pub(crate) struct Target {
    /// The simulator.
    target: simulators::target::Target,
    /// Where it writes what it took.
    record: PathBuf,
}

impl Target {
    /// Starts one that takes so many requests per second.
    pub(crate) fn start(directory: &Path, requests: u32) -> Self {
        let record = directory.join("target.jsonl");
        let options = simulators::target::Options {
            rate_interval: Duration::from_secs(1),
            rate_requests: requests,
            record_file: Some(record.clone()),
            ..simulators::target::Options::default()
        };
        let target = simulators::target::Target::start(options, listener().0, CancellationToken::new()).unwrap();
        Self { target, record }
    }

    /// Where it takes events.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/graphql", self.target.address())
    }

    /// How many different events it took.
    pub(crate) fn distinct(&self) -> u64 {
        self.target.numbers().distinct
    }

    /// How many requests it refused as too many.
    pub(crate) fn throttled(&self) -> u64 {
        self.target.numbers().throttled
    }

    /// The most requests that arrived in any rolling window.
    pub(crate) fn worst_window(&self) -> u64 {
        self.target.worst_arrivals()
    }

    /// Every event it took.
    pub(crate) fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.record).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until it has each of these events.
    pub(crate) async fn receives(&self, expected: &HashSet<String>) {
        let mut missing = expected.len();
        until("the target has each accepted event", async || {
            let taken: HashSet<String> = self.records().iter().filter_map(|record| record["id"].as_str().map(str::to_owned)).collect();
            let now = expected.difference(&taken).count();
            if now != missing {
                eprintln!("{now} of {} events are missing at the target", expected.len());
                missing = now;
            }
            now == 0
        })
        .await;
    }
}

/// The real services that `make test` has brought up.
pub(crate) struct Services {
    /// Kafka's address.
    kafka: String,
    /// A PostgreSQL database of this test alone.
    database: String,
    /// A topic of this test alone.
    topic: String,
}

/// Finds the services; a test that needs them fails without them.
pub(crate) async fn services() -> Services {
    let variable = |name: &str| std::env::vars_os().find(|(key, _)| key == name).and_then(|(_, value)| value.into_string().ok());
    let expected =
        |name: &str| variable(name).unwrap_or_else(|| panic!("{name} is not set: run `make test`, which brings the services up"));
    let kafka = expected("TEST_KAFKA_URL");
    let admin = expected("TEST_DATABASE_URL");
    let name = format!("it_{}", uuid::Uuid::new_v4().simple());
    let connection = sea_orm::Database::connect(&admin).await.unwrap();
    sea_orm::ConnectionTrait::execute_unprepared(&connection, &format!("CREATE DATABASE {name}")).await.unwrap();
    let (server, _) = admin.rsplit_once('/').unwrap();
    Services { kafka, database: format!("{server}/{name}"), topic: name }
}

impl Services {
    /// The database's URL.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// The settings that make a process use them.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("QUEUE_TYPE", "Kafka".to_owned()),
            ("QUEUE_URL", self.kafka.clone()),
            ("QUEUE_TOPIC", self.topic.clone()),
            ("QUEUE_PARTITIONS", "6".to_owned()),
            ("USER_REPOSITORY_TYPE", "Postgres".to_owned()),
            ("USER_REPOSITORY_URL", self.database.clone()),
        ]
    }
}

/// The first free address on loopback, bound.
pub(crate) fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}
