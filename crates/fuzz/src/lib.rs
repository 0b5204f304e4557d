//! What any input must leave true, one function for each reader of what others write.
//!
//! A function takes bytes and panics when a law is broken. `crates/fuzz/fuzz` feeds it what libFuzzer makes up; the test
//! `corpus` feeds it what is committed of that, on every build. Inputs are texts where that is possible, so that one can
//! write and read them.

mod message;
mod event;
mod envelope;
mod answer;
mod wait;
mod trace;
mod address;
mod cursor;
mod settings;
mod bytes;
mod shelf;
mod log;
mod segments;

pub use address::address;
pub use answer::answer;
pub use cursor::cursor;
pub use envelope::envelope;
pub use event::event;
pub use log::log;
pub use segments::segments;
pub use settings::settings;
pub use trace::trace;
pub use wait::wait;

/// A function that holds a reader to its laws.
pub type Target = fn(&[u8]);

/// Each target by its name, which is that of its program and of its corpus.
pub const TARGETS: [(&str, Target); 10] = [
    ("address", address),
    ("answer", answer),
    ("cursor", cursor),
    ("envelope", envelope),
    ("event", event),
    ("log", log),
    ("segments", segments),
    ("settings", settings),
    ("trace", trace),
    ("wait", wait),
];
