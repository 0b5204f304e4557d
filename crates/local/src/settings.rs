//! The settings of `events-proxy`: those of ingest and dispatcher, and what stands around them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;
use chassis::settings::common::{self, Topic};
use chassis::settings::{Mistakes, Reader};
use chassis::telemetry::{self, LogOutput};
use serde::{Deserialize, Serialize};

use crate::cli::Cli;
use crate::snapshot::Limit;

/// Where `API_URL` points when nobody says otherwise.
const API_URL: &str = "http://localhost:4000/api";
/// The admin port when nobody says otherwise.
const ADMIN_PORT: u16 = 4100;

/// The URL of a database that is gone with its process.
const IN_MEMORY: &str = "sqlite::memory:";

/// What `events-proxy` needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Ingest's part.
    pub ingest: ingest::settings::Settings,
    /// The dispatcher's part.
    pub dispatcher: dispatcher::settings::Settings,
    /// The public port.
    pub port: u16,
    /// The private port.
    pub admin_port: u16,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The topic.
    pub queue: Queue,
    /// The topic's name.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// Where accounts, journal and offsets are.
    pub storage: storage::Options,
    /// Logs and traces.
    pub telemetry: telemetry::Options,
    /// How long a stop may take.
    pub stop_grace: Duration,
    /// The target.
    pub target_url: String,
    /// The target's limit.
    pub limit: Limit,
    /// The simulated source; none when it shall not run.
    pub source: Option<Source>,
    /// The port of the simulated target; none when it shall not run.
    pub target_port: Option<u16>,
}

/// Which topic.
#[derive(Debug, Clone)]
pub enum Queue {
    /// Lost at the end.
    InMemory,
    /// An fsynced log in the data directory.
    Local,
    /// Kafka.
    Kafka(Topic),
}

/// The simulated source.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where it sends.
    pub api_url: String,
    /// How often.
    pub interval: Duration,
    /// Who it is; none means the demo's own account.
    pub credentials: Option<Credentials>,
}

/// What a source logs in with.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// The account's name.
    pub auth_id: String,
    /// Its secret.
    pub secret: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("auth_id", &self.auth_id).finish_non_exhaustive()
    }
}

/// Which of three.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// `InMemory`.
    InMemory,
    /// `Local` or `Sqlite`.
    Embedded,
    /// `Kafka` or `Postgres`.
    Server,
}

impl Settings {
    /// Reads them; `None` when something is wrong, which the reader then knows.
    pub fn read(reader: &mut Reader, cli: &Cli) -> Option<Self> {
        let ingest = ingest::settings::Settings::read(reader);
        let dispatcher = dispatcher::settings::Settings::read(reader);
        let port = reader.number("port", 0..=65_535);
        let admin_port = reader.optional_number("admin_port", 0..=65_535);
        let data_dir = reader.text("data_dir").map(PathBuf::from);
        let topic = reader.text("queue_topic");
        let queue = queue(reader);
        let storage = data_dir.as_ref().and_then(|data| storage(reader, data));
        let telemetry = common::telemetry(reader, "events-proxy", LogOutput::Json);
        let stop_grace = common::stop_grace(reader);
        let target_url = reader.text("target_service_graphql_url");
        let target_port = target_url.as_deref().map_or(Some(None), |url| target_port(reader, url, cli));
        let limit = limit(reader);
        let fit = simulators_fit(reader, cli);
        let port: u16 = port?;
        let source = source(reader, cli, port);
        let (queue, partitions) = queue?;
        fit?;
        Some(Self {
            ingest: ingest?,
            dispatcher: dispatcher?,
            port,
            admin_port: admin_port?.unwrap_or(ADMIN_PORT),
            data_dir: data_dir?,
            queue,
            topic: topic?,
            partitions,
            storage: storage?,
            telemetry: telemetry?,
            stop_grace: stop_grace?,
            target_url: target_url?,
            limit: limit?,
            source: source?,
            target_port: target_port?,
        })
    }
}

/// The topic and its number of partitions.
fn queue(reader: &mut Reader) -> Option<(Queue, u32)> {
    let kind = reader.one_of("queue_type", &[("InMemory", Kind::InMemory), ("Local", Kind::Embedded), ("Kafka", Kind::Server)]);
    let set = reader.optional_number("queue_partitions", 1..=1_024);
    match (kind?, set?) {
        (Kind::InMemory, set) => Some((Queue::InMemory, set.unwrap_or(1))),
        (Kind::Embedded, set) => Some((Queue::Local, set.unwrap_or(1))),
        (Kind::Server, _) => {
            let topic = common::topic(reader)?;
            let partitions = topic.partitions;
            Some((Queue::Kafka(topic), partitions))
        }
    }
}

/// Where accounts, journal and offsets are.
fn storage(reader: &mut Reader, data: &Path) -> Option<storage::Options> {
    let kind =
        reader.one_of("user_repository_type", &[("InMemory", Kind::InMemory), ("Sqlite", Kind::Embedded), ("Postgres", Kind::Server)])?;
    let set = reader.optional_text("user_repository_url");
    let url = match (kind, set) {
        (Kind::InMemory, _) => IN_MEMORY.to_owned(),
        (Kind::Embedded, None) => format!("sqlite://{}?mode=rwc", data.join("events-proxy.sqlite").display()),
        (Kind::Embedded | Kind::Server, Some(url)) => url,
        (Kind::Server, None) => {
            reader.mistake("user_repository_url", "must be set for Postgres");
            return None;
        }
    };
    common::guarded_storage(reader, &url, storage::is_guarded)?;
    Some(storage::Options { url, max_connections: 10, acquire_timeout: Duration::from_secs(2) })
}

/// The settings as they are written; a data directory on the command line takes the place of `DATA_DIR`.
pub(crate) fn layers(data_dir: Option<&Path>) -> Result<chassis::settings::Settings, Mistakes> {
    let layers = chassis::settings::Settings::load()?;
    Ok(match data_dir {
        Some(data_dir) => layers.overridden("data_dir", data_dir.display().to_string()),
        None => layers,
    })
}

/// Where accounts and events are kept, and the topic's name, of settings that are not judged further.
pub(crate) fn kept(data_dir: Option<&Path>) -> anyhow::Result<(storage::Options, String)> {
    let layers = layers(data_dir)?;
    let mut reader = layers.reader();
    let data_dir = reader.text("data_dir").map(PathBuf::from);
    let options = data_dir.as_ref().and_then(|data| storage(&mut reader, data));
    let topic = reader.text("queue_topic");
    reader.finish()?;
    let (options, topic) = options.zip(topic).expect("invariant: a reader without mistakes has read everything");
    ensure!(options.url != IN_MEMORY, "USER_REPOSITORY_TYPE is InMemory: what is kept so is nowhere but in its process");
    Ok((options, topic))
}

/// The target's limit, for the view and the simulated target.
fn limit(reader: &mut Reader) -> Option<Limit> {
    let requests = reader.number("target_service_rate_limit_requests_per_interval", 1..=10_000_000);
    let interval = reader.millis("target_service_rate_limit_interval_ms", 1..=86_400_000);
    Some(Limit { requests: requests?, interval: interval? })
}

/// Whether the profile lets those simulators run that shall: made-up events are nothing for production, and a target that is none
/// would take real ones.
fn simulators_fit(reader: &mut Reader, cli: &Cli) -> Option<()> {
    let production = common::is_production(reader)?;
    let wanted: Vec<&str> = [("--no-source", cli.no_source), ("--no-target", cli.no_target)]
        .into_iter()
        .filter_map(|(option, given)| (production && !given).then_some(option))
        .collect();
    if wanted.is_empty() {
        return Some(());
    }
    reader.mistake("environment_profile", format!("must not be production with simulators: it wants {}", wanted.join(" and ")));
    None
}

/// The simulated source, unless it shall not run.
fn source(reader: &mut Reader, cli: &Cli, port: u16) -> Option<Option<Source>> {
    let interval = reader.millis("source_service_send_events_interval_ms", 1..=86_400_000);
    let credentials = reader.json("source_service_test_user_credentials");
    let api_url = reader.text("api_url");
    let (interval, credentials, api_url) = (interval?, credentials?, api_url?);
    // Nobody who moves the port wants the source to go on calling the old one.
    let api_url = if api_url == API_URL { format!("http://127.0.0.1:{port}/api") } else { api_url };
    Some((!cli.no_source).then_some(Source { api_url, interval, credentials }))
}

/// The port of the simulated target, unless it shall not run: the one that its URL names, which must be of this machine.
fn target_port(reader: &mut Reader, url: &str, cli: &Cli) -> Option<Option<u16>> {
    if cli.no_target {
        return Some(None);
    }
    let rest = url.strip_prefix("http://").unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "80"));
    let port = port.parse().ok().filter(|_| matches!(name, "localhost" | "127.0.0.1") && path == "graphql");
    if port.is_none() {
        let message = "must be http://localhost:PORT/graphql for the simulated target; with --no-target it may be any";
        reader.mistake("target_service_graphql_url", message);
    }
    port.map(Some)
}
