//! The binary `ingest`.

use std::process::ExitCode;
use std::sync::Arc;

use broker::kafka::Writer;
use ingest::stack::kafka;

/// Runs the process: the topic is Kafka, for only there ingest and dispatcher can meet as separate processes.
fn main() -> ExitCode {
    ingest::process::run(|topic| Arc::new(Writer::new(kafka(topic))))
}
