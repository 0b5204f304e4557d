//! What a member owns, as a state machine: no clock, no I/O, so that a simulation can break everything around it.
//!
//! ```text
//!            claimed                over quota, or the process stops          drained and given back
//! not owned ─────────▶ owned ────────────────────────────────────────▶ leaving ─────────────────────▶ not owned
//!                        └─────────────── another owns it, or a commit was fenced ──┴──▶ not owned, at once
//!
//! valid until = the moment before the beat was sent + TTL − margin;  an attempt starts only if it ends before that
//! ```
//! Moments are this process' own, monotonic, from any origin: no clock is compared with another's.

use std::collections::BTreeMap;
use std::time::Duration;

use storage::{Holding, Standing};

/// The times that leases live by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long a lease lasts in the database from a beat on.
    pub ttl: Duration,
    /// How much of that is not used here: clocks that run apart, and the time between a look at the lease and the sending.
    pub margin: Duration,
    /// The time between beats.
    pub renew: Duration,
    /// How long an attempt may take.
    pub attempt: Duration,
}

impl Terms {
    /// Says whether attempts can be made under them even when a beat is lost now and then.
    #[must_use]
    pub fn hold(&self) -> bool {
        self.attempt + self.margin + self.renew * 2 <= self.ttl
    }
}

/// What is to be done about a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is ours: work on it.
    Begin(Holding),
    /// Start nothing more, settle what is under way, and give it back.
    Leave(u32),
    /// It is another's: drop it.
    Lose(u32),
}

/// A partition that is owned.
#[derive(Debug, Clone, Copy)]
struct Lease {
    /// Its epoch.
    epoch: u64,
    /// Until when nobody else can own it.
    valid_until: Duration,
    /// Whether it is to be given back.
    leaving: bool,
}

/// What is known of a partition's lease that was lost.
#[derive(Debug, Clone, Copy, Default)]
struct Former {
    /// Its epoch: an answer that still names it was overtaken by the news of the loss.
    epoch: u64,
    /// Until when attempts may be out under it: a partition that came back is not given away before.
    until: Duration,
}

/// What a member owns.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The times.
    terms: Terms,
    /// Its partitions.
    leases: BTreeMap<u32, Lease>,
    /// What is known of leases that were lost.
    former: BTreeMap<u32, Former>,
    /// Whether the process stops.
    stopping: bool,
}

impl Plan {
    /// A member that owns nothing yet.
    pub(crate) const fn new(terms: Terms) -> Self {
        Self { terms, leases: BTreeMap::new(), former: BTreeMap::new(), stopping: false }
    }

    /// Takes the answer to a beat that was sent at a moment.
    pub(crate) fn beaten(&mut self, sent_at: Duration, standing: &Standing) -> Vec<Change> {
        let valid_until = (sent_at + self.terms.ttl).saturating_sub(self.terms.margin);
        let mut changes = self.lose_others(&standing.held);
        for holding in standing.held.iter().filter(|holding| !self.is_over(holding)).copied().collect::<Vec<_>>() {
            match self.leases.get_mut(&holding.partition) {
                Some(lease) => lease.valid_until = lease.valid_until.max(valid_until),
                None => {
                    let lease = Lease { epoch: holding.epoch, valid_until, leaving: self.stopping };
                    self.leases.insert(holding.partition, lease);
                    // What is claimed by a beat that was on its way when the stop came is given back unused.
                    changes.push(if self.stopping { Change::Leave(holding.partition) } else { Change::Begin(holding) });
                }
            }
        }
        changes.extend(self.leave_surplus(standing.quota));
        changes
    }

    /// Drops what the answer does not name, or names under another epoch.
    fn lose_others(&mut self, held: &[Holding]) -> Vec<Change> {
        let ours =
            |partition: &u32, lease: &Lease| held.iter().any(|holding| (holding.partition, holding.epoch) == (*partition, lease.epoch));
        let lost: Vec<u32> =
            self.leases.iter().filter(|(partition, lease)| !ours(partition, lease)).map(|(partition, _)| *partition).collect();
        lost.into_iter().map(|partition| self.lose(partition)).collect()
    }

    /// Says whether the lease is known to be over.
    fn is_over(&self, holding: &Holding) -> bool {
        self.former.get(&holding.partition).is_some_and(|former| holding.epoch <= former.epoch)
    }

    /// Drops a partition.
    fn lose(&mut self, partition: u32) -> Change {
        if let Some(lease) = self.leases.remove(&partition) {
            let former = self.former.entry(partition).or_default();
            *former = Former { epoch: lease.epoch.max(former.epoch), until: lease.valid_until.max(former.until) };
        }
        Change::Lose(partition)
    }

    /// Leaves what is more than the quota, the highest numbers first.
    fn leave_surplus(&mut self, quota: u32) -> Vec<Change> {
        let staying = self.leases.values().filter(|lease| !lease.leaving).count();
        let surplus = staying.saturating_sub(usize::try_from(quota).unwrap_or(usize::MAX));
        let leaving = self.leases.iter_mut().rev().filter(|(_, lease)| !lease.leaving).take(surplus);
        leaving.map(|(partition, lease)| (lease.leaving = true, Change::Leave(*partition)).1).collect()
    }

    /// The process stops: everything is left.
    pub(crate) fn stop(&mut self) -> Vec<Change> {
        self.stopping = true;
        self.leave_surplus(0)
    }

    /// A commit under an epoch was fenced: the partition is another's.
    pub(crate) fn fenced(&mut self, partition: u32, epoch: u64) -> Option<Change> {
        self.leases.get(&partition).filter(|lease| lease.epoch == epoch)?;
        Some(self.lose(partition))
    }

    /// A partition was given back.
    pub(crate) fn released(&mut self, partition: u32, epoch: u64) {
        if self.leases.get(&partition).is_some_and(|lease| lease.epoch == epoch) {
            self.leases.remove(&partition);
            self.former.remove(&partition);
        }
    }

    /// Says whether a drained partition may be given back now. It may not while attempts of a lease that was lost here can
    /// still be out: it came back under a new epoch, as after two first beats of which the earlier was carried out last.
    pub(crate) fn may_give_back(&self, partition: u32, now: Duration) -> bool {
        self.former.get(&partition).is_none_or(|former| former.until <= now)
    }

    /// The epoch under which a partition is being left.
    pub(crate) fn leaving(&self, partition: u32) -> Option<u64> {
        self.leases.get(&partition).filter(|lease| lease.leaving).map(|lease| lease.epoch)
    }

    /// Each partition with the moment until which its lease is valid.
    pub(crate) fn valid_until(&self) -> impl Iterator<Item = (u32, Duration)> {
        self.leases.iter().map(|(partition, lease)| (*partition, lease.valid_until))
    }

    /// Says whether nothing is owned.
    pub(crate) fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }
}

/// Says whether an attempt that starts now ends while the lease is valid.
pub(crate) fn permits(now: Duration, valid_until: Duration, attempt: Duration) -> bool {
    now + attempt < valid_until
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "simulation_tests.rs"]
mod simulation;
