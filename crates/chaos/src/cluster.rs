//! Three real brokers, each behind a cable of its own: copies 3, in sync at least 2.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::cable::{Cable, Mode};
use crate::process::signal;

/// How many brokers there are.
pub(crate) const BROKERS: usize = 3;
/// How long the brokers may take to start.
const PATIENCE: Duration = Duration::from_secs(180);

/// The brokers; all are killed when they are dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Where they live.
    dir: PathBuf,
    /// The program that starts them.
    services: PathBuf,
    /// The cable to each.
    cables: Vec<Cable>,
}

impl Cluster {
    /// Starts the brokers, by `infra/dev/services` of the repository.
    pub(crate) async fn start(dir: &Path, services: &Path) -> anyhow::Result<Self> {
        let mut listeners = Vec::new();
        for _ in 0..BROKERS {
            listeners.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("find a port for a cable")?);
        }
        let mut cluster = Self { dir: dir.to_owned(), services: services.to_owned(), cables: Vec::new() };
        let ports = listeners.iter().map(|listener| Ok(listener.local_addr()?.port().to_string())).collect::<anyhow::Result<Vec<_>>>()?;
        let mut arguments = vec!["brokers".to_owned(), dir.display().to_string()];
        arguments.extend(ports);
        cluster.call(&arguments).await?;
        for (number, listener) in (1..).zip(listeners) {
            let port = cluster.read(&format!("{number}.port"))?;
            cluster.cables.push(Cable::lay_from(listener, SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port)?)))?);
        }
        Ok(cluster)
    }

    /// Where to ask first.
    pub(crate) fn url(&self) -> String {
        let ends: Vec<String> = self.cables.iter().map(|cable| format!("127.0.0.1:{}", cable.port())).collect();
        ends.join(",")
    }

    /// Changes what a broker's cable does; brokers count from 0.
    pub(crate) fn set(&self, broker: usize, mode: Mode) {
        if let Some(cable) = self.cables.get(broker) {
            cable.set(mode);
        }
    }

    /// The same for all.
    pub(crate) fn set_all(&self, mode: Mode) {
        for cable in &self.cables {
            cable.set(mode);
        }
    }

    /// Sends a broker a signal.
    pub(crate) fn signal(&self, broker: usize, name: &str) -> anyhow::Result<()> {
        let process = self.read(&format!("{}.pid", broker + 1))?;
        signal(process, name).with_context(|| format!("signal broker {broker}"))
    }

    /// Starts a broker again that was killed.
    pub(crate) async fn revive(&self, broker: usize) -> anyhow::Result<()> {
        self.call(&["broker".to_owned(), self.dir.display().to_string(), (broker + 1).to_string()]).await
    }

    /// A number in a file of the brokers' directory.
    fn read(&self, name: &str) -> anyhow::Result<u32> {
        let text = std::fs::read_to_string(self.dir.join(name)).with_context(|| format!("read {name}"))?;
        text.trim().parse().with_context(|| format!("read {name}"))
    }

    /// Calls the program that starts brokers.
    async fn call(&self, arguments: &[String]) -> anyhow::Result<()> {
        let called = Command::new(&self.services).args(arguments).kill_on_drop(true).status();
        let status = tokio::time::timeout(PATIENCE, called).await.context("start brokers")?.context("start brokers")?;
        ensure!(status.success(), "the brokers do not start");
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for broker in 0..BROKERS {
            self.signal(broker, "CONT").ok();
            self.signal(broker, "KILL").ok();
        }
    }
}
