//! Everything in one process: ingest, dispatcher, embedded log and SQLite, with a source and a target to watch.

pub mod snapshot;
pub mod view;
pub mod cli;
