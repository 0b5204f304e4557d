//! The life of a separate process: read settings, start, wait for a signal or a failure, stop, exit code.
//!
//! ```text
//! settings ─wrong─▶ every mistake on stderr, 64
//!    └─▶ telemetry ─▶ the process's own life, beside the private listener ─▶ telemetry's end ─▶ 0, or 1 with the cause
//! ```

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin, Readiness, Routes};
use crate::lifecycle::{Cause, Failure, OnFailure, Signals, Tasks, sentence};
use crate::metrics::Registry;
use crate::port;
use crate::settings::{EXIT_USAGE, Mistakes, Reader, Settings, common};
use crate::telemetry::{self, LogOutput};

/// How long tasks that serve the process itself may take to end.
const TASKS_PATIENCE: Duration = Duration::from_secs(5);

/// Which process this is.
#[derive(Debug, Clone, Copy)]
pub struct Name {
    /// The binary's name.
    pub service: &'static str,
    /// The private port when nobody says otherwise.
    pub admin_port: u16,
}

/// What every process has.
#[derive(Debug)]
pub struct Process {
    /// Where probes come; taken when they are answered.
    private: Mutex<Option<TcpListener>>,
    /// Ends the private listener, last of all.
    hush: CancellationToken,
    /// The thread that answers.
    serving: Mutex<Option<thread::JoinHandle<()>>>,
    /// Its tasks; their stop is the last thing of its life.
    pub tasks: Tasks,
    /// Its numbers.
    pub registry: Registry,
    /// Whether it should get work.
    pub readiness: Readiness,
    /// How long a stop may take.
    pub stop_grace: Duration,
    /// What this replica is called.
    pub replica: String,
    /// How it is told to stop; heard from the first moment on, whatever the start is busy with.
    signals: tokio::sync::Mutex<Signals>,
}

/// Runs a process to its exit code: `read` judges the settings it has besides the common ones, `live` is its life,
/// which ends after [`Process::ends`] has told it to.
pub fn run<S>(
    name: Name,
    read: impl FnOnce(&mut Reader) -> Option<S>,
    live: impl AsyncFnOnce(&Process, S) -> Result<(), Cause>,
) -> ExitCode {
    let (own, common) = match settings(name, read) {
        Ok(settings) => settings,
        Err(mistakes) => {
            drop(writeln!(io::stderr(), "{mistakes}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Cause::from)
        .and_then(|runtime| runtime.block_on(whole(common, async |process| live(process, own).await)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "{}: {}", name.service, sentence(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

/// What every process reads.
struct Common {
    /// The private port.
    admin_port: u16,
    /// Logs and traces.
    telemetry: telemetry::Options,
    /// How long a stop may take.
    stop_grace: Duration,
}

/// Reads and judges all settings.
fn settings<S>(name: Name, read: impl FnOnce(&mut Reader) -> Option<S>) -> Result<(S, Common), Mistakes> {
    Settings::load()?.judge(|reader| {
        let own = read(reader);
        let common = common(name, reader);
        own.zip(common)
    })
}

/// The settings of every process; `None` when something is wrong, which the reader then knows.
fn common(name: Name, reader: &mut Reader) -> Option<Common> {
    let admin_port = reader.optional_number("admin_port", 0..=65_535);
    let telemetry = common::telemetry(reader, name.service, LogOutput::Json);
    let stop_grace = common::stop_grace(reader);
    Some(Common { admin_port: admin_port?.unwrap_or(name.admin_port), telemetry: telemetry?, stop_grace: stop_grace? })
}

/// From the start of telemetry to its end.
async fn whole(common: Common, live: impl AsyncFnOnce(&Process) -> Result<(), Cause>) -> Result<(), Cause> {
    let telemetry = telemetry::start(&common.telemetry)?;
    let signals = Signals::listen()?;
    let ended = match listen(common.admin_port) {
        Ok(private) => {
            let process = Process::new(private, common.stop_grace, (common.telemetry.replica.clone(), signals));
            telemetry.spans().into_iter().for_each(|spans| process.registry.tell_spans(spans));
            process.run(live).await
        }
        Err(unusable) => Err(unusable),
    };
    telemetry.stop();
    ended
}

impl Process {
    /// A process that answers nobody yet.
    fn new(private: TcpListener, stop_grace: Duration, (replica, signals): (String, Signals)) -> Self {
        Self {
            private: Mutex::new(Some(private)),
            hush: CancellationToken::new(),
            serving: Mutex::default(),
            tasks: Tasks::new(),
            registry: Registry::new(),
            readiness: Readiness::new(),
            stop_grace,
            replica,
            signals: tokio::sync::Mutex::new(signals),
        }
    }

    /// Lives, then ends the tasks, then the private listener: while the process stops it answers to the last.
    async fn run(self, live: impl AsyncFnOnce(&Self) -> Result<(), Cause>) -> Result<(), Cause> {
        let ended = live(&self).await;
        self.hush.cancel();
        self.tasks.stop(TASKS_PATIENCE).await;
        if let Some(serving) = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(serving.join());
        }
        ended
    }

    /// Answers probes and these routes from now on, on a thread of its own, so that a busy runtime does not look dead.
    /// The first call counts.
    pub fn answer(&self, routes: Routes) {
        let Some(listener) = self.private.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let admin = Admin { registry: self.registry.clone(), readiness: self.readiness.clone(), routes };
        let serving = apart(listener, admin, self.hush.clone(), &self.tasks);
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(serving);
    }

    /// Waits until the process shall end: a signal, or the failure of a task that it cannot do without.
    ///
    /// # Errors
    /// [`Failure`] of that task.
    pub async fn ends(&self) -> Result<(), Failure> {
        let mut signals = self.signals.lock().await;
        // Both arms are cancel-safe: each only waits.
        tokio::select! {
            name = signals.next() => {
                tracing::info!(signal = name, "told to stop");
                Ok(())
            }
            failure = self.tasks.failed() => Err(failure),
        }
    }

    /// Waits for a stop, unless the process is told to stop once more: then nothing, and the process ends at once.
    pub async fn unless_told_again<T>(&self, stop: impl Future<Output = T>) -> Option<T> {
        self.signals.lock().await.unless_again(stop).await
    }
}

/// Listens where probes come, on every interface.
fn listen(port: u16) -> Result<TcpListener, Cause> {
    let taken = port::take((Ipv4Addr::UNSPECIFIED, port).into(), "ADMIN_PORT")?;
    port::open(&taken)?;
    Ok(taken)
}

/// Serves on a thread of its own.
fn apart(listener: TcpListener, admin: Admin, stop: CancellationToken, tasks: &Tasks) -> thread::JoinHandle<()> {
    let (told, failed) = oneshot::channel();
    tasks.spawn("admin listener", OnFailure::StopProcess, async move { failed.await.unwrap_or(Ok(())).map_err(Cause::from) });
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let served = runtime.and_then(|runtime| tokio::task::LocalSet::new().block_on(&runtime, admin::serve(listener, admin, stop)));
        drop(told.send(served));
    })
}
