//! A pod of the simulation: the real plan, with a clock of its own, and work that ends in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use events_proxy_core::watermark::Watermark;

use super::super::{Change, Plan, Terms, permits};

/// What a pod does for one partition.
#[derive(Debug)]
pub(super) struct Work {
    /// Under which epoch.
    pub(super) epoch: u64,
    /// Until when, by the pod's clock.
    pub(super) valid_until: Duration,
    /// What is under way.
    pub(super) window: Watermark,
    /// The next offset to take.
    pub(super) next: u64,
    /// Taken offsets whose attempt failed.
    pub(super) again: BTreeSet<u64>,
    /// Attempts that are out.
    pub(super) out: usize,
    /// What is stored.
    pub(super) committed: u64,
    /// Whether a commit is out.
    pub(super) committing: bool,
    /// Whether nothing more is started.
    pub(super) leaving: bool,
}

/// A process.
#[derive(Debug)]
pub(super) struct Pod {
    /// Its member id.
    pub(super) id: String,
    /// How fast its clock goes, in thousandths.
    pub(super) rate: u64,
    /// What its clock showed at the world's beginning, in milliseconds.
    pub(super) offset: u64,
    /// Whether it runs.
    pub(super) alive: bool,
    /// Stopped by a signal until then.
    pub(super) frozen_until: u64,
    /// Cut off from the database until then.
    pub(super) cut_until: u64,
    /// The machine that is judged.
    pub(super) plan: Plan,
    /// Whether no beat has been answered.
    pub(super) first: bool,
    /// Whether it was told to stop.
    pub(super) stopping: bool,
    /// Its partitions.
    pub(super) works: BTreeMap<u32, Work>,
    /// The call about leases that is out: one at a time.
    pub(super) call: Option<u64>,
    /// Drained partitions to be given back.
    pub(super) drained: Vec<(u32, u64)>,
}

impl Pod {
    /// A pod that has just begun.
    pub(super) fn new(id: String, terms: Terms, rate: u64, offset: u64) -> Self {
        let (plan, works, drained) = (Plan::new(terms), BTreeMap::new(), Vec::new());
        Self {
            id,
            rate,
            offset,
            alive: true,
            frozen_until: 0,
            cut_until: 0,
            plan,
            first: true,
            stopping: false,
            works,
            call: None,
            drained,
        }
    }

    /// The pod's clock.
    pub(super) fn clock(&self, now: u64) -> Duration {
        Duration::from_millis(self.offset + now * self.rate / 1_000)
    }

    /// Does what the plan says, as the owner does.
    pub(super) fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Begin(holding) => {
                    let next = holding.next_offset;
                    let work = Work {
                        epoch: holding.epoch,
                        valid_until: Duration::ZERO,
                        window: Watermark::new(next),
                        next,
                        again: BTreeSet::new(),
                        out: 0,
                        committed: next,
                        committing: false,
                        leaving: false,
                    };
                    self.works.insert(holding.partition, work);
                }
                Change::Leave(partition) => match self.works.get_mut(&partition) {
                    Some(work) => work.leaving = true,
                    None => self.drained.push((partition, self.plan.leaving(partition).unwrap())),
                },
                Change::Lose(partition) => drop(self.works.remove(&partition)),
            }
        }
        for (partition, valid_until) in self.plan.valid_until() {
            if let Some(work) = self.works.get_mut(&partition) {
                work.valid_until = valid_until;
            }
        }
        self.drain();
    }

    /// Finds partitions of which nothing is under way any more.
    pub(super) fn drain(&mut self) {
        let is_drained = |work: &Work| work.leaving && work.out == 0 && !work.committing && work.committed == work.window.committable();
        let drained: Vec<(u32, u64)> =
            self.works.iter().filter(|(_, work)| is_drained(work)).map(|(partition, work)| (*partition, work.epoch)).collect();
        for (partition, epoch) in drained {
            self.works.remove(&partition);
            self.drained.push((partition, epoch));
        }
    }
}

impl Work {
    /// Takes the next offset to send, if the lease permits it.
    pub(super) fn take(&mut self, clock: Duration, attempt: Duration, end: u64) -> Option<u64> {
        const OUT_MAX: usize = 3;
        if self.leaving || self.out >= OUT_MAX || !permits(clock, self.valid_until, attempt) {
            return None;
        }
        let offset = match self.again.pop_first() {
            Some(offset) => offset,
            None if self.next < end => {
                self.next += 1;
                assert!(self.window.take(self.next - 1, 1));
                self.next - 1
            }
            None => return None,
        };
        self.out += 1;
        Some(offset)
    }
}
