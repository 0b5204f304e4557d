//! Work that outlives whoever waits for it.
//!
//! Connecting takes as long as it takes, while a caller may have a few hundred milliseconds. Were it begun anew for each
//! of them, a broker that is far away would never be reached.

use tokio::task::JoinSet;

/// Work under way; it goes on while nobody waits, and ends with this.
#[derive(Debug)]
pub(super) struct Resumed<T>(JoinSet<T>);

impl<T: Send + 'static> Resumed<T> {
    /// Waits for the work's end, begun here if none is under way; nothing when the runtime stopped it. Whoever is dropped leaves
    /// it to the next one.
    pub(super) async fn end<F: Future<Output = T> + Send + 'static>(&mut self, begin: impl FnOnce() -> F) -> Option<T> {
        if self.0.is_empty() {
            self.0.spawn(begin());
        }
        self.0.join_next().await?.ok()
    }
}

impl<T> Default for Resumed<T> {
    fn default() -> Self {
        Self(JoinSet::new())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::Resumed;

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_than_any_caller_waits_ends_all_the_same_and_then_begins_anew() {
        let mut work = Resumed::default();
        let mut begun = 0;
        for ending in [1, 2] {
            for _ in 0..4 {
                let begin = || {
                    begun += 1;
                    sleep(Duration::from_millis(450))
                };
                assert!(timeout(Duration::from_millis(100), work.end(begin)).await.is_err());
            }
            let ended = timeout(Duration::from_millis(100), work.end(|| sleep(Duration::MAX))).await;
            assert_eq!(ended.expect("it has 50 ms to go"), Some(()));
            assert_eq!(begun, ending);
        }
    }
}
