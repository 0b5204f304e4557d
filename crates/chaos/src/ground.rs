//! What all runs stand on: brokers, a database server, and the binaries of the product.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use sea_orm::{ConnectionTrait, Database};

use crate::cable::{Cable, Mode};
use crate::cluster::Cluster;

/// The ground.
#[derive(Debug)]
pub(crate) struct Ground {
    /// The brokers.
    pub(crate) cluster: Cluster,
    /// The cable to the database server.
    pub(crate) database: Cable,
    /// The server's URL without a cable.
    admin: String,
    /// Where the binaries are.
    binaries: PathBuf,
    /// Where to keep what must be quick.
    pub(crate) quick: PathBuf,
}

impl Ground {
    /// Prepares it, with brokers in a directory of their own.
    pub(crate) async fn prepare(quick: PathBuf, brokers: &Path) -> anyhow::Result<Self> {
        let this = std::env::current_exe().context("find this program")?;
        let binaries = this.parent().context("find the build's directory")?.to_owned();
        let variable = |name: &str| std::env::vars_os().find(|(key, _)| key == name).and_then(|(_, value)| value.into_string().ok());
        let admin = variable("TEST_DATABASE_URL").context("TEST_DATABASE_URL is not set: `make chaos` brings a server up")?;
        let services = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/dev/services");
        let database = Cable::lay(address(&admin)?).await?;
        let cluster = Cluster::start(brokers, &services).await?;
        Ok(Self { cluster, database, admin, binaries, quick })
    }

    /// Lets everything through again.
    pub(crate) fn heal(&self) {
        self.cluster.set_all(Mode::Open);
        self.database.set(Mode::Open);
    }

    /// A binary of the product.
    pub(crate) fn binary(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.binaries.join(name);
        ensure!(path.exists(), "{} is not built: `make chaos` builds it", path.display());
        Ok(path)
    }

    /// Makes a database; its URL leads over the cable.
    pub(crate) async fn new_database(&self, name: &str) -> anyhow::Result<String> {
        let connection = Database::connect(&self.admin).await.context("reach the database server")?;
        connection.execute_unprepared(&format!("CREATE DATABASE {name}")).await.context("make a database")?;
        let (server, _) = self.admin.rsplit_once('/').context("read TEST_DATABASE_URL")?;
        let (before, _) = server.rsplit_once('@').context("read TEST_DATABASE_URL")?;
        Ok(format!("{before}@127.0.0.1:{}/{name}", self.database.port()))
    }
}

/// The address of a server in a URL.
fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let rest = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    host.parse().with_context(|| format!("read the address `{host}`: it must be numeric"))
}
