//! Faults of brokers and of the way to them.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use crate::cable::Mode;
use crate::cluster::BROKERS;
use crate::field::Field;

/// How much later everything comes over a slow network.
const SLOW: Duration = Duration::from_millis(120);

/// Kills one broker and starts it again.
pub(super) async fn killed(field: &Field<'_>, lasts: Duration, chance: &mut StdRng) -> anyhow::Result<()> {
    let (cluster, broker) = (&field.ground.cluster, chance.random_range(0..BROKERS));
    cluster.signal(broker, "KILL")?;
    tokio::time::sleep(lasts).await;
    cluster.revive(broker).await
}

/// Kills all brokers and starts them again.
pub(super) async fn all_down(field: &Field<'_>, lasts: Duration) -> anyhow::Result<()> {
    let cluster = &field.ground.cluster;
    for broker in 0..BROKERS {
        cluster.signal(broker, "KILL")?;
    }
    tokio::time::sleep(lasts).await;
    // None serves before two of them are there.
    let revived = tokio::join!(cluster.revive(0), cluster.revive(1), cluster.revive(2));
    revived.0.and(revived.1).and(revived.2)
}

/// Swallows what goes to one broker, or to all of them.
pub(super) async fn black_hole(field: &Field<'_>, lasts: Duration, one: Option<&mut StdRng>) -> anyhow::Result<()> {
    let cluster = &field.ground.cluster;
    match one {
        Some(chance) => cluster.set(chance.random_range(0..BROKERS), Mode::Silent),
        None => cluster.set_all(Mode::Silent),
    }
    tokio::time::sleep(lasts).await;
    cluster.set_all(Mode::Open);
    Ok(())
}

/// Delays what goes to all brokers and comes from them.
pub(super) async fn slow(field: &Field<'_>, lasts: Duration) -> anyhow::Result<()> {
    field.ground.cluster.set_all(Mode::Slow(SLOW));
    tokio::time::sleep(lasts).await;
    field.ground.cluster.set_all(Mode::Open);
    Ok(())
}

/// Pauses one broker.
pub(super) async fn paused(field: &Field<'_>, lasts: Duration, chance: &mut StdRng) -> anyhow::Result<()> {
    let (cluster, broker) = (&field.ground.cluster, chance.random_range(0..BROKERS));
    cluster.signal(broker, "STOP")?;
    tokio::time::sleep(lasts).await;
    cluster.signal(broker, "CONT")
}
