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
}

impl Progress {
    /// Everything before an offset is published.
    pub(super) fn new(position: u64) -> Self {
        Self(Arc::new(Shared { position: AtomicU64::new(position), passed: AtomicU64::new(0) }))
    }

    /// How many records are not published, of those before an end.
    pub(crate) fn unpublished(&self, end: u64) -> u64 {
        let position = self.0.position.load(Ordering::Acquire);
        end.saturating_sub(position).saturating_sub(self.0.passed.load(Ordering::Acquire))
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
