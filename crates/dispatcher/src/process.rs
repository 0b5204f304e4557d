//! The life of the separate process.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use broker::Subscriber;
use chassis::clock::SystemClock;
use chassis::lifecycle::Cause;
use chassis::process::{Name, Process, run as run_process};
use chassis::settings::Reader;
use chassis::settings::common::{self, Topic};
use storage::{Member, Store};

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

/// Takes the place of the one dispatcher on a database that is a file: such a database lets several share no limit.
///
/// # Errors
/// Another process has it, or the file beside the database that tells so cannot be used.
fn only_one(url: &str) -> anyhow::Result<Option<File>> {
    let Some(database) = storage::file(url) else { return Ok(None) };
    let mut path = database.clone().into_os_string();
    path.push(".dispatcher");
    let path = PathBuf::from(path);
    let open = || format!("use {}", path.display());
    let file = File::options().create(true).truncate(false).write(true).open(&path).with_context(open)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => anyhow::bail!(
            "another dispatcher works on the database {}; only on PostgreSQL do several share the target's limit",
            database.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).with_context(open),
    }
}

/// Starts, waits for the end, stops.
async fn live(process: &Process, own: Own, subscriber: fn(Topic) -> Arc<dyn Subscriber>) -> Result<(), Cause> {
    let retention = own.dispatcher.retention;
    let _only = only_one(&own.storage.url)?;
    let parts = Parts {
        settings: own.dispatcher,
        store: Store::connect(&own.storage).await?,
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

#[cfg(test)]
mod tests {
    use super::only_one;

    #[test]
    fn on_a_file_one_dispatcher_works_at_a_time_and_on_a_server_any_number() {
        let directory = tempfile::tempdir().unwrap();
        let url = |name: &str| format!("sqlite://{}?mode=rwc", directory.path().join(name).display());
        let first = only_one(&url("one")).unwrap();
        let refused = only_one(&url("one")).unwrap_err().to_string();
        assert!(refused.contains("another dispatcher works on the database"), "{refused}");
        only_one(&url("other")).unwrap();
        drop(first);
        only_one(&url("one")).unwrap();
        for url in ["postgres://localhost/events", "sqlite::memory:"] {
            assert!(only_one(url).unwrap().is_none() && only_one(url).unwrap().is_none(), "{url}");
        }
    }
}
