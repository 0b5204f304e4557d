//! Everything in one process: ingest, dispatcher, embedded log and SQLite, with a source and a target to watch.

pub mod cli;
pub mod spool;
pub mod account;
pub mod operate;
pub mod reconcile;
pub mod reference;
pub mod settings;
pub mod demo;
pub mod member;
pub mod stack;
pub mod snapshot;
pub mod view;
pub mod run;
