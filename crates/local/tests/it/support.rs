//! Starts the product's processes, sends events to them, and keeps what the target saw.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;
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
    /// The process.
    process: chaos::process::Process,
    /// Its name.
    name: &'static str,
}

impl Process {
    /// Starts a binary with these settings and nothing else in its environment; its output goes to a file.
    pub(crate) fn start(name: &'static str, directory: &Path, settings: &[(&str, String)], args: &[&str]) -> Self {
        Self::start_of(&binary(name), name, directory, (settings, args))
    }

    /// Starts the binary that lies there in the same way.
    pub(crate) fn start_of(binary: &Path, name: &'static str, directory: &Path, (settings, args): (&[(&str, String)], &[&str])) -> Self {
        let pairs = settings.iter().map(|(key, value)| (*key, value.as_str()));
        let mut command = Command::new(binary);
        let process = chaos::process::Process::start(command.args(args), &directory.join(format!("{name}.log")), pairs).unwrap();
        Self { process, name }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal).unwrap();
    }

    /// Asks it to end by a signal and waits for it.
    pub(crate) async fn end(&mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.ended().await
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = self.process.ended(PATIENCE).await.unwrap();
        ended.unwrap_or_else(|| panic!("{} does not end", self.name))
    }

    /// What it wrote so far.
    pub(crate) fn written(&self) -> String {
        self.process.written().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
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

/// Starts `events-proxy` on the directory `data` in that one, without its simulators.
pub(crate) fn embedded(directory: &Path, settings: &[(&str, String)]) -> Process {
    let data = directory.join("data");
    Process::start("events-proxy", directory, settings, &["--no-source", "--no-target", "--data-dir", data.to_str().unwrap()])
}

/// Starts a simulator alone.
pub(crate) fn simulator(name: &'static str, directory: &Path, settings: &[(&str, String)]) -> Process {
    Process::start_of(&binary("events-proxy"), name, directory, (settings, &[name]))
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    chaos::process::free_port().unwrap()
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "after {PATIENCE:?} still not: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The accounts' setting with the one account.
pub(crate) fn accounts() -> String {
    chaos::source::accounts().unwrap()
}

/// A source that is logged in.
#[derive(Clone)]
pub(crate) struct Source(chaos::source::Source);

impl Source {
    /// Logs in, waiting for the API to be there.
    pub(crate) async fn log_in(port: u16) -> Self {
        Self(chaos::source::Source::log_in(port, PATIENCE, Duration::from_secs(5)).await.unwrap())
    }

    /// Sends an event once; tells the status, or nothing when there was no answer.
    pub(crate) async fn send(&self, id: &str, trace: Option<&str>) -> Option<u16> {
        self.0.send(id, trace).await
    }

    /// Sends any event once; tells the status.
    pub(crate) async fn send_event(&self, event: &Value) -> Option<u16> {
        self.0.send_event(event, None).await
    }

    /// Its access token.
    pub(crate) fn token(&self) -> &str {
        self.0.token()
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
        self.0.look_up(id).await
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

    /// How many requests it received.
    pub(crate) fn received(&self) -> u64 {
        self.target.numbers().received
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

/// What `make test` says of a service that it has brought up; a test that needs it fails without it.
pub(crate) fn told(name: &str) -> String {
    let value = std::env::vars_os().find(|(key, _)| key == name).and_then(|(_, value)| value.into_string().ok());
    value.unwrap_or_else(|| panic!("{name} is not set: run `make test`, which brings the services up"))
}

/// Finds the services; a test that needs them fails without them.
pub(crate) async fn services() -> Services {
    let (kafka, admin) = (told("TEST_KAFKA_URL"), told("TEST_DATABASE_URL"));
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

    /// The settings of processes that share them: what they stand on, who may send, and the key of tokens.
    pub(crate) fn shared(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.settings();
        settings.extend([
            ("PROXY_SERVICE_TEST_USERS_DATA", accounts()),
            ("AUTH_ACCESS_TOKEN_SECRET", "b1946ac92492d2347c6235b4d2611184".to_owned()),
            ("AUTH_ACCESS_TOKEN_EXPIRES_IN_SEC", "600".to_owned()),
        ]);
        settings
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
