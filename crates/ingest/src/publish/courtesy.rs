//! Who waits for an answer goes first: while CPUs are short and events pour in, the spool is read at a walk.
//!
//! The spool is there for bursts, and the target is slower than a burst anyway. Laws: reading never stops, but waits at most
//! [`LONGEST`] at a time; from a share of the spool's capacity on it waits no more; it never waits where a 202 waits for the topic.

use std::time::Duration;

use broker::log::Log;
use chassis::crowd::Crowd;
use tokio::time::{Instant, sleep};

use crate::metrics::Metrics;

/// The longest wait before one read.
const LONGEST: Duration = Duration::from_secs(1);
/// How often it is looked whether the wait is over.
const POLL: Duration = Duration::from_millis(50);
/// From how many events on, in one poll, they pour in: 1,000/s.
const POUR: u64 = 50;
/// The share of its capacity, as a divisor, from which on the spool is read at full speed.
const ROOMY: u64 = 4;

/// Waits before a read of the spool; clones share what they know.
#[derive(Debug, Clone)]
pub(crate) struct Courtesy(Option<(Crowd, Metrics)>);

impl Courtesy {
    /// One that waits for whoever needs the CPU.
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self(Some((Crowd::default(), metrics)))
    }

    /// One that never waits: answers depend on what is read.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Waits before a read from an offset on, while others need the CPU more. Cancel-safe.
    pub(super) async fn give_way(&self, spool: &Log, from: u64) {
        let Some((crowd, metrics)) = &self.0 else { return };
        let (mut end, until) = (spool.bounds().end, Instant::now() + LONGEST);
        if end.saturating_sub(from) < POUR {
            return;
        }
        while spool.bytes() < spool.capacity_bytes() / ROOMY && Instant::now() < until && crowd.is_there().await {
            sleep(POLL).await;
            let (before, now) = (end, spool.bounds().end);
            if now.saturating_sub(before) < POUR {
                return;
            }
            end = now;
            metrics.gave_way(POLL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use broker::log::{Log, Options};
    use chassis::crowd::Crowd;
    use chassis::metrics::Registry;
    use events_proxy_core::envelope::Record;
    use tokio::time::{Instant, interval};

    use super::{Courtesy, LONGEST, POLL, POUR};
    use crate::metrics::Metrics;

    fn crowded(registry: &Registry) -> Courtesy {
        Courtesy(Some((Crowd::pretended(), Metrics::new(&registry.meter()))))
    }

    fn spool(dir: &Path, capacity_bytes: u64) -> Log {
        Log::open(dir, &Options { capacity_bytes, ..Options::default() }).unwrap()
    }

    async fn append(spool: &Log, records: u64) {
        let record = Record { payload: vec![b'.'; 100], ..Record::default() };
        spool.append((0..records).map(|_| record.clone()).collect::<Vec<_>>()).await.unwrap();
    }

    /// How long a read waits while so many events come in each poll.
    async fn wait(courtesy: &Courtesy, spool: &Log, each_poll: u64) -> Duration {
        let began = Instant::now();
        let pouring = async {
            let mut tick = interval(POLL / 2);
            loop {
                tick.tick().await;
                append(spool, each_poll).await;
            }
        };
        tokio::select! {
            () = courtesy.give_way(spool, 0) => began.elapsed(),
            () = pouring => unreachable!("it pours for ever"),
        }
    }

    #[tokio::test]
    async fn a_read_waits_while_events_pour_in_but_not_for_ever() {
        let (dir, registry) = (tempfile::tempdir().unwrap(), Registry::new());
        let spool = spool(dir.path(), 1 << 30);
        let courtesy = crowded(&registry);
        assert!(wait(&courtesy, &spool, POUR).await < LONGEST / 2, "nearly nothing was there to read");
        append(&spool, POUR).await;
        let waited = wait(&courtesy, &spool, POUR * 4).await;
        assert!(waited >= LONGEST && waited < LONGEST * 3, "{waited:?}");
        assert!(registry.render().contains("publish_gave_way_seconds_total"), "{}", registry.render());
    }

    #[tokio::test]
    async fn a_read_does_not_wait_when_it_drips_when_the_spool_fills_or_when_answers_depend_on_it() {
        let (dir, registry) = (tempfile::tempdir().unwrap(), Registry::new());
        let log = spool(dir.path(), 1 << 30);
        append(&log, POUR).await;
        assert!(wait(&crowded(&registry), &log, 0).await < LONGEST / 2, "it drips");
        assert!(wait(&Courtesy::none(), &log, POUR * 4).await < POLL, "answers depend on it");
        drop(log);
        let small = spool(dir.path(), 4 * 1_024);
        assert!(wait(&crowded(&registry), &small, 1).await < POLL, "a quarter of the spool is used");
    }
}
