//! The target, and everything that ever arrived at it.

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use simulators::target::{Arrival, Failure, Options, Outcome, Target};
use tokio_util::sync::CancellationToken;

/// A target whose arrivals are all kept.
pub(crate) struct Watched {
    /// The simulator, which keeps the last ten thousand.
    target: Target,
    /// All of them.
    all: Mutex<BTreeMap<(i64, Option<String>), Arrival>>,
}

impl Watched {
    /// Starts one with a limit per second.
    pub(crate) fn start(directory: &Path, limit: u32) -> anyhow::Result<Self> {
        let options = Options {
            rate_interval: Duration::from_secs(1),
            rate_requests: limit,
            failure_share: 0.1,
            latency: Duration::from_millis(40),
            record_file: Some(directory.join("target.jsonl")),
            ..Options::default()
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
        let target = Target::start(options, listener, CancellationToken::new()).context("start the target")?;
        Ok(Self { target, all: Mutex::default() })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/graphql", self.target.address())
    }

    /// Takes over what arrived since the last look; to be called every few seconds.
    pub(crate) fn look(&self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        for arrival in self.target.arrivals() {
            all.entry((arrival.at_micros, arrival.key.clone())).or_insert(arrival);
        }
    }

    /// How many of these events it does not have.
    pub(crate) fn missing(&self, expected: &HashSet<String>) -> usize {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: HashSet<&str> =
            all.values().filter(|arrival| is_processed(arrival)).filter_map(|arrival| arrival.id.as_deref()).collect();
        expected.iter().filter(|id| !taken.contains(id.as_str())).count()
    }

    /// Everything that arrived, in order.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.look();
        self.all.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// Says whether the target took the event, be it that its sender never heard so.
pub(crate) fn is_processed(arrival: &Arrival) -> bool {
    matches!(arrival.outcome, Outcome::Processed | Outcome::Duplicate) || is_unheard(arrival)
}

/// Says whether the target took the event, but its sender never heard so.
pub(crate) fn is_unheard(arrival: &Arrival) -> bool {
    matches!(arrival.outcome, Outcome::Failed(Failure::Slow | Failure::Lost))
}
