//! The life of the separate process.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use broker::Publisher;
use chassis::admin::Routes;
use chassis::clock::SystemClock;
use chassis::lifecycle::Cause;
use chassis::port;
use chassis::process::{Name, Process, run as run_process};
use chassis::settings::Reader;
use chassis::settings::common::{self, Topic};
use storage::Store;
use tokio::time::Instant;

use crate::settings::Settings;
use crate::stack::{self, Parts};

/// This process.
const NAME: Name = Name { service: "ingest", admin_port: 4100 };

/// What the process needs besides what every process has.
#[derive(Debug)]
struct Own {
    /// Ingest's settings.
    ingest: Settings,
    /// The topic.
    topic: Topic,
    /// Accounts, sessions and journal.
    storage: storage::Options,
    /// The public port.
    port: u16,
}

/// Runs the process to its exit code; `publisher` makes the topic's writing side.
#[must_use]
pub fn run(publisher: fn(Topic) -> Arc<dyn Publisher>) -> ExitCode {
    run_process(NAME, Own::read, async |process, own| live(process, own, publisher).await)
}

impl Own {
    /// Reads them; `None` when something is wrong, which the reader then knows.
    fn read(reader: &mut Reader) -> Option<Self> {
        let ingest = Settings::read(reader);
        let topic = common::shared_topic(reader);
        let url = common::shared_storage(reader, storage::is_guarded);
        let port = reader.number("port", 0..=65_535);
        let storage = storage::Options { url: url?, max_connections: 10, acquire_timeout: Duration::from_secs(2) };
        Some(Self { ingest: ingest?, topic: topic?, storage, port: port? })
    }
}

/// Starts, waits for the end, stops.
async fn live(process: &Process, own: Own, publisher: fn(Topic) -> Arc<dyn Publisher>) -> Result<(), Cause> {
    let public = port::take((Ipv4Addr::UNSPECIFIED, own.port).into(), "PORT")?;
    let parts = Parts {
        settings: own.ingest,
        store: Store::connect(&own.storage).await?,
        publisher: publisher(own.topic),
        clock: Arc::new(SystemClock),
        registry: process.registry.clone(),
        readiness: process.readiness.clone(),
    };
    process.answer(Routes::none());
    let running = stack::start(parts, public, &process.tasks)?;
    tracing::info!(port = own.port, "events may be sent");
    let ended = process.ends().await;
    let stop = async {
        let told = Instant::now();
        running.part(process.stop_grace).await;
        running.stop(process.stop_grace.saturating_sub(told.elapsed())).await
    };
    if let Some(left) = process.unless_told_again(stop).await {
        tracing::info!(unpublished = left.unpublished, unburied = left.unburied, "stopped; what is not published stays in the spool");
    }
    Ok(ended?)
}
