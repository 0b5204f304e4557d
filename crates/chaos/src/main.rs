//! The binary `chaos`: `make chaos` runs it.

use std::process::ExitCode;

/// Runs the scenarios to an exit code: 0 when every 202 was kept, 1 when one was not or nothing could be run.
fn main() -> ExitCode {
    chaos::run::run()
}
