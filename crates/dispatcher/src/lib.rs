//! Delivers events: the stages consume to settle.

pub mod settings;
pub mod process;
pub mod stack;
pub mod own;
mod desk;
mod together;
mod backlog;
mod audit;
mod consume;
mod path;
mod enrich;
pub mod pace;
pub mod deliver;
pub mod classify;
mod breaker;
mod waiting;
mod settle;
mod park;
mod replay;
mod metrics;
pub mod operator;
mod console;

pub use consume::Order;
pub use metrics::slots::Slots;
pub use metrics::{FAMILIES, Numbers};
pub use path::Patience;
