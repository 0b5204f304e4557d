//! The binary `ingest`.

use std::process::ExitCode;
use std::sync::Arc;

use broker::kafka::{Writer, ensure_topic};
use ingest::cli::{self, Command};
use ingest::stack::kafka;
use ingest::{prepare, process};

/// Runs the process: the topic is Kafka, for only there ingest and dispatcher can meet as separate processes.
fn main() -> ExitCode {
    match cli::command() {
        Ok(None) => process::run(|topic| Arc::new(Writer::new(kafka(topic)))),
        Ok(Some(Command::Migrate)) => prepare::migrate(),
        Ok(Some(Command::Topic)) => prepare::topic(async |topic| Ok(ensure_topic(&kafka(topic)).await?)),
        Err(ended) => ended,
    }
}
