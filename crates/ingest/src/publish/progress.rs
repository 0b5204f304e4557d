//! How far the spool is published, for those who only look.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far the spool is published; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<Shared>);

/// What clones share.
#[derive(Debug)]
struct Shared {
    /// Everything before this offset is published.
    position: AtomicU64,
    /// How many records behind it are published too, because they passed a backlog.
    passed: AtomicU64,
    /// How many records were published when this process began.
    begun: AtomicU64,
}

impl Progress {
    /// Everything before an offset is published.
    pub(super) fn new(position: u64) -> Self {
        Self(Arc::new(Shared { position: AtomicU64::new(position), passed: AtomicU64::new(0), begun: AtomicU64::new(position) }))
    }

    /// How many records are not published, of those before an end.
    pub(crate) fn unpublished(&self, end: u64) -> u64 {
        let position = self.0.position.load(Ordering::Acquire);
        end.saturating_sub(position).saturating_sub(self.0.passed.load(Ordering::Acquire))
    }

    /// How many records the spool has let go of since this process began; never too many.
    pub(crate) fn let_go(&self) -> u64 {
        let position = self.0.position.load(Ordering::Acquire);
        position.saturating_add(self.0.passed.load(Ordering::Acquire)).saturating_sub(self.0.begun.load(Ordering::Acquire))
    }

    /// So many records behind the position were published before this process began.
    pub(super) fn began_with(&self, records: u64) {
        self.0.begun.fetch_add(records, Ordering::AcqRel);
    }

    /// Everything before this offset is published.
    pub(super) fn reached(&self, position: u64) {
        self.0.position.store(position, Ordering::Release);
    }

    /// So many records passed the backlog.
    pub(super) fn passed(&self, records: u64) {
        self.0.passed.store(records, Ordering::Release);
    }

    /// The backlog is published up to those that passed it. Whoever looks between the two sees too much that waits, not too little.
    pub(super) fn joined(&self, position: u64) {
        self.passed(0);
        self.reached(position);
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;

    #[test]
    fn what_is_let_go_of_is_counted_from_the_start_on_and_a_passed_stretch_once() {
        let progress = Progress::new(10);
        assert_eq!(progress.let_go(), 0);
        // Of a backlog from 10 to 50, the stretch from 50 to 60 was published before the last stop.
        progress.began_with(10);
        assert_eq!(progress.let_go(), 0);
        progress.passed(12);
        progress.reached(15);
        assert_eq!((progress.let_go(), progress.unpublished(62)), (7, 35));
        progress.reached(50);
        progress.joined(62);
        assert_eq!((progress.let_go(), progress.unpublished(62)), (42, 0));
    }
}
