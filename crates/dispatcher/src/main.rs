//! The binary `dispatcher`.

use std::process::ExitCode;
use std::sync::Arc;

use broker::kafka::Reader;
use dispatcher::stack::kafka;

/// Runs the process: the topic is Kafka, for only there ingest and dispatcher can meet as separate processes.
fn main() -> ExitCode {
    dispatcher::process::run(|topic| Arc::new(Reader::new(kafka(topic))))
}
