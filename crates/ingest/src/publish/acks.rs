//! Which records of the spool the topic has, for those who wait for it, and which partitions are in trouble.
//!
//! A request learns its record's offset only from the spool, when the topic may have the record already. So the last
//! offsets are remembered, more than the topic takes in the time that lies between the two.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// How many offsets are remembered.
const REMEMBERED_MAX: usize = 65_536;

/// What the topic acknowledged; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Acks(Arc<Shared>);

/// What clones share.
#[derive(Debug)]
struct Shared {
    /// Whether anybody will ever wait.
    watched: bool,
    /// Who waits, and for whom it is too late to.
    state: Mutex<State>,
    /// A flag for each partition that did not take its last batch, or not in time.
    ailing: Box<[AtomicBool]>,
}

/// Who waits, and for whom it is too late to.
#[derive(Debug, Default)]
struct State {
    /// Those who wait.
    waiting: HashMap<u64, oneshot::Sender<()>>,
    /// Offsets that the topic has and that nobody waited for.
    known: HashSet<u64>,
    /// The same in the order they came.
    order: VecDeque<u64>,
}

/// A place among those who wait; given up with the wait.
struct Place<'a> {
    /// Where the place is.
    shared: &'a Shared,
    /// Whose it is.
    offset: u64,
}

impl Acks {
    /// Nothing is acknowledged yet; unless it is `watched`, nothing will be remembered.
    pub(crate) fn new(partitions: u32, watched: bool) -> Self {
        let ailing = (0..partitions).map(|_| AtomicBool::new(false)).collect();
        Self(Arc::new(Shared { watched, state: Mutex::default(), ailing }))
    }

    /// Waits until the topic has the record of an offset; for ever, if it never has. Cancel-safe.
    pub(crate) async fn landed(&self, offset: u64) {
        let answer = {
            let mut state = self.0.state();
            if state.known.contains(&offset) {
                return;
            }
            let (told, answer) = oneshot::channel();
            state.waiting.insert(offset, told);
            answer
        };
        let place = Place { shared: &self.0, offset };
        if answer.await.is_err() {
            std::future::pending::<()>().await;
        }
        drop(place);
    }

    /// The topic has these.
    pub(crate) fn tell(&self, offsets: &[u64]) {
        if !self.0.watched {
            return;
        }
        let mut state = self.0.state();
        for offset in offsets {
            match state.waiting.remove(offset) {
                // Whoever waited may have left this instant.
                Some(told) => drop(told.send(())),
                None => state.remember(*offset),
            }
        }
    }

    /// Says whether a partition is in trouble.
    pub(crate) fn is_ailing(&self, partition: u32) -> bool {
        self.0.flag(partition).is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// A partition is in trouble, or well again.
    pub(crate) fn tell_ailing(&self, partition: u32, ailing: bool) {
        if let Some(flag) = self.0.flag(partition) {
            flag.store(ailing, Ordering::Relaxed);
        }
    }
}

impl Shared {
    /// Takes the lock, which is never held over a wait.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A partition's flag.
    fn flag(&self, partition: u32) -> Option<&AtomicBool> {
        self.ailing.get(usize::try_from(partition).ok()?)
    }
}

impl State {
    /// Remembers an offset that nobody waited for.
    fn remember(&mut self, offset: u64) {
        self.known.insert(offset);
        self.order.push_back(offset);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.state().waiting.remove(&self.offset);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::Acks;

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_the_ack_whichever_of_them_comes_first() {
        let acks = Acks::new(1, true);
        acks.tell(&[7]);
        acks.landed(7).await;
        let mut waiting = std::pin::pin!(acks.landed(8));
        assert!(timeout(Duration::from_millis(1), &mut waiting).await.is_err());
        acks.tell(&[8]);
        waiting.await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_leaves_nothing_behind() {
        let acks = Acks::new(1, true);
        assert!(timeout(Duration::from_millis(1), acks.landed(3)).await.is_err());
        assert!(acks.0.state().waiting.is_empty());
    }

    #[tokio::test]
    async fn nothing_is_remembered_when_nobody_watches() {
        let acks = Acks::new(1, false);
        acks.tell(&[1, 2, 3]);
        assert!(acks.0.state().order.is_empty());
    }
}
