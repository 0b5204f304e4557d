//! One run's own: a topic, a database, a target, the two processes and a source, fresh for each run.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use simulators::target::{self, Target};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ground::Ground;
use crate::load::Load;
use crate::process::{Process, free_port};
use crate::source::{Source, accounts};

/// How long anything may take before a run is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a source waits for an answer; longer than a real one, so that a late answer is seen as such.
const GIVE_UP: Duration = Duration::from_secs(5);
/// How many events per second the target takes.
const TARGET_RATE: u32 = 20_000;
/// How often the target is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The field.
#[derive(Debug)]
pub(crate) struct Field<'a> {
    /// What it stands on.
    pub(crate) ground: &'a Ground,
    /// Its directory.
    pub(crate) dir: PathBuf,
    /// The settings of ingest and dispatcher.
    settings: Vec<(String, String)>,
    /// The public port.
    port: u16,
    /// Ingest's private port.
    admin_port: u16,
    /// The accepting process; none while it is down.
    pub(crate) ingest: Option<Process>,
    /// The delivering process.
    _dispatcher: Process,
    /// Where events go.
    target: Target,
    /// What it wrote of them.
    record: PathBuf,
    /// Ends the target.
    stop: CancellationToken,
    /// How many events a load has per second.
    rate: u32,
}

impl<'a> Field<'a> {
    /// Prepares a field in an empty directory; `extra` are settings of its own.
    pub(crate) async fn prepare(ground: &'a Ground, dir: &Path, rate: u32, extra: &[(&str, String)]) -> anyhow::Result<Self> {
        let name = format!("chaos_{}", uuid::Uuid::new_v4().simple());
        let (record, stop) = (dir.join("target.jsonl"), CancellationToken::new());
        let options = target::Options {
            rate_interval: Duration::from_secs(1),
            rate_requests: TARGET_RATE,
            record_file: Some(record.clone()),
            ..target::Options::default()
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a port for the target")?;
        let target = Target::start(options, listener, stop.clone()).context("start the target")?;
        let (port, admin_port) = (free_port()?, free_port()?);
        let settings = [
            ("PORT", port.to_string()),
            ("QUEUE_TYPE", "Kafka".to_owned()),
            ("QUEUE_URL", ground.cluster.url()),
            ("QUEUE_TOPIC", name.clone()),
            ("QUEUE_PARTITIONS", "6".to_owned()),
            ("QUEUE_COPIES", "3".to_owned()),
            ("USER_REPOSITORY_TYPE", "Postgres".to_owned()),
            ("USER_REPOSITORY_URL", ground.new_database(&name).await?),
            ("SPOOL_DIR", dir.join("spool").display().to_string()),
            ("PROXY_SERVICE_TEST_USERS_DATA", accounts()?),
            ("AUTH_ACCESS_TOKEN_SECRET", "b1946ac92492d2347c6235b4d2611184".to_owned()),
            ("AUTH_ACCESS_TOKEN_EXPIRES_IN_SEC", "3600".to_owned()),
            ("STOP_GRACE_MS", "60000".to_owned()),
            ("TARGET_SERVICE_GRAPHQL_URL", format!("http://{}/graphql", target.address())),
            ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "1000".to_owned()),
            ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", TARGET_RATE.to_string()),
        ];
        let mut settings: Vec<(String, String)> = settings.map(|(key, value)| (key.to_owned(), value)).into();
        for (key, value) in extra {
            settings.retain(|(known, _)| known != key);
            settings.push(((*key).to_owned(), value.clone()));
        }
        let dispatcher = start(ground, (dir, "dispatcher"), &settings, free_port()?, None)?;
        let mut field = Self {
            ground,
            dir: dir.to_owned(),
            settings,
            port,
            admin_port,
            ingest: None,
            _dispatcher: dispatcher,
            target,
            record,
            stop,
            rate,
        };
        field.start_ingest(None)?;
        Ok(field)
    }

    /// Starts ingest, by another program if one is given.
    pub(crate) fn start_ingest(&mut self, by: Option<&[&str]>) -> anyhow::Result<()> {
        self.ingest = Some(start(self.ground, (&self.dir, "ingest"), &self.settings, self.admin_port, by)?);
        Ok(())
    }

    /// Logs a source in, and begins a load from it once events get through to the target.
    pub(crate) async fn load(&self, name: &str) -> anyhow::Result<Load> {
        let source = Source::log_in(self.port, PATIENCE, GIVE_UP).await?;
        let first = self.begin(&source, name).await?;
        self.receives(&[first].into()).await.context("before anything was broken")?;
        Ok(Load::begin(source, name.to_owned(), self.rate))
    }

    /// Sends an event until it is accepted, and tells its id: while topic and disk are being made, neither may take one in time.
    async fn begin(&self, source: &Source, name: &str) -> anyhow::Result<String> {
        let (until, first) = (Instant::now() + PATIENCE, format!("{name}-first"));
        let mut refused = 0_u32;
        loop {
            match source.send(&first, None).await {
                Some(202) => break,
                status => ensure!(status == Some(503) && Instant::now() < until, "the first event got {status:?}"),
            }
            refused += 1;
            tokio::time::sleep(LOOK).await;
        }
        if refused > 0 {
            writeln!(io::stdout(), "{name}: the first event was refused {refused} times before the load began")?;
        }
        Ok(first)
    }

    /// Waits until the target has each of these; tells the missing ones when patience ends.
    pub(crate) async fn receives(&self, expected: &HashSet<String>) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let missing = self.missing(expected)?;
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                let some: Vec<&String> = missing.into_iter().take(5).collect();
                bail!("{} accepted events never reached the target, such as {some:?}", self.missing(expected)?.len());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Those that the target does not have.
    pub(crate) fn missing<'b>(&self, expected: &'b HashSet<String>) -> anyhow::Result<Vec<&'b String>> {
        let text = fs::read_to_string(&self.record).unwrap_or_default();
        let taken: HashSet<String> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter_map(|record| record.get("id").and_then(serde_json::Value::as_str).map(str::to_owned))
            .collect();
        Ok(expected.iter().filter(|id| !taken.contains(*id)).collect())
    }

    /// How often the target was given an event that it had.
    pub(crate) fn repeated(&self) -> u64 {
        self.target.numbers().duplicates
    }

    /// One of ingest's figures, all labels together; nothing when it does not tell.
    pub(crate) async fn figure(&self, name: &str) -> Option<f64> {
        let client = reqwest::Client::builder().timeout(GIVE_UP).build().ok()?;
        let text = client.get(format!("http://127.0.0.1:{}/metrics", self.admin_port)).send().await.ok()?.text().await.ok()?;
        let of_name = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        Some(of_name.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// The ingest that runs.
    pub(crate) fn ingest(&mut self) -> anyhow::Result<&mut Process> {
        self.ingest.as_mut().context("ingest does not run")
    }
}

impl Drop for Field<'_> {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts one of the two processes.
fn start(
    ground: &Ground,
    (dir, name): (&Path, &str),
    settings: &[(String, String)],
    admin_port: u16,
    by: Option<&[&str]>,
) -> anyhow::Result<Process> {
    let binary = ground.binary(name)?;
    let mut command = match by {
        Some([program, arguments @ ..]) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(&binary);
            command
        }
        Some([]) | None => Command::new(&binary),
    };
    let admin_port = admin_port.to_string();
    let pairs = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).chain([("ADMIN_PORT", admin_port.as_str())]);
    Process::start(&mut command, &dir.join(format!("{name}.log")), pairs).with_context(|| format!("start {name}"))
}
