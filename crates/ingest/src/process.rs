//! The life of the separate process: read settings, start, wait for a signal, stop.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use broker::{Publisher, kafka};
use chassis::admin::{Admin, Readiness};
use chassis::clock::SystemClock;
use chassis::lifecycle::{OnFailure, Tasks, termination};
use chassis::metrics::Registry;
use chassis::settings::{EXIT_USAGE, Mistakes, Reader};
use chassis::telemetry::{self, LogOutput};
use storage::Store;

use crate::settings::Settings;
use crate::stack::{self, Parts};

/// The admin port when nobody says otherwise.
const ADMIN_PORT: u16 = 4100;

/// What the process needs besides ingest's own settings.
#[derive(Debug)]
struct Process {
    /// Ingest's.
    ingest: Settings,
    /// The topic.
    kafka: kafka::Options,
    /// Accounts, sessions and journal.
    storage: storage::Options,
    /// The public port.
    port: u16,
    /// The private port.
    admin_port: u16,
    /// Logs and traces.
    telemetry: telemetry::Options,
    /// How long a stop may take.
    stop_grace: Duration,
}

/// Runs the process to its exit code; `publisher` makes the topic's writing side.
pub fn run(publisher: impl FnOnce(kafka::Options) -> Arc<dyn Publisher>) -> ExitCode {
    let process = match read() {
        Ok(process) => process,
        Err(mistakes) => {
            drop(writeln!(io::stderr(), "{mistakes}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let publisher = publisher(process.kafka.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.context("start the runtime").and_then(|runtime| runtime.block_on(live(process, publisher)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "ingest: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Reads and judges the settings.
fn read() -> Result<Process, Mistakes> {
    let mut reader = chassis::settings::Settings::load()?.reader();
    let process = Process::read(&mut reader);
    reader.finish()?;
    Ok(process.expect("invariant: a reader without mistakes has read everything"))
}

impl Process {
    /// Reads them; `None` when something is wrong, which the reader then knows.
    fn read(reader: &mut Reader) -> Option<Self> {
        let ingest = Settings::read(reader);
        if reader.one_of("queue_type", &[("InMemory", false), ("Local", false), ("Kafka", true)]) == Some(false) {
            reader.mistake("queue_type", "must be Kafka: separate processes meet only there (events-proxy runs all in one process)");
        }
        let kafka = crate::settings::kafka(reader);
        let storage = storage(reader);
        let port = reader.number("port", 0..=65_535);
        let admin_port = reader.optional_number("admin_port", 0..=65_535);
        let sample_ratio = reader.share("otel_traces_sampler_arg");
        let stop_grace = reader.millis("stop_grace_ms", 0..=3_600_000);
        let log_filter = reader.text("log_filter");
        if let Some(Err(error)) = log_filter.as_deref().map(telemetry::judge_filter) {
            reader.mistake("log_filter", error.to_string());
        }
        let telemetry = telemetry::Options {
            service: "ingest",
            replica: chassis::replica::name(reader.optional_text("container_app_replica_name")),
            otlp_endpoint: reader.optional_text("otel_exporter_otlp_endpoint"),
            sample_ratio: sample_ratio?,
            log: LogOutput::Json,
            log_filter: log_filter?,
        };
        Some(Self {
            ingest: ingest?,
            kafka: kafka?,
            storage: storage?,
            port: port?,
            admin_port: admin_port?.unwrap_or(ADMIN_PORT),
            telemetry,
            stop_grace: stop_grace?,
        })
    }
}

/// Accounts, sessions and journal: where every replica finds the same ones.
fn storage(reader: &mut Reader) -> Option<storage::Options> {
    let shared = reader.one_of("user_repository_type", &[("InMemory", false), ("Sqlite", true), ("Postgres", true)])?;
    if !shared {
        reader.mistake("user_repository_type", "must be Postgres, or Sqlite on one machine: ingest and dispatcher share it");
    }
    let url = reader.text("user_repository_url")?;
    shared.then_some(storage::Options { url, max_connections: 10, acquire_timeout: Duration::from_secs(2) })
}

/// Starts, waits for a signal or a failure, stops.
async fn live(process: Process, publisher: Arc<dyn Publisher>) -> anyhow::Result<()> {
    let telemetry = telemetry::start(&process.telemetry).context("start telemetry")?;
    let (tasks, registry, readiness) = (Tasks::new(), Registry::new(), Readiness::new());
    let listen = |port: u16, setting: &str| {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
            .with_context(|| format!("listen on port {port}: set {setting} to one that is free"))
    };
    let (public, admin) = (listen(process.port, "PORT")?, listen(process.admin_port, "ADMIN_PORT")?);
    let parts = Parts {
        settings: process.ingest,
        store: Store::connect(&process.storage).await.context("open the storage")?,
        publisher,
        clock: Arc::new(SystemClock),
        meter: registry.meter(),
        readiness: readiness.clone(),
    };
    let kafka = process.kafka;
    tasks.spawn("make the topic", OnFailure::Log, crate::topic::ensure(kafka, tasks.stopping()));
    let running = stack::start(parts, public, &tasks)?;
    let admin = chassis::admin::serve(admin, Admin { registry, readiness }, tasks.stopping());
    tasks.spawn("admin listener", OnFailure::StopProcess, async move { Ok(admin.await?) });
    tracing::info!(port = process.port, admin_port = process.admin_port, "events may be sent");
    // Both arms are cancel-safe: each only waits.
    let ended = tokio::select! {
        _ = termination() => Ok(()),
        failure = tasks.failed() => Err(failure.into()),
    };
    let left = running.stop(process.stop_grace).await;
    tasks.stop(Duration::from_secs(5)).await;
    tracing::info!(unpublished = left.unpublished, "stopped; what is not published stays in the spool");
    telemetry.stop();
    ended
}
