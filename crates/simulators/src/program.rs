//! Each simulator as a program: what `events-proxy source` and `events-proxy target` run.
//!
//! Both take their settings from the environment, log, stop on a signal, and end with a code that says why.

use std::error::Error;
use std::net::TcpListener;
use std::process::ExitCode;

use opentelemetry_otlp::ExporterBuildError;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::environment::{Environment, Mistakes};
use crate::source::{self, Numbers, Source};
use crate::target::{self, Target};
use crate::trace;

/// The exit code for wrong settings, `EX_USAGE` of sysexits.
const EXIT_USAGE: u8 = 64;

/// Sends events until stopped or done, as `source::settings` says; the exit code is 64 for wrong settings, 1 when the log-in
/// is refused.
pub async fn source() -> ExitCode {
    let (environment, _exported) = match begin("source") {
        Ok(begun) => begun,
        Err(error) => return exit(Err(error)),
    };
    let options = match source::settings::read(environment) {
        Ok(options) => options,
        Err(mistakes) => return refuse(&mistakes),
    };
    tracing::info!(?options, "source starts");
    let source = Source::new(options);
    let stop = CancellationToken::new();
    let outcome = until_terminated(&stop, source.run(stop.clone())).await;
    let Numbers { sent, accepted, refused, gave_up, unreachable, late, p50_micros, p99_micros, .. } = source.numbers();
    tracing::info!(sent, accepted, refused, gave_up, unreachable, late, p50_micros, p99_micros, "source ends");
    exit(outcome)
}

/// Serves until stopped, as `target::settings` says; the exit code is 64 for wrong settings, 1 when it cannot listen.
pub async fn target() -> ExitCode {
    let (environment, _exported) = match begin("target") {
        Ok(begun) => begun,
        Err(error) => return exit(Err(error)),
    };
    let (address, options) = match target::settings::read(environment) {
        Ok(settings) => settings,
        Err(mistakes) => return refuse(&mistakes),
    };
    tracing::info!(?options, "target starts");
    let stop = CancellationToken::new();
    let listener = TcpListener::bind(address).map_err(target::Error::Serve);
    let target = match listener.and_then(|listener| Target::start(options, listener, stop.clone())) {
        Ok(target) => target,
        Err(error) => return exit(Err(error)),
    };
    tracing::info!(address = %target.address(), "target listens");
    let outcome = until_terminated(&stop, target.stopped()).await;
    tracing::info!(numbers = ?target.numbers(), "target ends");
    exit(outcome)
}

/// Reads the environment, starts the log, and exports spans where that says so.
fn begin(service: &'static str) -> Result<(Environment, Option<trace::Export>), ExporterBuildError> {
    let environment = Environment::of_process();
    start_log(&environment);
    let exported = trace::export(&environment, service)?;
    Ok((environment, exported))
}

/// Starts the log: JSON lines on standard output, `LOG_FILTER` (default `info`) says how many.
fn start_log(environment: &Environment) {
    let filter = environment.text("LOG_FILTER").and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new("info"));
    if tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).try_init().is_err() {
        tracing::debug!("the process already has a log");
    }
}

/// Logs what is wrong with the settings and says how to exit.
fn refuse(mistakes: &Mistakes) -> ExitCode {
    for mistake in mistakes.to_string().lines() {
        tracing::error!("wrong setting: {mistake}");
    }
    ExitCode::from(EXIT_USAGE)
}

/// Does `work`; on SIGTERM or SIGINT cancels `stop` and then waits for the work to end.
async fn until_terminated<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    // Either arm may be dropped: the signal is only listened for, and the work is polled on after it.
    tokio::select! {
        outcome = &mut work => return outcome,
        () = termination() => tracing::info!("told to stop"),
    }
    stop.cancel();
    work.await
}

/// Says how to exit after the work, and logs the error that ended it.
fn exit<E: Error>(outcome: Result<(), E>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = error.source().map(ToString::to_string);
            tracing::error!(%error, cause, "stopped by an error");
            ExitCode::FAILURE
        }
    }
}

/// Ends with the first SIGTERM or SIGINT; never when signals cannot be listened for.
async fn termination() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            // Both arms only listen.
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "could not listen for signals; stop this process by killing it");
            std::future::pending::<()>().await;
        }
    }
}
