//! Where events end that the topic will never take: as dead rows with payload and reason.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::clock::Clock;
use events_proxy_core::{DeadReason, Envelope};
use storage::{Commit, End, Settled, Store, Undecodable};

use crate::metrics::Metrics;
use crate::publish::{Burial, Waiting};
use chassis::lifecycle::sentence;

/// The name that stands for the topic of an event that never reached one; its offset is the spool's.
const TOPIC: &str = "(spool)";
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Dead rows in the storage.
#[derive(Debug)]
pub(crate) struct Graveyard {
    /// Where.
    pub(crate) store: Store,
    /// Tells when.
    pub(crate) clock: Arc<dyn Clock>,
    /// Counts.
    pub(crate) metrics: Metrics,
}

#[async_trait]
impl Burial for Graveyard {
    async fn bury(&self, waiting: &Waiting, detail: String) {
        let commit = self.commit(waiting, detail);
        let mut failures = 0_u32;
        while let Err(error) = self.store.commit(&commit).await {
            failures = failures.saturating_add(1);
            self.metrics.burial_failed(failures, &error);
            tokio::time::sleep(PAUSE).await;
        }
        tracing::warn!(spool.offset = waiting.offset, "an event is dead: the topic refuses it; its payload is kept");
    }
}

impl Graveyard {
    /// The dead row of a record.
    fn commit(&self, waiting: &Waiting, detail: String) -> Commit {
        let (at, offset, record) = (self.clock.now(), waiting.offset, waiting.record.clone());
        let mut commit = Commit { topic: TOPIC.to_owned(), partition: 0, progress: None, settled: Vec::new(), undecodable: Vec::new() };
        match Envelope::decode(&record) {
            Ok(envelope) => commit.settled.push(Settled {
                source_id: envelope.source_id,
                event_id: envelope.event.id,
                name: envelope.event.name,
                trace_id: envelope.trace.trace_id().to_owned(),
                brand: None,
                received_at: envelope.received_at,
                consumed_at: at,
                settled_at: at,
                partition: 0,
                offset,
                attempts: Vec::new(),
                forgiven: 0,
                end: End::Dead { reason: DeadReason::Unpublishable, detail },
                record,
            }),
            Err(error) => {
                let detail = format!("{detail}; {}", sentence(&error));
                commit.undecodable.push(Undecodable { partition: 0, offset, record, detail, at });
            }
        }
        commit
    }
}
