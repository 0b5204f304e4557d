//! The processes that are measured: started, asked for their memory, and killed when they are dropped.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use chaos::process::{Used, used};
use tokio::time::Instant;

/// Signs the tokens of everybody who takes part.
pub(crate) const SECRET: &str = "3f1d0c9b8a7e6f5d4c3b2a190817263544536271";
/// How long a process that does nothing for itself is watched.
const REST: Duration = Duration::from_millis(700);
/// CPU time of a tenth of a second in which a process does nothing, at most.
const LITTLE: Duration = Duration::from_millis(10);
/// How long a process may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// A handler to compare with.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its process.
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Peer {
    /// Starts this program in the role that the arguments name.
    pub(crate) fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("find this program")?;
        let mut child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().context("start a peer")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("read a peer")?).read_line(&mut line).context("read a peer's address")?;
        let address = line.trim().parse().context("read a peer's address")?;
        Ok(Self { child, address })
    }

    /// Its process' number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The product as it is shipped, without its simulators and with a target that takes one event every two seconds.
#[derive(Debug)]
pub(crate) struct Product {
    /// Its process.
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where it tells its figures.
    admin: SocketAddr,
    /// How long it took from its start to its first answer.
    pub(crate) ready: Duration,
    /// What its own account logs in with, as JSON.
    credentials: Vec<u8>,
}

impl Product {
    /// Starts it on a new data directory and waits for its first answer.
    pub(crate) fn start(data: &Path) -> anyhow::Result<Self> {
        Self::start_with(data, &[])
    }

    /// Starts it on a data directory, new or not, with further settings.
    pub(crate) fn start_with(data: &Path, settings: &[(&str, String)]) -> anyhow::Result<Self> {
        let mut command = Command::new(program("events-proxy")?);
        command.args(["--no-source", "--data-dir"]).arg(data).env_clear().env("LOG_FILTER", "error");
        command.envs(settings.iter().map(|(key, value)| (key, value)));
        command.env("TARGET_SERVICE_GRAPHQL_URL", format!("http://127.0.0.1:{}/graphql", free_port()?)).stdout(Stdio::null());
        let mut product = Self::launch(&mut command)?;
        product.credentials = fs::read(data.join("credentials.json")).context("read the credentials")?;
        Ok(product)
    }

    /// Starts `ingest` on a spool, with a broker that is not there; its log goes to a file.
    pub(crate) fn start_ingest(spool: &Path, log: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(program("ingest")?);
        let database = format!("sqlite://{}?mode=rwc", log.with_extension("sqlite").display());
        command
            .env_clear()
            .envs([("QUEUE_TYPE", "Kafka"), ("USER_REPOSITORY_TYPE", "Sqlite"), ("LOG_FILTER", "info")])
            .env("QUEUE_URL", format!("127.0.0.1:{}", free_port()?))
            .env("USER_REPOSITORY_URL", database)
            .env("SPOOL_DIR", spool)
            .env("SPOOL_MAX_BYTES", (1_u64 << 36).to_string())
            .stdout(fs::File::create(log).context("make a log")?);
        Self::launch(&mut command)
    }

    /// Starts a process with the settings that all have, and waits for its first answer.
    fn launch(command: &mut Command) -> anyhow::Result<Self> {
        let (port, admin_port) = (free_port()?, free_port()?);
        let began = Instant::now();
        let child = command
            .envs([("PORT", port.to_string()), ("ADMIN_PORT", admin_port.to_string())])
            .envs([("AUTH_ACCESS_TOKEN_SECRET", SECRET), ("AUTH_ACCESS_TOKEN_EXPIRES_IN_SEC", "3600")])
            .envs([("AUTH_REQUESTS_PER_MINUTE", "1000000"), ("RATE_LIMIT_REQUESTS_PER_INTERVAL", "10000000")])
            .stdin(Stdio::null())
            .spawn()
            .context("start a process: build it first")?;
        let [address, admin] = [port, admin_port].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let mut product = Self { child, address, admin, ready: Duration::ZERO, credentials: Vec::new() };
        while ask(address, "GET /nothing HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", &[]).is_err() {
            anyhow::ensure!(began.elapsed() < PATIENCE, "the process does not answer");
            std::thread::sleep(Duration::from_millis(1));
        }
        product.ready = began.elapsed();
        Ok(product)
    }

    /// Logs in and tells the access token.
    pub(crate) fn log_in(&self) -> anyhow::Result<String> {
        let head = format!(
            "POST /api/user-sessions HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.credentials.len()
        );
        let answer = ask(self.address, &head, &self.credentials)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("read the session")?;
        let session: serde_json::Value = serde_json::from_str(body.trim()).with_context(|| format!("read the session: {answer}"))?;
        session.get("accessToken").and_then(|token| token.as_str()).map(str::to_owned).context("read the access token")
    }

    /// Its process' number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has used of CPU and memory.
    pub(crate) fn used(&self) -> anyhow::Result<Used> {
        used(self.child.id()).context("ask what a process has used")
    }

    /// Waits until everything that was accepted is on the topic and in the journal, so that it rests; tells how long that took.
    pub(crate) fn settle(&self) -> anyhow::Result<Duration> {
        let (began, mut last) = (Instant::now(), Instant::now());
        let mut cpu = self.used()?.cpu;
        while last.elapsed() < REST || self.unpublished()? > 0 {
            anyhow::ensure!(began.elapsed() < PATIENCE * 5, "{} events are not published", self.unpublished()?);
            std::thread::sleep(Duration::from_millis(100));
            let now = self.used()?.cpu;
            if now.saturating_sub(cpu) > LITTLE {
                last = Instant::now();
            }
            cpu = now;
        }
        Ok(last.duration_since(began))
    }

    /// How many accepted events are not on the topic yet.
    fn unpublished(&self) -> anyhow::Result<u64> {
        self.figure("spool_unpublished")
    }

    /// A figure that it tells of itself.
    pub(crate) fn figure<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(&self, series: &str) -> anyhow::Result<T> {
        let figures = ask(self.admin, "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", &[])?;
        let line = figures.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.with_context(|| format!("find {series}"))?.parse().with_context(|| format!("read {series}"))
    }
}

/// Sends one request on a connection of its own.
fn ask(address: SocketAddr, head: &str, body: &[u8]) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Drop for Product {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Kills a process and waits for its end.
fn end(child: &mut Child) {
    child.kill().ok();
    child.wait().ok();
}

/// A program that was built beside this one.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("find this program")?;
    let path = this.parent().and_then(Path::parent).context("find the build's directory")?.join(name);
    anyhow::ensure!(path.exists(), "{} is not there: build it first", path.display());
    Ok(path)
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).context("find a free port")?.port())
}
