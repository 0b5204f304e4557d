//! Handing envelopes over, at least once.
//!
//! The ports and their laws stand in [`port`]; each adapter keeps them and passes the one conformance suite.
//! Adapters are named only where a process is put together.

pub mod port;
pub mod conformance;
pub mod memory;
pub mod log;
pub mod local;
pub mod kafka;

pub use port::{Bounds, FetchError, FetchLimit, Fetched, PublishError, Publisher, Received, Subscriber};
