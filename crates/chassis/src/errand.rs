//! A process that does one thing and ends: read settings, do it, say what came of it.
//!
//! It has no listener, no telemetry and no tasks. What it says is one line: on stdout what was done, on stderr why it was not.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::lifecycle::{Cause, Signals, sentence};
use crate::settings::{EXIT_USAGE, Reader, Settings};

/// It was told to stop before it was done.
#[derive(Debug, thiserror::Error)]
#[error("told to stop by {0} before it was done")]
struct Told(&'static str);

/// Runs an errand to its exit code: `read` judges the settings it needs, `work` does it and says so in a sentence.
///
/// 0: it is done. 1: it is not; it may be run again. 64: a setting is wrong. A signal gives up what is under way.
pub fn run<S>(name: &str, read: impl FnOnce(&mut Reader) -> Option<S>, work: impl AsyncFnOnce(S) -> Result<String, Cause>) -> ExitCode {
    let settings = match Settings::load().and_then(|settings| settings.judge(read)) {
        Ok(settings) => settings,
        Err(mistakes) => {
            drop(writeln!(io::stderr(), "{mistakes}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Cause::from);
    match runtime.and_then(|runtime| runtime.block_on(unless_told(work(settings)))) {
        Ok(done) => {
            drop(writeln!(io::stdout(), "{done}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            drop(writeln!(io::stderr(), "{name}: {}", sentence(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

/// Works until it is done or a signal comes, which the first process of a container hears only if it listens.
async fn unless_told(work: impl Future<Output = Result<String, Cause>>) -> Result<String, Cause> {
    let mut signals = Signals::listen()?;
    // Dropping the work leaves undone what is not done.
    tokio::select! {
        done = work => done,
        name = signals.next() => Err(Told(name).into()),
    }
}
