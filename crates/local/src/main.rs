//! `events-proxy`: everything in one process.

use std::process::ExitCode;

/// Runs the process.
fn main() -> ExitCode {
    local::run::run()
}
