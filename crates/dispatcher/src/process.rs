//! The life of the separate process: read settings, start, wait for a signal, stop.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use broker::{Subscriber, kafka};
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
const ADMIN_PORT: u16 = 4200;

/// What the process needs besides the dispatcher's own settings.
#[derive(Debug)]
struct Process {
    /// The dispatcher's.
    dispatcher: Settings,
    /// The topic.
    kafka: kafka::Options,
    /// Journal and offsets.
    storage: storage::Options,
    /// The private port.
    admin_port: u16,
    /// Logs and traces.
    telemetry: telemetry::Options,
    /// How long a stop may take.
    stop_grace: Duration,
}

/// Runs the process to its exit code; `subscriber` makes the topic's reading side.
pub fn run(subscriber: impl FnOnce(kafka::Options) -> Arc<dyn Subscriber>) -> ExitCode {
    let process = match read() {
        Ok(process) => process,
        Err(mistakes) => {
            drop(writeln!(io::stderr(), "{mistakes}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let subscriber = subscriber(process.kafka.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.context("start the runtime").and_then(|runtime| runtime.block_on(live(process, subscriber)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "dispatcher: {error:#}"));
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
        let dispatcher = Settings::read(reader);
        if reader.one_of("queue_type", &[("InMemory", false), ("Local", false), ("Kafka", true)]) == Some(false) {
            reader.mistake("queue_type", "must be Kafka: separate processes meet only there (events-proxy runs all in one process)");
        }
        let kafka = crate::settings::kafka(reader);
        let storage = storage(reader);
        let admin_port = reader.optional_number("admin_port", 0..=65_535);
        let sample_ratio = reader.share("otel_traces_sampler_arg");
        let stop_grace = reader.millis("stop_grace_ms", 0..=3_600_000);
        let log_filter = reader.text("log_filter");
        if let Some(Err(error)) = log_filter.as_deref().map(telemetry::judge_filter) {
            reader.mistake("log_filter", error.to_string());
        }
        let telemetry = telemetry::Options {
            service: "dispatcher",
            replica: chassis::replica::name(reader.optional_text("container_app_replica_name")),
            otlp_endpoint: reader.optional_text("otel_exporter_otlp_endpoint"),
            sample_ratio: sample_ratio?,
            log: LogOutput::Json,
            log_filter: log_filter?,
        };
        Some(Self {
            dispatcher: dispatcher?,
            kafka: kafka?,
            storage: storage?,
            admin_port: admin_port?.unwrap_or(ADMIN_PORT),
            telemetry,
            stop_grace: stop_grace?,
        })
    }
}

/// Journal and offsets: where every replica finds the same ones.
fn storage(reader: &mut Reader) -> Option<storage::Options> {
    let shared = reader.one_of("user_repository_type", &[("InMemory", false), ("Sqlite", true), ("Postgres", true)])?;
    if !shared {
        reader.mistake("user_repository_type", "must be Postgres, or Sqlite on one machine: ingest and dispatcher share it");
    }
    let url = reader.text("user_repository_url")?;
    shared.then_some(storage::Options { url, max_connections: 10, acquire_timeout: Duration::from_secs(2) })
}

/// Starts, waits for a signal or a failure, stops.
async fn live(process: Process, subscriber: Arc<dyn Subscriber>) -> anyhow::Result<()> {
    let telemetry = telemetry::start(&process.telemetry).context("start telemetry")?;
    let (tasks, registry, readiness) = (Tasks::new(), Registry::new(), Readiness::new());
    let admin = TcpListener::bind((Ipv4Addr::UNSPECIFIED, process.admin_port))
        .with_context(|| format!("listen on ADMIN_PORT {}", process.admin_port))?;
    let parts = Parts {
        settings: process.dispatcher,
        store: Store::connect(&process.storage).await.context("open the storage")?,
        subscriber,
        topic: process.kafka.topic,
        clock: Arc::new(SystemClock),
        meter: registry.meter(),
        readiness: readiness.clone(),
    };
    let running = stack::start(parts, &tasks)?;
    let admin = admin_server(admin, Admin { registry, readiness }, &tasks);
    tracing::info!(admin_port = process.admin_port, "delivering");
    // Both arms are cancel-safe: each only waits.
    let ended = tokio::select! {
        _ = termination() => Ok(()),
        failure = tasks.failed() => Err(failure.into()),
    };
    let left = running.stop(process.stop_grace).await;
    let backlog = running.numbers().backlog;
    tasks.stop(Duration::from_secs(5)).await;
    admin.join().ok();
    tracing::info!(in_flight = left.in_flight, backlog, "stopped; the backlog stays on the topic");
    telemetry.stop();
    ended
}

/// Answers probes on a thread of its own, so that a busy runtime does not look dead.
fn admin_server(listener: TcpListener, admin: Admin, tasks: &Tasks) -> std::thread::JoinHandle<()> {
    let stopping = tasks.stopping();
    let (told, failed) = tokio::sync::oneshot::channel();
    tasks.spawn("admin listener", OnFailure::StopProcess, async move { failed.await.unwrap_or(Ok(())).map_err(Into::into) });
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let served = runtime.and_then(|runtime| {
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, chassis::admin::serve(listener, admin, stopping))
        });
        drop(told.send(served));
    })
}
