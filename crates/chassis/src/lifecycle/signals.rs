//! How the outside asks this process to stop.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears SIGTERM and SIGINT from its making on: they no longer end the process by themselves, and none is missed while
/// nobody waits. The first process of a container has no other way to be stopped: the system drops what it does not hear.
#[derive(Debug)]
pub struct Signals {
    /// Asks to stop.
    terminate: Signal,
    /// The same, from a terminal.
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen; within a tokio runtime.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Resolves with the name of the next signal; several of one kind that nobody waited for count as one. Cancel-safe.
    pub async fn next(&mut self) -> &'static str {
        // Both arms are cancel-safe: a signal that is not taken stays.
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits for a stop, unless a further signal comes: then nothing, and whoever asked does not wait any longer.
    pub async fn unless_again<T>(&mut self, stop: impl Future<Output = T>) -> Option<T> {
        // Dropping the stop leaves what is not done undone; a signal that is not taken stays.
        tokio::select! {
            stopped = stop => Some(stopped),
            name = self.next() => {
                tracing::warn!(signal = name, "told to stop again: what is under way is given up, and nothing that was accepted is lost");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::Signals;

    /// Signals this process.
    fn send(option: &str) {
        assert!(Command::new("kill").args([option, &std::process::id().to_string()]).status().unwrap().success());
    }

    #[tokio::test]
    async fn a_signal_to_this_process_is_told_by_name_also_when_nobody_waited_for_it() {
        let mut signals = Signals::listen().unwrap();
        for (option, name) in [("-TERM", "SIGTERM"), ("-INT", "SIGINT")] {
            send(option);
            assert_eq!(tokio::time::timeout(Duration::from_secs(10), signals.next()).await, Ok(name));
        }
        // A process hears its signals everywhere, so the two cases stand in one test.
        assert_eq!(signals.unless_again(async { 7 }).await, Some(7));
        send("-TERM");
        assert_eq!(signals.unless_again(std::future::pending::<()>()).await, None);
    }
}
