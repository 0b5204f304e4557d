//! Which events have ended before: what is fetched of all partitions, looked up at once where it comes together.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chassis::lifecycle::Tasks;
use storage::{Error, Store};

use crate::settle::Key;
use crate::together::{Answerer, Terms, Together};

/// How long after one look began the next one does at the soonest.
const BEAT: Duration = Duration::from_millis(10);
/// The most events of one look.
const EVENTS_MAX: usize = 2_000;

/// Looks events up.
#[derive(Debug)]
pub(crate) struct Known(Store);

impl Known {
    /// Looks that go together.
    pub(crate) fn together(store: Store, tasks: &Tasks) -> Together<Self> {
        Together::new(Self(store), Terms { name: "look events up", beat: BEAT, weight_max: EVENTS_MAX }, tasks)
    }
}

impl Answerer for Known {
    type Question = Arc<[Key]>;
    /// Those that have ended or are parked, among all that were asked for together.
    type Answer = Result<Arc<HashSet<Key>>, Arc<Error>>;

    fn weight(keys: &Arc<[Key]>) -> usize {
        keys.len()
    }

    async fn answer(&self, asked: Vec<Arc<[Key]>>) -> Vec<Self::Answer> {
        let known = self.0.settled_among(&asked.concat()).await.map(Arc::new).map_err(Arc::new);
        asked.iter().map(|_| known.clone()).collect()
    }
}
