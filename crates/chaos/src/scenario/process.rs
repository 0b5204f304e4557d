//! Faults of our own process, and of the database that it does without.

use std::time::Duration;

use anyhow::{Context, ensure};
use rand::Rng;
use rand::rngs::StdRng;

use crate::cable::Mode;
use crate::field::Field;

/// How often ingest is killed.
const KILLS: u32 = 10;
/// How long a process that was told twice may take to end.
const AT_ONCE: Duration = Duration::from_secs(10);
/// What makes ingest the first process of a namespace, as it is in a container.
const FIRST: [&str; 4] = ["unshare", "--pid", "--fork", "--kill-child"];

/// Cuts the way to the database.
pub(super) async fn database_down(field: &Field<'_>, lasts: Duration) -> anyhow::Result<()> {
    field.ground.database.set(Mode::Cut);
    tokio::time::sleep(lasts).await;
    field.ground.database.set(Mode::Open);
    Ok(())
}

/// Kills ingest again and again.
pub(super) async fn killed(field: &mut Field<'_>, chance: &mut StdRng) -> anyhow::Result<()> {
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(chance.random_range(150..700))).await;
        field.ingest()?.kill().context("kill ingest")?;
        field.start_ingest(None)?;
    }
    Ok(())
}

/// Kills ingest while it publishes what an outage left behind.
pub(super) async fn killed_catching_up(field: &mut Field<'_>, lasts: Duration) -> anyhow::Result<()> {
    field.ground.cluster.set_all(Mode::Silent);
    tokio::time::sleep(lasts).await;
    field.ground.cluster.set_all(Mode::Slow(Duration::from_millis(30)));
    let mut caught = false;
    for _ in 0..400 {
        let (spooled, published) = (field.figure("spool_unpublished").await, field.figure("events_published_total").await);
        caught = spooled.is_some_and(|waiting| waiting > 0.0) && published.is_some_and(|published| published > 1.0);
        if caught {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    ensure!(caught, "ingest was never seen to catch up");
    field.ingest()?.kill().context("kill ingest")?;
    field.start_ingest(None)?;
    field.ground.cluster.set_all(Mode::Open);
    Ok(())
}

/// Tells ingest to stop while it cannot drain, and tells it again.
pub(super) async fn stopped_twice(field: &mut Field<'_>, lasts: Duration) -> anyhow::Result<()> {
    field.ingest()?.kill().context("kill ingest")?;
    field.start_ingest(Some(&FIRST))?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    field.ground.cluster.set_all(Mode::Silent);
    tokio::time::sleep(lasts).await;
    let first = child_of(field.ingest()?.id()).await?;
    crate::process::signal(first, "TERM").context("tell ingest to stop")?;
    let ended = field.ingest()?.ended(Duration::from_secs(1)).await?;
    ensure!(ended.is_none(), "ingest ended with {ended:?} although its spool was not drained");
    crate::process::signal(first, "TERM").context("tell ingest to stop again")?;
    let ended = field.ingest()?.ended(AT_ONCE).await?.context("ingest was told twice and did not end")?;
    ensure!(ended.success(), "ingest was told to stop and ended with {ended}");
    field.start_ingest(None)?;
    field.ground.cluster.set_all(Mode::Open);
    Ok(())
}

/// The only child of a process, once there is one.
async fn child_of(parent: u32) -> anyhow::Result<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    for _ in 0..100 {
        let text = std::fs::read_to_string(&path).context("look for ingest")?;
        if let Some(child) = text.split_whitespace().next() {
            return child.parse().context("look for ingest");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("ingest is not there")
}
