//! The binary `dispatcher`.

use std::process::ExitCode;

use broker::kafka::Reader;

/// Runs the process: the topic is Kafka, for only there ingest and dispatcher can meet as separate processes.
fn main() -> ExitCode {
    dispatcher::process::run(|options| std::sync::Arc::new(Reader::new(options)))
}
