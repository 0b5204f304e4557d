//! What ingest stands on, prepared once, by a process that ends: `ingest migrate` and `ingest topic`.
//!
//! Serving processes do both themselves and wait for neither. An installation runs these before it, so that a wrong URL, a refused
//! log-in or a topic with other partitions is told before a pod is touched. Each may be repeated, and run several times at once.

use std::process::ExitCode;
use std::time::Duration;

use chassis::errand;
use chassis::lifecycle::Cause;
use chassis::settings::common::{self, Topic};
use storage::{Options, Store, is_guarded};

/// How long connecting to the database may take; nobody waits for an answer here.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Brings the database up to date and says what that took. Of all settings only the database's are looked at.
#[must_use]
pub fn migrate() -> ExitCode {
    errand::run(
        "ingest migrate",
        |reader| common::shared_storage(reader, is_guarded),
        async |url| {
            let store = Store::connect(&Options { url, max_connections: 1, acquire_timeout: CONNECT_MAX }).await?;
            Ok(match store.migrate().await? {
                0 => "The database is up to date; nothing was changed.".to_owned(),
                1 => "The database is up to date; 1 step was run.".to_owned(),
                steps => format!("The database is up to date; {steps} steps were run."),
            })
        },
    )
}

/// Makes the topic by `make`, which tells whether it was made or found, and says which. Of all settings only the topic's are looked at.
#[must_use]
pub fn topic(make: impl AsyncFnOnce(Topic) -> Result<bool, Cause>) -> ExitCode {
    errand::run("ingest topic", common::shared_topic, async |topic| {
        let (name, partitions, copies) = (topic.name.clone(), topic.partitions, topic.copies);
        Ok(if make(topic).await? {
            format!("The topic `{name}` was made: partitions {partitions}, copies {copies}.")
        } else {
            format!("The topic `{name}` is there, with {partitions} partitions; nothing was changed.")
        })
    })
}
