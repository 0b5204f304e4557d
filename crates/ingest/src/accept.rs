//! Stage 4 of 10 — accept: makes the event durable; the 202 follows.
//!
//! Law: [`Accept::accept`] answers `Ok` only after what [`Durability`] asks for: the record was fsynced in the spool, or the
//! topic acknowledged it. It answers within the deadline, whatever disk and broker do; only the second way publishes.
//!
//! ```text
//! volume   spool ─fsync─▶ 202
//! both     spool ─fsync─▶ wait softly for the topic ─▶ 202 either way
//! broker   spool ───────▶ wait for the topic ─▶ 202, or 503 at the deadline
//! all      spool failed, full or late ─▶ straight to the topic too ─▶ 202 by whichever is first, or 503
//! ```
//! Next: `crates/ingest/src/publish.rs`.

mod budget;
mod overtaken;
mod straight;

use std::pin::{Pin, pin};
use std::slice;
use std::sync::Arc;

use broker::log::{AppendError, Log};
use chassis::clock::Clock;
use events_proxy_core::envelope::{ACCEPTED_AT, Record};
use events_proxy_core::{Envelope, partition};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::metrics::{Metrics, SpoolFault, Waited, Way};
use crate::publish::Acks;
use crate::settings::Durability;

pub(crate) use budget::Budget;
pub(crate) use overtaken::Overtaken;
use straight::Shut;
pub(crate) use straight::Straight;

/// Neither the disk nor the broker took the event in time.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no durable path took the event in time")]
pub(crate) struct NoDurablePath;

/// Makes events durable.
#[derive(Debug)]
pub(crate) struct Accept {
    /// What a 202 needs.
    pub(crate) durability: Durability,
    /// The first way.
    pub(crate) spool: Log,
    /// The second way.
    pub(crate) straight: Straight,
    /// How many partitions the topic has.
    pub(crate) partitions: u32,
    /// What the topic has of the spool.
    pub(crate) acks: Acks,
    /// Events that went the second way while the first was still open.
    pub(crate) overtaken: Overtaken,
    /// Tells when.
    pub(crate) clock: Arc<dyn Clock>,
    /// Counts.
    pub(crate) metrics: Metrics,
}

impl Accept {
    /// Makes an event durable within a request's budget.
    pub(crate) async fn accept(&self, envelope: &Envelope, budget: Budget) -> Result<(), NoDurablePath> {
        let mut record = envelope.encode().map_err(|_| NoDurablePath)?;
        record.headers.set(ACCEPTED_AT, self.clock.now().as_micros().to_string().as_bytes());
        let mut spooling = pin!(self.spool.append(slice::from_ref(&record)));
        let way = match timeout_at(budget.spooled(Instant::now()), &mut spooling).await {
            Ok(Ok(offset)) => self.spooled(&record, offset, budget).await?,
            Ok(Err(error)) => {
                self.metrics.spool_failed(SpoolFault::of(&error), &error);
                let shut = pin!(std::future::pending());
                Box::pin(self.first(&record, shut, (false, budget))).await?
            }
            Err(late) => {
                self.metrics.spool_failed(SpoolFault::Late, &late);
                Box::pin(self.first(&record, spooling, (self.durability != Durability::Broker, budget))).await?
            }
        };
        self.metrics.accepted(way, budget, envelope);
        Ok(())
    }

    /// Goes straight to the topic, while the spool may still answer if it is open: whichever has the record first will do.
    async fn first(
        &self,
        record: &Record,
        mut spooling: Pin<&mut impl Future<Output = Result<u64, AppendError>>>,
        (mut open, budget): (bool, Budget),
    ) -> Result<Way, NoDurablePath> {
        let mut going = pin!(self.straight.publish(record.clone(), budget.answered()));
        let mut refused = None;
        loop {
            // Whoever is not waited for any more may still land: the event is then delivered, and once.
            tokio::select! {
                spooled = &mut spooling, if open => match spooled {
                    Ok(offset) => return self.spooled(record, offset, budget).await,
                    Err(_) => open = false,
                },
                gone = &mut going, if refused.is_none() => match gone {
                    Ok(()) => {
                        if open {
                            self.overtaken.note(Overtaken::name(record));
                        }
                        return Ok(Way::Broker);
                    }
                    Err(shut) => refused = Some(shut),
                },
                () = sleep_until(budget.answered()) => break,
                else => break,
            }
            if !open && refused.is_some() {
                break;
            }
        }
        self.metrics.no_durable_path(&refused.unwrap_or(Shut::Late));
        Err(NoDurablePath)
    }

    /// The spool has the record: waits for the topic where that is asked for.
    async fn spooled(&self, record: &Record, offset: u64, budget: Budget) -> Result<Way, NoDurablePath> {
        Ok(match self.durability {
            Durability::Volume => Way::Spool,
            Durability::Both => self.wait_softly(record, offset, budget).await,
            Durability::Broker => match timeout_at(budget.answered(), self.acks.landed(offset)).await {
                Ok(()) => Way::Both,
                Err(late) => {
                    self.metrics.no_durable_path(&late);
                    return Err(NoDurablePath);
                }
            },
        })
    }

    /// Waits for the topic, unless its partition is known to be in trouble; the event is safe either way.
    async fn wait_softly(&self, record: &Record, offset: u64, budget: Budget) -> Way {
        let partition = partition::assign(&record.key, self.partitions);
        let (waited, way) = if self.acks.is_ailing(partition) {
            (Waited::Skipped, Way::Spool)
        } else if timeout_at(budget.acked(Instant::now()), self.acks.landed(offset)).await.is_ok() {
            (Waited::Acked, Way::Both)
        } else {
            // The next one does not wait: the first batch that the topic takes says that it is well again.
            self.acks.tell_ailing(partition, true);
            (Waited::Late, Way::Spool)
        };
        self.metrics.waited(waited);
        way
    }
}

#[cfg(test)]
#[path = "accept_tests.rs"]
mod tests;
