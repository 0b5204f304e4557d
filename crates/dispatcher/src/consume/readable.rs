//! Whether all partitions that are worked on can be read: one that cannot makes the replica not ready, however well others read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chassis::admin::Condition;

/// Which partitions can be read; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Readable {
    /// What the replica says of itself.
    condition: Condition,
    /// Why partitions cannot be read.
    failing: Arc<Mutex<BTreeMap<u32, String>>>,
}

impl Readable {
    /// Nothing is known yet.
    pub(crate) fn new(condition: Condition) -> Self {
        Self { condition, failing: Arc::default() }
    }

    /// A partition was read.
    pub(crate) fn reads(&self, partition: u32) {
        let mut failing = self.failing();
        failing.remove(&partition);
        self.tell(&failing);
    }

    /// A partition could not be read.
    pub(crate) fn fails(&self, partition: u32, why: String) {
        let mut failing = self.failing();
        failing.insert(partition, why);
        self.tell(&failing);
    }

    /// A partition is not read any more: others' troubles are left.
    pub(crate) fn left(&self, partition: u32) {
        let mut failing = self.failing();
        if failing.remove(&partition).is_some() {
            self.tell(&failing);
        }
    }

    /// A replica without partitions has no quarrel with the topic.
    pub(crate) fn by_nobody(&self) {
        self.tell(&self.failing());
    }

    /// Tells how things stand.
    fn tell(&self, failing: &BTreeMap<u32, String>) {
        match failing.first_key_value() {
            Some((_, why)) => self.condition.not_ready(why.as_str()),
            None => self.condition.ready(),
        }
    }

    /// Takes the lock, which is never held over a wait.
    fn failing(&self) -> MutexGuard<'_, BTreeMap<u32, String>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use chassis::admin::Readiness;

    use super::Readable;

    #[test]
    fn one_partition_that_does_not_read_is_not_hidden_by_others_that_do() {
        let readiness = Readiness::new();
        let readable = Readable::new(readiness.condition("topic"));
        assert!(!readiness.is_ready(), "nothing is known yet");
        readable.reads(0);
        assert!(readiness.is_ready());
        readable.fails(1, "away".to_owned());
        readable.reads(0);
        assert!(!readiness.is_ready());
        readable.fails(2, "away".to_owned());
        readable.reads(1);
        assert!(!readiness.is_ready());
        readable.left(2);
        assert!(readiness.is_ready());
    }
}
