//! Accepts events: the stages receive to publish.

pub mod cli;
pub mod prepare;
pub mod settings;
pub mod process;
pub mod stack;
mod server;
mod farewell;
mod shared;
mod admission;
mod receive;
mod authenticate;
mod outage;
mod ended;
pub mod validate;
mod spool;
mod accept;
mod publish;
mod topic;
mod journal;
mod burial;
mod sessions;
mod events;
mod reject;
mod quota;
pub mod address;
mod openapi;
mod bridge;
mod seed;
mod metrics;

#[cfg(test)]
mod fake;

pub use metrics::{FAMILIES, Numbers};
