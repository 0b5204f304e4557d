//! What an event is and how it is judged.
//!
//! Pure: no async, no clock, no randomness, no environment, no I/O. Whatever two processes must agree on
//! stands here, and nowhere else: the stages' names, the event's bounds, the record on the topic, what a state
//! may become, which partition an event belongs to.

pub mod stage;
pub mod moment;
pub mod identity;
pub mod hex;
pub mod event;
pub mod propagation;
pub mod envelope;
pub mod partition;
pub mod attempt;
pub mod state;
pub mod watermark;

pub use attempt::{Attempt, DeadReason, Outcome};
pub use envelope::Envelope;
pub use event::Event;
pub use identity::{EventId, SourceId};
pub use moment::Moment;
pub use propagation::TraceContext;
pub use stage::Stage;
pub use state::State;
