//! The target, and everything that ever arrived at it.

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use simulators::target::{Arrival, Failure, Options, Outcome, Target};
use tokio_util::sync::CancellationToken;

use crate::fleet::now;

/// A target whose arrivals are all kept.
pub(crate) struct Watched {
    /// The simulator, which keeps the last ten thousand.
    target: Target,
    /// Where it records each event that it took.
    record: PathBuf,
    /// When it throttled everything, from and until, in microseconds since 1970.
    throttles: Mutex<Vec<(i64, i64)>>,
    /// All arrivals.
    all: Mutex<BTreeMap<(i64, Option<String>), Arrival>>,
}

impl Watched {
    /// Starts one with a limit per second.
    pub(crate) fn start(directory: &Path, limit: u32) -> anyhow::Result<Self> {
        let record = directory.join("target.jsonl");
        let options = Options {
            rate_interval: Duration::from_secs(1),
            rate_requests: limit,
            failure_share: 0.1,
            latency: Duration::from_millis(40),
            record_file: Some(record.clone()),
            ..Options::default()
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
        let target = Target::start(options, listener, CancellationToken::new()).context("start the target")?;
        Ok(Self { target, record, throttles: Mutex::default(), all: Mutex::default() })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/graphql", self.target.address())
    }

    /// Throttles everything for so long.
    pub(crate) fn throttle(&self, wait: Duration) -> anyhow::Result<()> {
        let from = now()?;
        self.target.throttle(wait);
        let until = from + i64::try_from(wait.as_micros()).context("measure a throttle")?;
        self.throttles.lock().unwrap_or_else(PoisonError::into_inner).push((from, until));
        Ok(())
    }

    /// When it did.
    pub(crate) fn throttles(&self) -> Vec<(i64, i64)> {
        self.throttles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over what arrived since the last look; to be called every few seconds.
    pub(crate) fn look(&self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        for arrival in self.target.arrivals() {
            all.entry((arrival.at_micros, arrival.key.clone())).or_insert(arrival);
        }
    }

    /// Those of these events that it does not have.
    pub(crate) fn missing(&self, expected: &HashSet<String>) -> anyhow::Result<usize> {
        let text = std::fs::read_to_string(&self.record).context("read the target's record")?;
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let taken: HashSet<String> = lines.filter_map(|line| Some(line.get("id")?.as_str()?.to_owned())).collect();
        Ok(expected.difference(&taken).count())
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
