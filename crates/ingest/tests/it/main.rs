//! The HTTP contract of ingest over a real listener: what each request is answered, and what it stores.
//!
//! The topic and the storage are in memory, the clock is the test's. Whoever refuses stores nothing: that is looked at
//! on the topic, never only in the answer.

#[cfg(test)]
mod support;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod events;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod hostile_text;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod guarded;
#[cfg(test)]
mod deadline;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod look_up;
