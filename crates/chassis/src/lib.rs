//! What any of our processes does that is not about events: settings, clock, telemetry, lifecycle, admin listener.

pub mod settings;
pub mod clock;
pub mod lifecycle;
pub mod replica;
pub mod lock;
pub mod tls;
pub mod telemetry;
pub mod trace;
pub mod metrics;
pub mod admin;
pub mod figures;
pub mod port;
pub mod process;
pub mod errand;
