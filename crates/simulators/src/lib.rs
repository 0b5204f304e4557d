//! The source and the target as first-class programs that share no type with the proxy.
//!
//! They stand for somebody else's systems: they spell the wire by hand, so that a change of the proxy's types
//! cannot change both ends of a contract at once. The source sends every event once and never again; the target
//! limits, fails and slows down as told, and remembers what arrived and when. Tests judge the proxy by their
//! numbers, so these must be exact or say how far they are not.

pub mod source;
pub mod target;
pub mod program;
mod environment;
mod client;
mod clock;
mod record;
mod trace;
