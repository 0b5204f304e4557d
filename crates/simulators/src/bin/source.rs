//! The simulated source as a program of its own; its settings stand in `simulators::source::settings`.

use std::process::ExitCode;

use simulators::environment::Environment;
use simulators::source::{Numbers, Source, settings};
use simulators::{program, trace};
use tokio_util::sync::CancellationToken;

/// Sends events until stopped or done; the exit code is 64 for wrong settings, 1 when the log-in is refused.
#[tokio::main]
async fn main() -> ExitCode {
    let environment = Environment::of_process();
    program::start_log(&environment);
    let _exported = match trace::export(&environment, "source") {
        Ok(exported) => exported,
        Err(error) => return program::exit(Err(error)),
    };
    let options = match settings::read(environment) {
        Ok(options) => options,
        Err(mistakes) => return program::refuse(&mistakes),
    };
    tracing::info!(?options, "source starts");
    let source = Source::new(options);
    let stop = CancellationToken::new();
    let outcome = program::until_terminated(&stop, source.run(stop.clone())).await;
    let Numbers { sent, accepted, refused, gave_up, unreachable, late, p50_micros, p99_micros, .. } = source.numbers();
    tracing::info!(sent, accepted, refused, gave_up, unreachable, late, p50_micros, p99_micros, "source ends");
    program::exit(outcome)
}
