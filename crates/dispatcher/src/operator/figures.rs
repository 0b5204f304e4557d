//! The figures that people look at: asked for at intervals while somebody looks, and shared by all who do.
//!
//! ```text
//! storage ─▶ one task, once a second while watched ─▶ the newest figures ─▶ pages, live parts, the API
//! ```
//! However many look, the storage is asked once; when nobody does, now and then, and at once when somebody comes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chassis::clock::Clock;
use chassis::lifecycle::{Cause, sentence};
use events_proxy_core::{Moment, State};
use serde::Serialize;
use storage::{Balance, DeadGroup, JournalRow, Limit, Search, Store};
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::metrics::Numbers;
use crate::stack::Running;

/// How often they are asked for while somebody looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Every so many intervals they are asked for in any case, so that curves have a past when somebody comes.
const IDLE_INTERVALS: u32 = 5;
/// How old figures may be that somebody begins with who comes.
const FRESH: Duration = Duration::from_secs(2);
/// How long whoever comes waits for newer ones.
const WAIT: Duration = Duration::from_millis(70);
/// How many points a curve has.
const POINTS: usize = 180;
/// How many events of each failing state are told of.
const FAILING: u32 = 4;
/// Over how many samples a rate is taken.
const SPAN: usize = 10;

/// What is known at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// When.
    pub(crate) at: Moment,
    /// Why the storage could not be asked; the rest is then of the last time.
    pub(crate) trouble: Option<String>,
    /// Records on the topic that are not settled.
    pub(crate) backlog: u64,
    /// Events that wait for a later attempt.
    pub(crate) parked: u64,
    /// Dead letters by reason.
    pub(crate) dead: Vec<DeadGroup>,
    /// Whether every event is accounted for.
    pub(crate) balance: Balance,
    /// When the oldest unfinished event was received.
    pub(crate) oldest: Option<Moment>,
    /// The newest of those that are parked or dead.
    pub(crate) failing: Vec<JournalRow>,
    /// Rates over all partitions, oldest first.
    pub(crate) rates: Vec<Rates>,
    /// What this replica counted.
    pub(crate) numbers: Numbers,
}

/// Rates at one moment, per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rates {
    /// When.
    pub(crate) at: Moment,
    /// Records that came.
    pub(crate) arriving: f64,
    /// Records that were settled.
    pub(crate) settling: f64,
}

/// What the target permits.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Permitted {
    /// Requests per window.
    pub(crate) requests: u32,
    /// The window, in milliseconds.
    pub(crate) interval_ms: u64,
}

impl Permitted {
    /// What a limit permits.
    pub(super) fn of(limit: Limit) -> Self {
        Self { requests: limit.requests, interval_ms: u64::try_from(limit.interval.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Requests per second.
    pub(crate) fn per_second(self) -> f64 {
        let millis = u32::try_from(self.interval_ms).unwrap_or(u32::MAX).max(1);
        f64::from(self.requests) * 1_000.0 / f64::from(millis)
    }

    /// How long so many events take at the full limit.
    pub(crate) fn drain_time(self, events: u64) -> Duration {
        let windows = events.div_ceil(u64::from(self.requests.max(1)));
        Duration::from_millis(windows.saturating_mul(self.interval_ms))
    }
}

/// How many records had come and were settled at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// When.
    at: Moment,
    /// Records that had come, over all partitions.
    come: u64,
    /// Records that were settled.
    settled: u64,
}

/// Asks for the figures, for as long as the process lives.
#[derive(Debug)]
pub(crate) struct Watch {
    /// What is remembered.
    pub(crate) store: Store,
    /// The topic.
    pub(crate) topic: String,
    /// This replica.
    pub(crate) running: Running,
    /// Tells when.
    pub(crate) clock: Arc<dyn Clock>,
    /// Says that somebody finds the newest figures too old.
    pub(crate) wanted: Arc<Notify>,
    /// The newest figures; who holds a receiver looks.
    pub(crate) newest: watch::Sender<Arc<Figures>>,
}

/// The figures, for those who look.
#[derive(Debug)]
pub(crate) struct Newest {
    /// The newest.
    figures: watch::Receiver<Arc<Figures>>,
    /// Says that newer ones are wanted.
    wanted: Arc<Notify>,
}

impl Newest {
    /// The figures for somebody who comes now: newer ones than those at hand if these are from when nobody looked and the
    /// storage answers soon. They say of when they are.
    pub(crate) async fn fresh(&self, now: Moment) -> Arc<Figures> {
        let mut figures = self.figures.clone();
        if now.since(figures.borrow_and_update().at) > FRESH {
            self.wanted.notify_one();
            tokio::time::timeout(WAIT, figures.changed()).await.ok();
        }
        figures.borrow().clone()
    }

    /// The figures at hand.
    pub(crate) fn at_hand(&self) -> Arc<Figures> {
        Arc::clone(&self.figures.borrow())
    }

    /// Hears of each new set of them.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<Figures>> {
        self.figures.clone()
    }
}

impl Figures {
    /// Before anything was asked.
    pub(crate) fn none(at: Moment) -> Self {
        Self {
            at,
            trouble: None,
            backlog: 0,
            parked: 0,
            dead: Vec::new(),
            balance: Balance::default(),
            oldest: None,
            failing: Vec::new(),
            rates: Vec::new(),
            numbers: Numbers::default(),
        }
    }

    /// Accepted events that have not ended.
    pub(crate) const fn pending(&self) -> u64 {
        self.backlog.saturating_add(self.parked)
    }

    /// Dead letters of all reasons.
    pub(crate) fn dead_letters(&self) -> u64 {
        self.dead.iter().map(|group| group.count).sum()
    }
}

impl Watch {
    /// What those who look hold.
    pub(crate) fn newest(&self) -> Newest {
        Newest { figures: self.newest.subscribe(), wanted: Arc::clone(&self.wanted) }
    }

    /// Asks until the process stops.
    pub(crate) async fn watch(self, stopping: CancellationToken) -> Result<(), Cause> {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut samples, mut idle) = (VecDeque::with_capacity(POINTS), 0_u32);
        loop {
            // All arms are cancel-safe: each only waits.
            let due = tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = self.wanted.notified() => true,
                _ = tick.tick() => self.newest.receiver_count() > 1 || idle + 1 >= IDLE_INTERVALS,
            };
            if !due {
                idle += 1;
                continue;
            }
            idle = 0;
            let figures = self.ask(&mut samples).await;
            self.newest.send_replace(Arc::new(figures));
        }
    }

    /// Asks once; what the storage does not tell stays as it was.
    async fn ask(&self, samples: &mut VecDeque<Sample>) -> Figures {
        let before = Arc::clone(&self.newest.borrow());
        let known = Figures { at: self.clock.now(), numbers: self.running.numbers(), balance: self.running.balance(), ..(*before).clone() };
        match self.told(known.clone(), samples).await {
            Ok(figures) => figures,
            Err(error) => Figures { trouble: Some(sentence(&error)), ..known },
        }
    }

    /// What the storage tells.
    async fn told(&self, known: Figures, samples: &mut VecDeque<Sample>) -> Result<Figures, storage::Error> {
        let partitions = self.store.partitions(&self.topic).await?;
        let numbers: Vec<u32> = partitions.iter().map(|row| row.partition).collect();
        let waiting = self.store.waiting(&self.topic, &numbers).await?;
        let (dead, oldest) = (self.store.dead_groups().await?, self.store.oldest_pending().await?);
        let mut failing = Vec::new();
        for state in [State::Parked, State::Dead] {
            let newest = Search { state: Some(state), limit: FAILING, ..Search::default() };
            failing.extend(self.store.search(&newest).await?.rows);
        }
        let come: u64 = partitions.iter().map(|row| row.high_watermark.max(row.next_offset)).sum();
        let settled: u64 = partitions.iter().map(|row| row.next_offset).sum();
        if samples.len() == POINTS {
            samples.pop_front();
        }
        samples.push_back(Sample { at: known.at, come, settled });
        Ok(Figures {
            trouble: None,
            backlog: come.saturating_sub(settled),
            parked: waiting.values().map(|waiting| waiting.events).sum(),
            dead,
            oldest,
            failing,
            rates: rates(samples),
            ..known
        })
    }
}

/// The counters' growth per second at each sample, oldest first. Owners tell where they are every few seconds, so it is
/// taken over a longer span than that.
fn rates(samples: &VecDeque<Sample>) -> Vec<Rates> {
    let at = |(place, after): (usize, &Sample)| {
        let before = samples.get(place.saturating_sub(SPAN))?;
        let seconds = after.at.since(before.at).as_secs_f64().max(1e-3);
        let rate = |from: u64, to: u64| f64::from(u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX)) / seconds;
        Some(Rates { at: after.at, arriving: rate(before.come, after.come), settling: rate(before.settled, after.settled) })
    };
    samples.iter().enumerate().skip(1).filter_map(at).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use events_proxy_core::Moment;
    use tokio::sync::{Notify, watch};

    use super::{Figures, Newest, Permitted, Sample, WAIT, rates};

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_gets_figures_of_now_or_old_ones_in_time() {
        let (long_ago, now) = (Moment::from_micros(0), Moment::from_micros(0).plus(Duration::from_secs(60)));
        let (wanted, newest) = (Arc::new(Notify::new()), watch::Sender::new(Arc::new(Figures::none(long_ago))));
        let looker = Newest { figures: newest.subscribe(), wanted: Arc::clone(&wanted) };
        let come = tokio::time::Instant::now();
        assert_eq!(looker.fresh(now).await.at, long_ago, "the storage does not answer");
        assert!(come.elapsed() <= WAIT + Duration::from_millis(1));

        let answering = async {
            wanted.notified().await;
            newest.send_replace(Arc::new(Figures::none(now)));
        };
        assert_eq!(tokio::join!(looker.fresh(now), answering).0.at, now, "it was asked at once");
        let come = tokio::time::Instant::now();
        assert_eq!((looker.fresh(now).await.at, come.elapsed()), (now, Duration::ZERO), "those are new enough");
    }

    #[test]
    fn a_rate_is_growth_over_the_span_that_passed() {
        let sample = |second, settled| Sample { at: Moment::from_micros(0).plus(Duration::from_secs(second)), come: 0, settled };
        let samples = [sample(0, 10), sample(2, 30), sample(3, 30)].into();
        let settling: Vec<f64> = rates(&samples).iter().map(|rates| rates.settling).collect();
        assert_eq!(settling, [10.0, 20.0 / 3.0]);
    }

    #[test]
    fn a_backlog_drains_by_whole_windows() {
        let permitted = Permitted { requests: 100, interval_ms: 60_000 };
        assert_eq!(permitted.drain_time(101), Duration::from_secs(120));
        assert!((permitted.per_second() - 100.0 / 60.0).abs() < 1e-9);
    }
}
