//! A lease in the hands of those who work under it.
//!
//! Whoever sends looks at it last before the sending; whoever waits stops waiting when the partition is left or lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::plan::permits;

/// The lease of one partition under one epoch.
#[derive(Debug)]
pub(crate) struct Hold {
    /// The partition.
    pub(crate) partition: u32,
    /// The epoch.
    pub(crate) epoch: u64,
    /// When this process' moments began.
    origin: Instant,
    /// Until when the lease is valid.
    valid_until: watch::Sender<Duration>,
    /// How long an attempt may take.
    attempt: Duration,
    /// Cancelled when nothing more is to be started.
    leaving: CancellationToken,
    /// Set when the partition belongs to another.
    lost: AtomicBool,
}

impl Hold {
    /// A lease that is valid from its first renewal on; `stopping` ends it like a leave.
    pub(crate) fn new(place: (u32, u64), origin: Instant, attempt: Duration, stopping: &CancellationToken) -> Self {
        let (partition, epoch) = place;
        let (valid_until, lost) = (watch::Sender::new(Duration::ZERO), AtomicBool::new(false));
        Self { partition, epoch, origin, valid_until, attempt, leaving: stopping.child_token(), lost }
    }

    /// Extends it.
    pub(crate) fn renew(&self, valid_until: Duration) {
        self.valid_until.send_if_modified(|known| {
            let later = valid_until > *known;
            *known = valid_until.max(*known);
            later
        });
    }

    /// Nothing more is to be started.
    pub(crate) fn leave(&self) {
        self.leaving.cancel();
    }

    /// The partition belongs to another.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.leaving.cancel();
    }

    /// Says whether the partition belongs to another.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Says whether an attempt that starts now ends while nobody else can own the partition.
    pub(crate) fn permits(&self) -> bool {
        !self.leaving.is_cancelled() && permits(self.origin.elapsed(), *self.valid_until.borrow(), self.attempt)
    }

    /// Waits until an attempt is permitted; `None` when nothing more is to be started.
    pub(crate) async fn permitted(&self) -> Option<()> {
        let mut renewed = self.valid_until.subscribe();
        while !self.permits() {
            self.unless_left(renewed.changed()).await?.ok()?;
        }
        Some(())
    }

    /// Waits for something, unless the partition is left or lost.
    pub(crate) async fn unless_left<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        // Both arms are cancel-safe: what is waited for here gives nothing away when it is dropped.
        tokio::select! {
            biased;
            () = self.leaving.cancelled() => None,
            done = wait => Some(done),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::{Instant, advance, timeout};
    use tokio_util::sync::CancellationToken;

    use super::Hold;

    const SECOND: Duration = Duration::from_secs(1);

    /// A lease of partition 0 that lasts for the whole of a test.
    pub(crate) fn lasting() -> Arc<Hold> {
        let hold = Hold::new((0, 1), Instant::now(), SECOND, &CancellationToken::new());
        hold.renew(SECOND * 1_000_000);
        Arc::new(hold)
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_waits_for_a_renewal_once_it_would_outlive_the_lease() {
        let hold = Hold::new((0, 1), Instant::now(), SECOND * 5, &CancellationToken::new());
        assert!(!hold.permits(), "before the first beat");
        hold.renew(SECOND * 9);
        advance(SECOND * 3).await;
        assert!(hold.permits());
        advance(SECOND).await;
        assert!(!hold.permits());
        assert!(timeout(SECOND, hold.permitted()).await.is_err());
        hold.renew(SECOND * 8);
        assert!(!hold.permits(), "an older answer takes nothing back and gives nothing");
        hold.renew(SECOND * 12);
        assert_eq!(timeout(SECOND, hold.permitted()).await, Ok(Some(())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_wakes_who_waits_for_it() {
        let hold = Hold::new((0, 1), Instant::now(), SECOND * 5, &CancellationToken::new());
        for valid_until in [SECOND * 9, SECOND * 30] {
            let waiting = timeout(SECOND * 20, hold.permitted());
            let (permitted, ()) = tokio::join!(waiting, async { hold.renew(valid_until) });
            assert_eq!(permitted, Ok(Some(())), "{valid_until:?}");
            advance(SECOND * 10).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_or_left_partition_ends_every_wait_and_permits_nothing() {
        let (one, other) = (lasting(), lasting());
        assert!(one.permits() && other.permits());
        one.lose();
        other.leave();
        assert!(!one.permits() && !other.permits());
        assert_eq!((one.permitted().await, other.permitted().await), (None, None));
        assert_eq!(one.unless_left(std::future::pending::<()>()).await, None);
        assert!(one.is_lost() && !other.is_lost());
    }
}
