//! The binary `ingest`.

use std::process::ExitCode;

use broker::kafka::Writer;

/// Runs the process: the topic is Kafka, for only there ingest and dispatcher can meet as separate processes.
fn main() -> ExitCode {
    ingest::process::run(|options| std::sync::Arc::new(Writer::new(options)))
}
