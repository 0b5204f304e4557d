//! Accepts events: the stages receive to publish.

pub mod settings;
pub mod process;
pub mod stack;
mod server;
mod shared;
mod receive;
mod authenticate;
mod validate;
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

pub use metrics::Numbers;
