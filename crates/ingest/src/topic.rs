//! Makes the topic where it does not exist yet, in the background: events are accepted while the broker is away.

use std::time::Duration;

use broker::kafka::{Options, ensure_topic};
use chassis::lifecycle::Cause;
use tokio_util::sync::CancellationToken;

use crate::metrics::sentence;

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// How many copies of a topic are kept when we are the ones who make it; an operator's topic keeps its own number.
const COPIES: u16 = 1;

/// Makes the topic, until it is there or the process stops.
///
/// # Errors
/// None: a failure is tried again.
pub async fn ensure(options: Options, stop: CancellationToken) -> Result<(), Cause> {
    let mut failures = 0_u32;
    while let Err(error) = ensure_topic(&options, COPIES).await {
        failures = failures.saturating_add(1);
        if failures.is_power_of_two() {
            tracing::warn!(failures, error = sentence(&error), "the topic is not there yet; events wait in the spool");
        }
        // Both arms are cancel-safe: nothing is under way between two tries.
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    Ok(())
}
