//! Where events end that the topic will never take: as dead rows with payload and reason.

use std::sync::Arc;
use std::time::Duration;

use broker::FetchError;
use broker::log::Cursor;
use chassis::clock::Clock;
use chassis::lifecycle::{Cause, sentence};
use events_proxy_core::{DeadReason, Envelope};
use storage::{Commit, End, Settled, Store, Undecodable};

use crate::metrics::Metrics;
use crate::publish::{Buried, Refused};

/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Makes dead rows of refused records.
#[derive(Debug)]
pub(crate) struct Graveyard {
    /// Where they wait.
    pub(crate) refused: Refused,
    /// Where they end.
    pub(crate) store: Store,
    /// Tells when.
    pub(crate) clock: Arc<dyn Clock>,
    /// Counts.
    pub(crate) metrics: Metrics,
}

impl Graveyard {
    /// Buries what is refused, in order, for as long as the process runs. A crash buries some again, at the same place.
    pub(crate) async fn dig(self) -> Result<(), Cause> {
        let cursor = self.refused.buried();
        let mut from = cursor.position();
        loop {
            match self.refused.read(from).await {
                Ok(fetched) => {
                    let some = !fetched.records.is_empty();
                    for received in fetched.records {
                        self.bury(received.into()).await;
                    }
                    from = fetched.next;
                    if some {
                        self.pass(cursor, from).await;
                    }
                }
                Err(FetchError::Unreadable { offset, cause, .. }) => {
                    self.metrics.refused_event_lost(offset, cause.as_ref());
                    from = offset + 1;
                    self.pass(cursor, from).await;
                }
                Err(FetchError::Retry { cause, .. }) => {
                    self.metrics.refused_unreadable(cause.as_ref());
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error @ FetchError::OutOfRange { .. }) => return Err(error.into()),
            }
        }
    }

    /// Notes how far it has come; not being able to buries some again.
    async fn pass(&self, cursor: &Cursor, to: u64) {
        if cursor.advance(to).await.is_ok() {
            self.refused.trim(to).await;
        }
    }

    /// Buries one; tries until the storage has it.
    async fn bury(&self, buried: Buried) {
        let commit = self.commit(buried);
        let mut failures = 0_u32;
        while let Err(error) = self.store.commit(&commit).await {
            failures = failures.saturating_add(1);
            self.metrics.burial_failed(failures, &error);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The dead row of a record. What stands for the topic of an event that never reached one is its spool.
    fn commit(&self, buried: Buried) -> Commit {
        let at = self.clock.now();
        let Buried { offset, record, reason } = buried;
        let topic = format!("(spool {})", self.refused.name());
        let mut commit = Commit { topic, partition: 0, progress: None, settled: Vec::new(), undecodable: Vec::new() };
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
                end: End::Dead { reason: DeadReason::Unpublishable, detail: reason },
                record,
            }),
            Err(error) => {
                let detail = format!("{reason}; {}", sentence(&error));
                commit.undecodable.push(Undecodable { partition: 0, offset, record, detail, at, was_parked: false });
            }
        }
        commit
    }
}
