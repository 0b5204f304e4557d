//! Whether the process should get work: a set of named conditions, each of which must hold.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// Why a condition does not hold before anybody said that it does.
const STARTING: &str = "starting";

/// The conditions by name; those that do not hold have a reason.
type Reasons = BTreeMap<&'static str, Option<String>>;

/// The conditions of a process. Without any it is not ready. Cheap to clone; clones share the conditions.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<Reasons>>);

/// One condition, in the hands of whoever knows whether it holds.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Where it is kept.
    readiness: Readiness,
    /// Its name.
    name: &'static str,
}

/// What the listener answers.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether all conditions hold.
    pub(super) ready: bool,
    /// Each condition.
    conditions: Vec<Told>,
}

/// A condition in the answer.
#[derive(Debug, Serialize)]
struct Told {
    /// Its name.
    name: &'static str,
    /// Whether it holds.
    ready: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Readiness {
    /// No condition yet: not ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition, which does not hold until it is said to; asked for again, it is the same one.
    #[must_use]
    pub fn condition(&self, name: &'static str) -> Condition {
        self.reasons().entry(name).or_insert_with(|| Some(STARTING.to_owned()));
        Condition { readiness: self.clone(), name }
    }

    /// Says whether there are conditions and all of them hold.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let reasons = self.reasons();
        !reasons.is_empty() && reasons.values().all(Option::is_none)
    }

    /// Each condition, for the answer.
    pub(super) fn report(&self) -> Report {
        let reasons = self.reasons().clone();
        let ready = !reasons.is_empty() && reasons.values().all(Option::is_none);
        let conditions = reasons.into_iter().map(|(name, reason)| Told { name, ready: reason.is_none(), reason }).collect();
        Report { ready, conditions }
    }

    /// Locks the conditions; a panic elsewhere leaves them usable.
    fn reasons(&self) -> MutexGuard<'_, Reasons> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condition {
    /// Says that it holds.
    pub fn ready(&self) {
        if self.set(None) {
            tracing::info!(condition = self.name, "a condition of readiness holds");
        }
    }

    /// Says that it does not hold, and why: a few words for whoever asks the listener.
    pub fn not_ready(&self, reason: impl Into<String>) {
        let reason = reason.into();
        if self.set(Some(reason.clone())) {
            tracing::info!(condition = self.name, reason, "a condition of readiness does not hold");
        }
    }

    /// Keeps what was said; tells whether it turned.
    fn set(&self, reason: Option<String>) -> bool {
        let holds = reason.is_none();
        let before = self.readiness.reasons().insert(self.name, reason);
        before.is_some_and(|before| before.is_none() != holds)
    }
}

#[cfg(test)]
mod tests {
    use super::Readiness;

    #[test]
    fn a_process_is_ready_when_it_has_conditions_and_all_hold() {
        let readiness = Readiness::new();
        assert!(!readiness.is_ready());
        let (spool, store) = (readiness.condition("spool"), readiness.condition("store"));
        spool.ready();
        assert!(!readiness.is_ready());
        store.ready();
        assert!(readiness.clone().is_ready());
        spool.not_ready("the disk is full");
        assert!(!readiness.is_ready());
        readiness.condition("spool").ready();
        assert!(readiness.is_ready());
    }
}
