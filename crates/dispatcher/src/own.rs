//! Owns partitions by leases: beats, begins what was claimed, leaves what is too much, drops what is lost.
//!
//! ```text
//! beat ─▶ plan ─▶ begin │ leave ─▶ nothing new ─▶ what is under way settles ─▶ give back │ lose ─▶ drop at once
//!   ▲                                                                            │
//!   └───────────── every `dispatch_lease_renew_ms`, and at once when told ◀──────┘
//! ```
//! Laws: one task speaks with the database about leases, one call after the other, so that no answer overtakes another. A
//! partition is given back only when nothing of it is under way. It beats until the last one is.

pub(crate) mod hold;
pub mod plan;

use std::sync::Arc;

use chassis::admin::Condition;
use chassis::lifecycle::{Cause, sentence};
use storage::{Beat, Member, Standing, Store};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::desk::Desks;
use crate::metrics::Metrics;
use plan::{Change, Plan, Terms};

/// What a partition's desk tells the owner.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Notice {
    /// A commit under this epoch was fenced.
    Fenced(u32, u64),
    /// Nothing is under way under this epoch any more.
    Drained(u32, u64),
}

/// Owns partitions.
#[derive(Debug)]
pub(crate) struct Owner {
    /// Where leases are.
    pub(crate) store: Store,
    /// The topic.
    pub(crate) topic: Arc<str>,
    /// How many partitions it has.
    pub(crate) partitions: u32,
    /// Who we are.
    pub(crate) member: Member,
    /// The times.
    pub(crate) terms: Terms,
    /// When this process' moments began.
    pub(crate) origin: Instant,
    /// Works on partitions.
    pub(crate) desks: Desks,
    /// What desks tell.
    pub(crate) notices: mpsc::Receiver<Notice>,
    /// Cancelled when the process stops.
    pub(crate) stopping: CancellationToken,
    /// Whether the database takes beats.
    pub(crate) condition: Condition,
    /// Counts.
    pub(crate) metrics: Metrics,
}

/// What the owner keeps between its steps.
struct State {
    /// What is owned.
    plan: Plan,
    /// Whether no beat has been answered yet.
    first: bool,
    /// Beats in a row that were not.
    failures: u32,
    /// Drained partitions to be given back.
    drained: Vec<(u32, u64)>,
}

impl Owner {
    /// Owns partitions until the process stops and everything is given back.
    pub(crate) async fn own(mut self) -> Result<(), Cause> {
        let mut state = State { plan: Plan::new(self.terms), first: true, failures: 0, drained: Vec::new() };
        let mut tick = tokio::time::interval(self.terms.renew);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stops = false;
        loop {
            // Every arm is cancel-safe: a notice that was not received stays.
            tokio::select! {
                biased;
                () = self.stopping.cancelled(), if !stops => {
                    stops = true;
                    let changes = state.plan.stop();
                    self.apply(changes, &mut state);
                    self.beat(&mut state, true).await;
                }
                notice = self.notices.recv() => match notice {
                    Some(notice) => self.note(notice, &mut state).await,
                    None => return Ok(()),
                },
                _ = tick.tick() => {
                    self.give_back(&mut state).await;
                    self.beat(&mut state, stops).await;
                }
            }
            if stops && state.plan.is_empty() {
                // A member that could not say so is forgotten when its time is over.
                self.store.leave(&self.topic, &self.member.id).await.ok();
                return Ok(());
            }
        }
    }

    /// Tells the database that we live, and does what its answer asks for.
    async fn beat(&self, state: &mut State, draining: bool) {
        let beat = Beat {
            topic: self.topic.to_string(),
            partitions: self.partitions,
            member: self.member.clone(),
            ttl: self.terms.ttl,
            first: state.first,
            draining,
            ends: self.desks.ends(),
        };
        let sent_at = self.origin.elapsed();
        match self.store.beat(&beat).await {
            Ok(standing) => {
                (state.first, state.failures) = (false, 0);
                self.condition.ready();
                let changes = state.plan.beaten(sent_at, &standing);
                self.told(&standing, changes.len());
                self.apply(changes, state);
                self.desks.beaten(standing.unsettled);
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                self.metrics.beat_failed(state.failures, &error);
                self.condition.not_ready(sentence(&error));
            }
        }
        for (partition, valid_until) in state.plan.valid_until() {
            self.desks.renew(partition, valid_until);
        }
    }

    /// Tells where this member stands.
    fn told(&self, standing: &Standing, changes: usize) {
        if changes > 0 {
            let held = standing.held.len();
            tracing::info!(held, quota = standing.quota, members = standing.members, changes, "partitions change hands");
        }
    }

    /// Does what is to be done.
    fn apply(&self, changes: Vec<Change>, state: &mut State) {
        for change in changes {
            match change {
                Change::Begin(holding) => {
                    self.metrics.epoch_changed();
                    self.desks.open(holding);
                }
                Change::Leave(partition) => {
                    let epoch = state.plan.leaving(partition).unwrap_or_default();
                    if !self.desks.leave(partition, epoch) {
                        state.drained.push((partition, epoch));
                    }
                }
                Change::Lose(partition) => {
                    self.metrics.lost(partition);
                    self.desks.lose(partition);
                }
            }
        }
    }

    /// Hears what a desk tells.
    async fn note(&self, notice: Notice, state: &mut State) {
        match notice {
            Notice::Fenced(partition, epoch) => {
                self.metrics.fenced(partition, epoch);
                let change = state.plan.fenced(partition, epoch);
                self.apply(change.into_iter().collect(), state);
            }
            Notice::Drained(partition, epoch) => {
                if state.plan.leaving(partition) == Some(epoch) {
                    state.drained.push((partition, epoch));
                    self.give_back(state).await;
                }
            }
        }
    }

    /// Gives back what is drained; what the database does not take now goes with the next beat.
    async fn give_back(&self, state: &mut State) {
        for holding in std::mem::take(&mut state.drained) {
            if !state.plan.may_give_back(holding.0, self.origin.elapsed()) {
                state.drained.push(holding);
                continue;
            }
            match self.store.release(&self.topic, &self.member.id, holding).await {
                Ok(_) => {
                    state.plan.released(holding.0, holding.1);
                    self.desks.close(holding.0, self.stopping.is_cancelled());
                }
                Err(error) => {
                    tracing::debug!(error = sentence(&error), partition = holding.0, "cannot give a partition back; it is tried again");
                    state.drained.push(holding);
                }
            }
        }
    }
}
