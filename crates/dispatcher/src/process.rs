//! The life of the separate process.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use broker::Subscriber;
use chassis::clock::SystemClock;
use chassis::lifecycle::Cause;
use chassis::process::{Name, Process, run as run_process};
use chassis::settings::Reader;
use chassis::settings::common::{self, Topic};
use storage::{Member, Store};

use crate::pace;
use crate::settings::Settings;
use crate::stack::{self, Parts};

/// This process.
const NAME: Name = Name { service: "dispatcher", admin_port: 4200 };

/// What the process needs besides what every process has.
#[derive(Debug)]
struct Own {
    /// The dispatcher's settings.
    dispatcher: Settings,
    /// The topic.
    topic: Topic,
    /// Journal and offsets.
    storage: storage::Options,
}

/// Runs the process to its exit code; `subscriber` makes the topic's reading side.
#[must_use]
pub fn run(subscriber: fn(Topic) -> Arc<dyn Subscriber>) -> ExitCode {
    run_process(NAME, Own::read, async |process, own| live(process, own, subscriber).await)
}

impl Own {
    /// Reads them; `None` when something is wrong, which the reader then knows.
    fn read(reader: &mut Reader) -> Option<Self> {
        let dispatcher = Settings::read(reader);
        let topic = common::shared_topic(reader);
        let url = common::shared_storage(reader, storage::is_guarded);
        let storage = storage::Options { url: url?, max_connections: 10, acquire_timeout: Duration::from_secs(2) };
        Some(Self { dispatcher: dispatcher?, topic: topic?, storage })
    }
}

/// Who this process is among its like: never the same as another life of this replica, whose leases are not its own.
fn member(replica: &str) -> Member {
    Member { id: format!("{replica}/{}", chassis::replica::name(None)), pod: replica.to_owned() }
}

/// Starts, waits for the end, stops.
async fn live(process: &Process, own: Own, subscriber: fn(Topic) -> Arc<dyn Subscriber>) -> Result<(), Cause> {
    let retention = own.dispatcher.retention;
    let store = Store::connect(&own.storage).await?;
    let _only = pace::only_one(&own.storage.url)?;
    let parts = Parts {
        settings: own.dispatcher,
        store,
        topic: own.topic.name.clone(),
        member: member(&process.replica),
        retention: Some(retention),
        subscriber: subscriber(own.topic),
        clock: Arc::new(SystemClock),
        registry: process.registry.clone(),
        readiness: process.readiness.clone(),
    };
    let (running, routes) = stack::start(parts, &process.tasks)?;
    process.answer(routes);
    let ended = process.ends().await;
    let left = running.stop(process.stop_grace).await;
    tracing::info!(in_flight = left.in_flight, backlog = running.numbers().backlog, "stopped; the backlog stays on the topic");
    Ok(ended?)
}
