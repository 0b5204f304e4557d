//! Work that outlives whoever waits for it.
//!
//! Connecting takes as long as it takes, while a caller may have a few hundred milliseconds. Were it begun anew for each
//! of them, a broker that is far away would never be reached.

use std::fmt;
use std::pin::Pin;

/// Work under way; it moves while somebody waits for it.
pub(super) struct Resumed<T>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T> Resumed<T> {
    /// Waits for the work's end, begun here if none is under way. Whoever is dropped leaves it where it is for the next one.
    pub(super) async fn end<F: Future<Output = T> + Send + 'static>(&mut self, begin: impl FnOnce() -> F) -> T {
        let end = self.0.get_or_insert_with(|| Box::pin(begin())).await;
        self.0 = None;
        end
    }
}

impl<T> Default for Resumed<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> fmt::Debug for Resumed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Resumed").field(&self.0.is_some()).finish()
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
            timeout(Duration::from_millis(100), work.end(|| sleep(Duration::MAX))).await.expect("it has 50 ms to go");
            assert_eq!(begun, ending);
        }
    }
}
