//! How often something is told that happens again and again: at once, then once in a while with how often it happened meanwhile.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time between two tellings.
const WHILE: Duration = Duration::from_secs(10);

/// Counts what is told seldom.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// It happened: how often since it was told last, if it is to be told now.
    pub(crate) fn happened(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, times) = &mut *state;
        *times += 1;
        if told.is_some_and(|told| told.elapsed() < WHILE) {
            return None;
        }
        *told = Some(Instant::now());
        Some(std::mem::take(times))
    }
}

#[cfg(test)]
mod tests {
    use super::{Seldom, WHILE};

    #[tokio::test(start_paused = true)]
    async fn it_is_told_at_once_and_then_seldom_with_how_often_it_happened() {
        let seldom = Seldom::default();
        let mut told: Vec<u64> = Vec::new();
        for _ in 0..250 {
            told.extend(seldom.happened());
            tokio::time::sleep(WHILE / 100).await;
        }
        assert_eq!(told, [1, 100, 100]);
    }
}
