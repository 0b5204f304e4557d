//! One partition's worker: batches what waits, publishes it, and tells what is done.

use std::ops::Range;

use broker::{PublishError, Publisher};
use chassis::lifecycle::{Cause, sentence};
use events_proxy_core::envelope::Record;

use super::acks::Acks;
use super::batch::{self, RECORDS};
use super::lane::{Done, Inlet, Waiting};
use super::news::{self, News};
use super::refused::Refused;
use crate::metrics::Metrics;

/// What every partition's worker has.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    /// Tells of published events.
    pub(crate) news: News,
    /// Where unpublishable ones end.
    pub(crate) refused: Refused,
    /// Who waits for the topic.
    pub(crate) acks: Acks,
    /// Counts.
    pub(crate) metrics: Metrics,
}

impl Worker {
    /// Publishes what comes until the queues are closed.
    pub(super) async fn work(&self, partition: u32, publisher: &dyn Publisher, mut inlet: Inlet) -> Result<(), Cause> {
        let mut waiting = Vec::with_capacity(RECORDS);
        while inlet.gather(&mut waiting).await {
            while !waiting.is_empty() {
                let rest = waiting.split_off(batch::len(&waiting));
                let [mut backlog, mut fresh] = [Done::default(), Done::default()];
                for one in &waiting {
                    let done = if one.fresh { &mut fresh } else { &mut backlog };
                    done.offsets.push(one.offset);
                    done.bytes += one.record.bytes();
                }
                self.publish(partition, publisher, waiting).await;
                waiting = rest;
                for (told, done) in inlet.done.iter().zip([backlog, fresh]) {
                    if !done.offsets.is_empty() && told.send(done).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Publishes a batch, in halves where it is too large; ends when each record is on the topic or kept as refused.
    async fn publish(&self, partition: u32, publisher: &dyn Publisher, batch: Vec<Waiting>) {
        let spans = news::spans(partition, batch.iter().map(|waiting| &waiting.record));
        let (offsets, records): (Vec<u64>, Vec<Record>) = batch.into_iter().map(|waiting| (waiting.offset, waiting.record)).unzip();
        // Ranges of the batch, the next one last.
        let mut stack: Vec<Range<usize>> = std::iter::once(0..records.len()).collect();
        let mut attempt = 0_u32;
        while let Some(range) = stack.pop() {
            let (Some(some), Some(places)) = (records.get(range.clone()), offsets.get(range.clone())) else { continue };
            match publisher.publish(partition, some).await {
                Ok(first) => {
                    attempt = 0;
                    self.acks.tell(places);
                    self.acks.tell_ailing(partition, false);
                    self.metrics.published(some, self.news.clock.now());
                    self.news.note(partition, first, some);
                }
                Err(error @ PublishError::Retry { .. }) => {
                    attempt = attempt.saturating_add(1);
                    self.acks.tell_ailing(partition, true);
                    self.metrics.publish_failed(partition, attempt, &error);
                    stack.push(range);
                    tokio::time::sleep(batch::pause(attempt, spread())).await;
                }
                Err(error @ (PublishError::TooLarge { .. } | PublishError::Refused { .. })) => match (some, places) {
                    ([record], [offset]) => self.refused.keep(record, (*offset, &sentence(&error))).await,
                    _ => {
                        let middle = range.start.midpoint(range.end);
                        stack.extend([middle..range.end, range.start..middle]);
                    }
                },
            }
        }
        drop(spans);
    }
}

/// A number that differs from partition to partition and from time to time.
fn spread() -> u8 {
    uuid::Uuid::new_v4().as_bytes().first().copied().unwrap_or_default()
}
