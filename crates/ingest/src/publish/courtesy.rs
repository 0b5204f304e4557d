//! Who waits for an answer goes first: while events pour in faster than the spool's writer takes them easily, the spool is
//! read at a walk, and CPU and disk are theirs. While they trickle in, what comes within a [`BEAT`] is read at once.
//!
//! The spool is there for bursts, and the target is slower than a burst anyway. Laws: a read waits at most [`LONGEST`] and a
//! beat of each lane; besides beats all together for [`BURST`], which comes back at a tenth of the time, and in which lanes that wait
//! at once wait once; not at all from a share of the spool's capacity on, nor where a 202 waits for the topic.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use broker::log::Log;
use tokio::time::{Instant, sleep, sleep_until};

use crate::metrics::Metrics;

/// How long after one read began the next one does, while few records wait: each costs some wake-ups, however much it reads.
const BEAT: Duration = Duration::from_millis(50);
/// So many are few: what comes within a beat at 20,000 a second. More wait while they come faster, or a backlog is caught up with.
const FEW: u64 = 1_024;
/// The longest wait before one read.
const LONGEST: Duration = Duration::from_secs(2);
/// How long reads may wait all together.
const BURST: Duration = Duration::from_secs(10);
/// How much of the time that passes is given back to it, as a divisor.
const REFILL: u32 = 10;
/// How often it is looked whether the wait is over.
const POLL: Duration = Duration::from_millis(50);
/// From how many events on, in one poll, they pour in: 1,000/s.
const POUR: u64 = 50;
/// From which share of the time on a writer at work has no ease, in hundredths.
const BUSY: u32 = 50;
/// The share of its capacity, as a divisor, from which on the spool is read at full speed.
const ROOMY: u64 = 4;

/// Waits before a read of the spool; clones share what they know.
#[derive(Debug, Clone)]
pub(crate) struct Courtesy(Option<(Arc<Mutex<Seen>>, Metrics)>);

/// What was seen of a spool.
#[derive(Debug)]
struct Seen {
    /// When a read began last.
    read: Option<Instant>,
    /// When it was looked at.
    at: Instant,
    /// How long its writer had been at work.
    busy: Duration,
    /// Where it ended.
    end: u64,
    /// Whether events were pouring in.
    pouring: bool,
    /// How long reads may still wait.
    left: Duration,
    /// Until when what they waited was taken off that.
    paid: Instant,
}

impl Seen {
    /// Nothing yet.
    fn new(now: Instant) -> Self {
        Self { read: None, at: now, busy: Duration::ZERO, end: u64::MAX, pouring: false, left: BURST, paid: now }
    }

    /// When the next read is due, and notes that it begins then.
    fn beat(&mut self, now: Instant) -> Instant {
        let due = self.read.map_or(now, |read| now.max(read + BEAT));
        self.read = Some(due);
        due
    }

    /// Whether reads should wait, by how long the writer has been at work and where the spool ends.
    fn waits(&mut self, now: Instant, (busy, end): (Duration, u64)) -> bool {
        let passed = now.saturating_duration_since(self.at);
        if passed >= POLL {
            let came = u128::from(end.saturating_sub(self.end));
            let pours = came * POLL.as_micros() >= u128::from(POUR) * passed.as_micros();
            self.pouring = pours && busy.saturating_sub(self.busy) * 100 >= passed * BUSY;
            self.left = BURST.min(self.left + passed / REFILL);
            (self.at, self.busy, self.end) = (now, busy, end);
        }
        self.pouring && self.left >= POLL
    }

    /// Takes a poll that somebody waited off what is left, short of what another one has taken off of it; tells how long that was.
    fn pay(&mut self, now: Instant) -> Duration {
        let waited = POLL.min(now.saturating_duration_since(self.paid));
        self.left = self.left.saturating_sub(waited);
        self.paid = now;
        waited
    }
}

impl Courtesy {
    /// One that waits for whoever needs the machine more.
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self(Some((Arc::new(Mutex::new(Seen::new(Instant::now()))), metrics)))
    }

    /// One that never waits: answers depend on what is read.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Waits before a read from an offset on, while others need the machine more or little waits there. Cancel-safe.
    pub(super) async fn give_way(&self, spool: &Log, from: u64) {
        let Some((seen, metrics)) = &self.0 else { return };
        let roomy = || spool.bytes() < spool.capacity_bytes() / ROOMY;
        if spool.bounds().end.saturating_sub(from) < FEW && roomy() {
            let due = lock(seen).beat(Instant::now());
            sleep_until(due).await;
        }
        let until = Instant::now() + LONGEST;
        while roomy() && Instant::now() < until {
            if !lock(seen).waits(Instant::now(), (spool.busy(), spool.bounds().end)) {
                return;
            }
            sleep(POLL).await;
            let waited = lock(seen).pay(Instant::now());
            metrics.gave_way(waited);
        }
    }
}

/// Takes the lock, which is never held over a wait.
fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use broker::log::{Log, Options};
    use chassis::metrics::Registry;
    use events_proxy_core::envelope::Record;
    use tokio::time::{Instant, sleep};

    use super::{BEAT, BURST, Courtesy, FEW, LONGEST, POLL, Seen, lock};
    use crate::metrics::Metrics;

    /// What a spool looks like after so many polls, with a writer at work for a share of each, in hundredths, and so many events in each.
    fn after(polls: u32, busy: u32, events: u64) -> (Duration, u64) {
        (POLL * polls * busy / 100, u64::from(polls) * events)
    }

    #[test]
    fn it_waits_while_events_pour_into_a_busy_spool() {
        let began = Instant::now();
        for (busy, events, expected) in [(90, 500, true), (50, 50, true), (49, 500, false), (90, 49, false), (0, 0, false)] {
            let mut seen = Seen { busy: Duration::ZERO, end: 0, ..Seen::new(began) };
            assert_eq!(seen.waits(began + POLL, after(1, busy, events)), expected, "{busy} % at work, {events} events");
            assert_eq!(seen.waits(began + POLL * 3 / 2, after(9, 100, 9_999)), expected, "too early for another look");
            assert!(!seen.waits(began + POLL * 2, after(1, busy, events)), "nothing came since");
        }
    }

    #[test]
    fn a_long_burst_uses_up_the_wait_and_a_tenth_of_the_time_comes_back() {
        let began = Instant::now();
        for lanes in [1, 2] {
            let mut seen = Seen { busy: Duration::ZERO, end: 0, ..Seen::new(began) };
            let mut waited = Duration::ZERO;
            for poll in 1..=2_000 {
                // The second lane looks in the middle between two looks of the first.
                for lane in 0..lanes {
                    let now = began + POLL * poll + POLL / 2 * lane;
                    if seen.waits(now, after(poll, 95, 900)) {
                        waited += seen.pay(now + POLL);
                    }
                }
            }
            let (least, most) = (BURST + POLL * 2_000 / 11, BURST + POLL * 2_000 / 9);
            assert!(waited > least && waited < most, "{lanes} lanes: {waited:?} of {:?}", POLL * 2_000);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_trickles_in_is_read_once_a_beat_and_a_backlog_at_once() {
        let (dir, registry) = (tempfile::tempdir().unwrap(), Registry::new());
        let spool = Log::open(dir.path(), &Options::default()).unwrap();
        spool.append(vec![Record::default(); usize::try_from(FEW).unwrap()]).await.unwrap();
        let courtesy = Courtesy::new(Metrics::new(&registry));
        let reads = async |from: [u64; 3]| {
            let began = Instant::now();
            for from in from {
                courtesy.give_way(&spool, from).await;
            }
            began.elapsed()
        };
        assert_eq!(reads([0; 3]).await, Duration::ZERO, "a backlog");
        let waited = reads([FEW; 3]).await;
        assert!(waited >= BEAT * 2 && waited < BEAT * 3, "{waited:?}");
        sleep(BEAT).await;
        assert_eq!(reads([FEW, 0, 0]).await, Duration::ZERO, "the first after a while");
    }

    #[tokio::test]
    async fn a_read_waits_two_seconds_at_most_and_not_where_the_spool_fills_or_answers_depend_on_it() {
        let (dir, registry) = (tempfile::tempdir().unwrap(), Registry::new());
        let metrics = || Metrics::new(&registry);
        let spool = Log::open(dir.path(), &Options::default()).unwrap();
        let wait = async |courtesy: Courtesy, spool: &Log| {
            let began = Instant::now();
            // What was seen lies ahead, so nobody looks again.
            if let Some((seen, _)) = &courtesy.0 {
                *lock(seen) = Seen { at: began + BURST, pouring: true, ..Seen::new(began) };
            }
            courtesy.give_way(spool, 0).await;
            began.elapsed()
        };
        let waited = wait(Courtesy::new(metrics()), &spool).await;
        assert!(waited >= LONGEST && waited < LONGEST * 2, "{waited:?}");
        assert!(!registry.render().contains("publish_gave_way_seconds_total 0\n"), "{}", registry.render());
        assert!(wait(Courtesy::none(), &spool).await < LONGEST / 2);
        drop(spool);
        let small = Log::open(dir.path(), &Options { capacity_bytes: 4_096, ..Options::default() }).unwrap();
        small.append([Record { payload: vec![b'.'; 1_024], ..Record::default() }]).await.unwrap();
        assert!(wait(Courtesy::new(metrics()), &small).await < LONGEST / 2, "a quarter of the spool is used");
    }
}
