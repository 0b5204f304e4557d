//! The order of events: none, or each source's events one after the other.
//!
//! ```text
//! source a   1 ──ended──▶ 2 ──ended──▶ 3        with an order a failure is waited out in the lane, not parked: what is
//! source b   1 ──ended──▶ 2                     parked would be overtaken
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use events_proxy_core::SourceId;
use storage::{End, Settled};
use tokio::sync::Semaphore;
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::path::{Journey, Path};

/// How many lanes may be remembered before empty ones are forgotten.
const LANES_MAX: usize = 1_024;

/// Whether events wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// They do not.
    None,
    /// An event waits for the one before it of its source.
    Source,
}

/// The last event of each lane.
#[derive(Debug)]
pub(super) struct Lanes {
    /// Whether there are any.
    order: Order,
    /// Closed when the lane's last event has ended.
    last: HashMap<SourceId, oneshot::Receiver<()>>,
}

/// An event's place in its lane; the next one's turn comes when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Closed when the one before has ended.
    before: Option<oneshot::Receiver<()>>,
    /// Open until this one has ended.
    _after: Option<oneshot::Sender<()>>,
}

impl Lanes {
    /// No event yet.
    pub(super) fn new(order: Order) -> Self {
        Self { order, last: HashMap::new() }
    }

    /// The place of a source's next event.
    pub(super) fn turn(&mut self, source: &SourceId) -> Turn {
        if self.order == Order::None {
            return Turn::default();
        }
        if self.last.len() >= LANES_MAX {
            self.last.retain(|_, last| last.try_recv() == Err(TryRecvError::Empty));
        }
        let (after, ended) = oneshot::channel();
        Turn { before: self.last.insert(source.clone(), ended), _after: Some(after) }
    }
}

/// Leads an event along its path when its turn comes.
#[derive(Debug)]
pub(super) struct Traveller {
    /// The path.
    pub(super) path: Arc<Path>,
    /// Its turn.
    pub(super) turn: Turn,
    /// Places among the events under way, of which it takes one when its turn comes; none where it has one already, and may be
    /// overtaken.
    pub(super) places: Option<Arc<Semaphore>>,
}

impl Traveller {
    /// Brings an event to its end, or parks it where it may be overtaken; `None` when its partition is left before.
    pub(super) async fn travel(mut self, mut journey: Journey) -> Option<Settled> {
        let hold = Arc::clone(&journey.hold);
        if let Some(before) = self.turn.before.take() {
            // However it ended: the one before is no longer under way.
            hold.unless_left(before).await?.ok();
        }
        let Some(places) = self.places else { return self.path.travel(journey).await };
        loop {
            let place = hold.unless_left(places.acquire()).await?;
            let settled = self.path.travel(journey.again()).await?;
            drop(place);
            let End::Parked { next_attempt_at } = settled.end else { return Some(settled) };
            journey.attempts = settled.attempts;
            hold.unless_left(tokio::time::sleep(next_attempt_at.since(self.path.clock.now()))).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use events_proxy_core::SourceId;
    use tokio::time::timeout;

    use super::{LANES_MAX, Lanes, Order};

    #[tokio::test(start_paused = true)]
    async fn an_event_waits_for_the_one_before_it_of_its_source_alone() {
        let mut lanes = Lanes::new(Order::Source);
        let (first, other) = (lanes.turn(&SourceId::new("a")), lanes.turn(&SourceId::new("b")));
        assert!(first.before.is_none() && other.before.is_none());
        let mut before = lanes.turn(&SourceId::new("a")).before.unwrap();
        assert!(timeout(Duration::from_secs(9), &mut before).await.is_err(), "the first has not ended");
        drop(first);
        assert!(timeout(Duration::from_secs(9), before).await.is_ok());
    }

    #[test]
    fn without_an_order_nobody_waits_and_lanes_that_are_empty_are_forgotten() {
        let mut none = Lanes::new(Order::None);
        let _first = none.turn(&SourceId::new("a"));
        assert!(none.turn(&SourceId::new("a")).before.is_none());
        let mut lanes = Lanes::new(Order::Source);
        let waiting = lanes.turn(&SourceId::new("waiting"));
        for number in 0..LANES_MAX * 3 {
            drop(lanes.turn(&SourceId::new(number.to_string())));
        }
        assert!(lanes.last.len() <= LANES_MAX + 1);
        assert!(lanes.turn(&SourceId::new("waiting")).before.is_some());
        drop(waiting);
    }
}
