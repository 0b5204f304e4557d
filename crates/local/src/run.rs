//! The life of the process: read settings, start, show, stop.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use chassis::figures::grouped;
use chassis::lifecycle::Signals;
use chassis::settings::{EXIT_USAGE, Mistakes};
use chassis::telemetry::{self, LogOutput};
use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use crate::cli::Cli;
use crate::settings::{self, Settings};
use crate::snapshot::History;
use crate::stack::{Left, Stack};
use crate::view::{self, Facts, Screen};

/// How often the live view is drawn.
const FRAME: Duration = Duration::from_millis(250);

/// Runs the process from its command line to its exit code.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            drop(error.print());
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    if let Some(command) = &cli.command {
        return command.run().unwrap_or_else(|error| fail(&error));
    }
    let settings = match read(&cli) {
        Ok(settings) => settings,
        Err(mistakes) => {
            drop(writeln!(io::stderr(), "{mistakes}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let ended = runtime().and_then(|runtime| actix_rt::System::with_tokio_rt(|| runtime).block_on(live(&cli, &settings)));
    ended.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
}

/// What everything runs on but the workers of the public listener, which have threads of their own.
fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build().context("start a runtime")
}

/// Says why it failed, and how to exit.
fn fail(error: &anyhow::Error) -> ExitCode {
    drop(writeln!(io::stderr(), "events-proxy: {error:#}"));
    ExitCode::FAILURE
}

/// Reads and judges the settings.
fn read(cli: &Cli) -> Result<Settings, Mistakes> {
    let layers = settings::layers(cli.data_dir.as_deref())?;
    let mut reader = layers.reader();
    let settings = Settings::read(&mut reader, cli);
    reader.finish()?;
    Ok(settings.expect("invariant: a reader without mistakes has read everything"))
}

/// Starts, waits for the end, stops.
async fn live(cli: &Cli, settings: &Settings) -> anyhow::Result<()> {
    let on_terminal = io::stdout().is_terminal() && !cli.log;
    let log = if on_terminal { LogOutput::None } else { LogOutput::Json };
    let telemetry = telemetry::start(&telemetry::Options { log, ..settings.telemetry.clone() }).context("start telemetry")?;
    let mut signals = Signals::listen().context("listen for signals")?;
    let stack = Stack::start(settings, telemetry.spans()).await?;
    tracing::info!(port = settings.port, admin_port = settings.admin_port, data = %settings.data_dir.display(), "events may be sent");
    let ended = until_the_end(&stack, settings, (on_terminal, &mut signals)).await;
    if let Some(left) = signals.unless_again(stack.stop(settings.stop_grace)).await {
        tracing::info!(
            accepted = left.accepted,
            delivered = left.delivered,
            pending = left.pending,
            "stopped; pending events stay in the data directory"
        );
        if on_terminal {
            farewell(settings, left)?;
        }
    }
    telemetry.stop();
    ended
}

/// Waits for a signal, a key, or the failure of a part.
async fn until_the_end(stack: &Stack, settings: &Settings, (on_terminal, signals): (bool, &mut Signals)) -> anyhow::Result<()> {
    let watching = async { if on_terminal { watch(stack, settings).await } else { std::future::pending().await } };
    // Every arm is cancel-safe: each only waits, or draws.
    tokio::select! {
        _ = signals.next() => Ok(()),
        failure = stack.failed() => Err(failure.into()),
        result = watching => result,
    }
}

/// Draws the live view until a key asks to stop.
async fn watch(stack: &Stack, settings: &Settings) -> anyhow::Result<()> {
    let facts = Facts {
        listens: format!("http://localhost:{}/api/events   (try it: /api-docs/)", settings.port),
        console: format!("http://localhost:{}/console/   (sign in with operator.json)", settings.admin_port),
        target: settings.target_url.clone(),
        data: format!("{}   (credentials.json for your own events)", settings.data_dir.display()),
        limit: settings.limit,
    };
    let mut screen = Screen::open().context("use the terminal; --log does without it")?;
    let mut history = History::default();
    let mut tick = tokio::time::interval(FRAME);
    loop {
        tick.tick().await;
        history.push(stack.snapshot());
        screen.show(&facts, &history).context("draw on the terminal")?;
        if view::asks_to_stop(Duration::ZERO).context("read the terminal")? {
            return Ok(());
        }
    }
}

/// Says what stays.
fn farewell(settings: &Settings, left: Left) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "\nStopped. {} accepted and {} delivered in this run.", grouped(left.accepted), grouped(left.delivered))?;
    if left.pending == 0 {
        writeln!(out, "Nothing is pending.")?;
    } else {
        let data = settings.data_dir.display();
        writeln!(out, "{} pending events are safe in {data}: the next start goes on with them.", grouped(left.pending))?;
    }
    Ok(())
}
