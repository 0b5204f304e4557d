//! Events that the topic acknowledged while the spool had not answered yet.
//!
//! Their append may still land. The drainer then finds them here and does not publish them again; if this has forgotten
//! them, or the process has ended in between, the topic holds the event twice and it is delivered once.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use events_proxy_core::envelope::{ACCEPTED_AT, Record};

/// How many are remembered; beyond it the oldest is forgotten.
const REMEMBERED_MAX: usize = 4_096;

/// The records that need not be published any more; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overtaken(Arc<Shared>);

/// What clones share.
#[derive(Debug, Default)]
struct Shared {
    /// How many there are, so that nobody locks for none.
    count: AtomicUsize,
    /// The records.
    known: Mutex<Known>,
}

/// Names of records.
#[derive(Debug, Default)]
struct Known {
    /// The names.
    names: HashSet<Vec<u8>>,
    /// The same in the order they came.
    order: VecDeque<Vec<u8>>,
}

impl Overtaken {
    /// What tells one record from every other: its key and the moment it was accepted. The same event sent again is another one.
    pub(crate) fn name(record: &Record) -> Vec<u8> {
        let at = record.headers.get(ACCEPTED_AT).unwrap_or_default();
        [record.key.as_slice(), b"\0", at].concat()
    }

    /// Notes the name of a record that the topic has.
    pub(crate) fn note(&self, name: Vec<u8>) {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { names, order } = &mut *known;
        if names.insert(name.clone()) {
            order.push_back(name);
        }
        if order.len() > REMEMBERED_MAX
            && let Some(oldest) = order.pop_front()
        {
            names.remove(&oldest);
        }
        self.0.count.store(names.len(), Ordering::Release);
    }

    /// Says whether the topic has this very record, and forgets it.
    pub(crate) fn take(&self, record: &Record) -> bool {
        if self.0.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { names, order } = &mut *known;
        let name = Self::name(record);
        let found = names.remove(&name);
        if found {
            order.retain(|other| *other != name);
        }
        self.0.count.store(names.len(), Ordering::Release);
        found
    }
}

#[cfg(test)]
mod tests {
    use events_proxy_core::envelope::{ACCEPTED_AT, Record};

    use super::{Overtaken, REMEMBERED_MAX};

    fn record(at: usize) -> Record {
        Record { key: b"shop\0a".to_vec(), payload: Vec::new(), headers: [(ACCEPTED_AT, at.to_string())].into_iter().collect() }
    }

    #[test]
    fn a_record_is_taken_once_and_the_same_event_sent_again_is_another_one() {
        let overtaken = Overtaken::default();
        overtaken.note(Overtaken::name(&record(1)));
        assert!(!overtaken.take(&record(2)));
        assert!(overtaken.take(&record(1)));
        assert!(!overtaken.take(&record(1)));
    }

    #[test]
    fn the_oldest_is_forgotten_beyond_the_bound() {
        let overtaken = Overtaken::default();
        for at in 0..=REMEMBERED_MAX {
            overtaken.note(Overtaken::name(&record(at)));
        }
        assert!(!overtaken.take(&record(0)));
        assert!(overtaken.take(&record(1)));
    }
}
