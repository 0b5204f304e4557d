//! How the outside asks this process to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Resolves with the signal's name when SIGTERM or SIGINT arrives. From the first poll on they no longer end the
/// process by themselves; call it again to hear of a second one. Cancel-safe.
///
/// If the system does not let us listen, that is logged, the future waits for ever, and the signals end the process
/// at once, as a crash would: nothing that was accepted is lost by it.
pub async fn termination() -> &'static str {
    match listen().await {
        Ok(name) => name,
        Err(error) => {
            tracing::error!(%error, "cannot listen for signals: a stop will not be graceful");
            std::future::pending().await
        }
    }
}

/// Waits for either signal.
async fn listen() -> io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Both arms are cancel-safe: a signal that is not taken stays.
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::termination;

    #[tokio::test]
    async fn a_signal_to_this_process_is_told_by_name() {
        for (option, name) in [("-TERM", "SIGTERM"), ("-INT", "SIGINT")] {
            let mut waiting = std::pin::pin!(termination());
            // The first poll listens; from then on the signal does not end the process.
            assert!(tokio::time::timeout(Duration::from_millis(10), &mut waiting).await.is_err());
            assert!(Command::new("kill").args([option, &std::process::id().to_string()]).status().unwrap().success());
            assert_eq!(tokio::time::timeout(Duration::from_secs(10), waiting).await, Ok(name));
        }
    }
}
