//! Makes the topic where it does not exist yet, in the background: events are accepted while the broker is away.

use std::sync::Arc;
use std::time::Duration;

use broker::Publisher;
use chassis::lifecycle::{Cause, sentence};
use tokio_util::sync::CancellationToken;

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes the topic, until it is there or the process stops.
///
/// # Errors
/// None: a failure is tried again.
pub(crate) async fn prepare(publisher: Arc<dyn Publisher>, stop: CancellationToken) -> Result<(), Cause> {
    let mut failures = 0_u32;
    while let Err(error) = publisher.prepare().await {
        failures = failures.saturating_add(1);
        if failures.is_power_of_two() {
            tracing::warn!(failures, error = sentence(error.as_ref()), "the topic is not there yet; events wait in the spool");
        }
        // Both arms are cancel-safe: nothing is under way between two tries.
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    Ok(())
}
