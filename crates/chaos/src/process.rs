//! A process of the product: started with nothing but the given settings, its output in a file, killed when dropped.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::time::Instant;

/// How often is looked whether a process has ended.
const LOOK: Duration = Duration::from_millis(20);
/// How long a tick is in which the kernel counts CPU time: the same on every Linux of today.
const TICK: Duration = Duration::from_millis(10);

/// A running process.
#[derive(Debug)]
pub struct Process {
    /// The child.
    child: Child,
    /// Where its output goes.
    log: PathBuf,
}

impl Process {
    /// Starts a command with these settings and nothing else in its environment; its output is appended to a file.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start<'a>(command: &mut Command, log: &Path, settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> io::Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        let command = command.env_clear().envs(settings).stdin(Stdio::null());
        let child = command.stdout(output.try_clone()?).stderr(output).spawn()?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        signal(self.id(), name)
    }

    /// Waits at most so long for its end; nothing when it goes on.
    ///
    /// # Errors
    /// The system does not say.
    pub async fn ended(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What it wrote so far.
    ///
    /// # Errors
    /// Its log cannot be read.
    pub fn written(&self) -> io::Result<String> {
        fs::read_to_string(&self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill().ok();
    }
}

/// Sends a process a signal.
///
/// # Errors
/// The system does not let us.
pub fn signal(process: u32, name: &str) -> io::Result<()> {
    let sent = Command::new("kill").args([format!("-{name}"), process.to_string()]).status()?;
    if sent.success() { Ok(()) } else { Err(io::Error::other(format!("kill -{name} {process} failed"))) }
}

/// A port that was free a moment ago.
///
/// # Errors
/// There is none.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// What a process has used.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    /// CPU time since its start, of user and system, to 10 ms.
    pub cpu: Duration,
    /// Memory now, in MiB.
    pub resident_mib: f64,
}

/// Asks the kernel what a process has used.
///
/// # Errors
/// There is no such process, or it has ended and nobody waited for it, or the kernel tells it in another way.
pub fn used(process: u32) -> io::Result<Used> {
    let strange = || io::Error::other(format!("the kernel tells nothing readable of process {process}"));
    let told = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}"));
    let (stat, status) = (told("stat")?, told("status")?);
    // The name in brackets may hold spaces; user and system time are the 12th and 13th field behind it.
    let (_, fields) = stat.rsplit_once(')').ok_or_else(strange)?;
    let ticks: u32 =
        fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<u32>).sum::<Result<_, _>>().map_err(|_| strange())?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or_else(strange)?;
    let kib: u32 = resident.trim().trim_end_matches(" kB").parse().map_err(|_| strange())?;
    Ok(Used { cpu: TICK * ticks, resident_mib: f64::from(kib) / 1024.0 })
}
