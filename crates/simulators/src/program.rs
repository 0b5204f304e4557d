//! What both programs do around their work: log, stop on a signal, and end with a code that says why.

use std::error::Error;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::environment::{Environment, Mistakes};

/// The exit code for wrong settings, `EX_USAGE` of sysexits.
const EXIT_USAGE: u8 = 64;

/// Starts the log: JSON lines on standard output, `LOG_FILTER` (default `info`) says how many.
pub fn start_log(environment: &Environment) {
    let filter = environment.text("LOG_FILTER").and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new("info"));
    if tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).try_init().is_err() {
        tracing::debug!("the process already has a log");
    }
}

/// Logs what is wrong with the settings and says how to exit.
#[must_use]
pub fn refuse(mistakes: &Mistakes) -> ExitCode {
    for mistake in mistakes.to_string().lines() {
        tracing::error!("wrong setting: {mistake}");
    }
    ExitCode::from(EXIT_USAGE)
}

/// Does `work`; on SIGTERM or SIGINT cancels `stop` and then waits for the work to end.
pub async fn until_terminated<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> T {
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
#[must_use]
pub fn exit<E: Error>(outcome: Result<(), E>) -> ExitCode {
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
