//! The simulated target as a program of its own; its settings stand in `simulators::target::settings`.

use std::net::TcpListener;
use std::process::ExitCode;

use simulators::environment::Environment;
use simulators::target::{Error, Target, settings};
use simulators::{program, trace};
use tokio_util::sync::CancellationToken;

/// Serves until stopped; the exit code is 64 for wrong settings, 1 when it cannot listen.
#[tokio::main]
async fn main() -> ExitCode {
    let environment = Environment::of_process();
    program::start_log(&environment);
    let _exported = match trace::export(&environment, "target") {
        Ok(exported) => exported,
        Err(error) => return program::exit(Err(error)),
    };
    let (address, options) = match settings::read(environment) {
        Ok(settings) => settings,
        Err(mistakes) => return program::refuse(&mistakes),
    };
    tracing::info!(?options, "target starts");
    let stop = CancellationToken::new();
    let started = TcpListener::bind(address).map_err(Error::Serve).and_then(|listener| Target::start(options, listener, stop.clone()));
    let target = match started {
        Ok(target) => target,
        Err(error) => return program::exit(Err(error)),
    };
    tracing::info!(address = %target.address(), "target listens");
    let outcome = program::until_terminated(&stop, target.stopped()).await;
    tracing::info!(numbers = ?target.numbers(), "target ends");
    program::exit(outcome)
}
