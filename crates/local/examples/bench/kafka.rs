//! What delivering an event costs on Kafka and PostgreSQL, which share the machine with all that is compared.

use std::io::StdoutLock;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use chaos::installation::Installation;
use chaos::source::Source;
use simulators::target::RATE_REQUESTS_MAX;

use crate::deliver::{IN_FLIGHT, call, compare, deliver, send};

/// How long ingest may take to let the source in.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures both in turn and prints the medians.
pub(crate) fn measure(out: &mut StdoutLock<'_>, _: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().context("make a runtime")?;
    compare(out, "Kafka and PostgreSQL", |target, round| {
        let in_flight = [("DELIVERY_IN_FLIGHT_MAX", IN_FLIGHT.to_string())];
        let mut installation = runtime.block_on(Installation::start(target, RATE_REQUESTS_MAX, &in_flight))?;
        let source = runtime.block_on(Source::log_in(installation.port, PATIENCE, PATIENCE))?;
        send(SocketAddr::from((Ipv4Addr::LOCALHOST, installation.port)), source.token(), round)?;
        runtime.block_on(installation.drain())?;
        let bare = call(target, round)?;
        installation.scale(1)?;
        Ok((bare, deliver(installation.dispatcher()?, target)?))
    })
}
