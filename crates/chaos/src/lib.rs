//! Breaks what the product stands on while events come in: real processes, real brokers, a real database, a network of our
//! own. A 202 is an obligation: after healing the target must have every event that was answered with it.
//!
//! The end-to-end tests start processes and send events by the same means.

mod cli;
pub mod installation;
pub mod process;
pub mod source;
mod cable;
mod cluster;
mod ground;
mod field;
mod load;
mod scenario;
mod table;
pub mod run;
