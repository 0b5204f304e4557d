//! What arrived, what came of it, and which events were processed already.
//!
//! An event is known by its key: the `Idempotency-Key`, else the input's `id`. Of a key 128 bits of hash are kept, under
//! a secret of this process, so two keys are taken for one with a chance of about n² / 2^129. After [`KEYS_MAX`] keys the
//! oldest are forgotten: from then on, which `forgotten` tells, an old event that comes again counts as a new one.

use std::collections::hash_map::RandomState;
use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::failure::Failure;

/// How many keys are known at once: what fits into a hash table of 2^21 places, 65 MB together with their order.
const KEYS_MAX: usize = 1_800_000;
/// How many arrivals are kept.
const ARRIVALS_MAX: usize = 10_000;

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A new event was processed.
    Processed,
    /// A processed event came again; it was answered alike and not processed again.
    Duplicate,
    /// A query was answered.
    Answered,
    /// Not a valid request: no GraphQL, against the schema, or out of bounds.
    Invalid,
    /// Over the limit.
    Throttled,
    /// Failed as told.
    Failed(Failure),
}

/// One request that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// When, in microseconds since the Unix epoch.
    pub at_micros: i64,
    /// Its `Idempotency-Key`.
    pub key: Option<String>,
    /// The id of its event; none when the request did not get as far as being processed.
    pub id: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
}

/// The figures of one moment, counted from the start.
///
/// `received = processed + answered + invalid + throttled + failed`, plus those being answered or left by their client,
/// minus those that count twice: a [`Failure::Slow`] or [`Failure::Lost`] is processed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Numbers {
    /// Requests to `/graphql` that arrived.
    pub received: u64,
    /// Events processed, repeats included: `distinct + duplicates`.
    pub processed: u64,
    /// Different events among the processed.
    pub distinct: u64,
    /// Repeats among the processed.
    pub duplicates: u64,
    /// Queries answered.
    pub answered: u64,
    /// Requests that were not valid.
    pub invalid: u64,
    /// Requests over the limit.
    pub throttled: u64,
    /// Requests that failed as told.
    pub failed: u64,
    /// The most requests admitted in any rolling window.
    pub worst_window: u64,
    /// The most requests that arrived in any rolling window, throttled ones included.
    pub worst_arrivals: u64,
    /// Keys forgotten for want of room; zero means that `distinct` and `duplicates` are exact.
    pub forgotten: u64,
    /// Events that are missing in the record file because it could not be written.
    pub unrecorded: u64,
}

/// The keys of processed events.
#[derive(Debug)]
struct Keys {
    /// Two hash functions with secrets of their own, for 128 bits.
    hashers: (RandomState, RandomState),
    /// The hashes.
    known: HashSet<u128>,
    /// The hashes, oldest first.
    order: VecDeque<u128>,
    /// How many hashes are kept.
    kept_max: usize,
}

impl Keys {
    /// No keys; `kept_max` of them can be known.
    fn new(kept_max: usize) -> Self {
        Self { hashers: (RandomState::new(), RandomState::new()), known: HashSet::new(), order: VecDeque::new(), kept_max }
    }

    /// Takes up a key. Says whether it is new, and whether another had to be forgotten for it.
    fn add(&mut self, key: &str) -> (bool, bool) {
        let hash = u128::from(self.hashers.0.hash_one(key)) << 64 | u128::from(self.hashers.1.hash_one(key));
        if self.known.contains(&hash) {
            return (false, false);
        }
        let forgotten = if self.known.len() >= self.kept_max { self.order.pop_front() } else { None };
        if let Some(oldest) = forgotten {
            self.known.remove(&oldest);
        }
        self.known.insert(hash);
        self.order.push_back(hash);
        (true, forgotten.is_some())
    }
}

/// Everything that is remembered, behind one lock that is only held for moments.
#[derive(Debug)]
pub(super) struct Ledger {
    /// What is remembered.
    pages: Mutex<Pages>,
}

/// What the ledger remembers.
#[derive(Debug)]
struct Pages {
    /// The counters; what others count stays zero here.
    numbers: Numbers,
    /// The keys of processed events.
    keys: Keys,
    /// The last arrivals, in the order in which they ended.
    arrivals: VecDeque<Arrival>,
}

impl Ledger {
    /// An empty ledger.
    pub(super) fn new() -> Self {
        let pages = Pages { numbers: Numbers::default(), keys: Keys::new(KEYS_MAX), arrivals: VecDeque::new() };
        Self { pages: Mutex::new(pages) }
    }

    /// Counts a request that arrives.
    pub(super) fn arrives(&self) {
        self.with(|pages| pages.numbers.received += 1);
    }

    /// Processes the event of this key; says whether it is new.
    pub(super) fn process(&self, key: &str) -> bool {
        self.with(|pages| {
            let (new, forgot) = pages.keys.add(key);
            pages.numbers.processed += 1;
            pages.numbers.forgotten += u64::from(forgot);
            *(if new { &mut pages.numbers.distinct } else { &mut pages.numbers.duplicates }) += 1;
            new
        })
    }

    /// Keeps an arrival and counts what came of it, except for what [`Self::process`] counts.
    pub(super) fn ends(&self, arrival: Arrival) {
        self.with(|pages| {
            match arrival.outcome {
                Outcome::Processed | Outcome::Duplicate => {}
                Outcome::Answered => pages.numbers.answered += 1,
                Outcome::Invalid => pages.numbers.invalid += 1,
                Outcome::Throttled => pages.numbers.throttled += 1,
                Outcome::Failed(_) => pages.numbers.failed += 1,
            }
            if pages.arrivals.len() >= ARRIVALS_MAX {
                pages.arrivals.pop_front();
            }
            pages.arrivals.push_back(arrival);
        });
    }

    /// The counters that are kept here.
    pub(super) fn numbers(&self) -> Numbers {
        self.with(|pages| pages.numbers)
    }

    /// The last arrivals, in the order in which they arrived.
    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        let mut arrivals: Vec<Arrival> = self.with(|pages| pages.arrivals.iter().cloned().collect());
        arrivals.sort_by_key(|arrival| arrival.at_micros);
        arrivals
    }

    /// Does something while it holds the lock.
    fn with<T>(&self, act: impl FnOnce(&mut Pages) -> T) -> T {
        act(&mut self.pages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::{ARRIVALS_MAX, Arrival, Keys, Ledger, Outcome};

    #[test]
    fn a_key_is_new_once() {
        let ledger = Ledger::new();
        assert!(ledger.process("a/1") && ledger.process("b/1") && !ledger.process("a/1"));
        let numbers = ledger.numbers();
        assert_eq!((numbers.processed, numbers.distinct, numbers.duplicates, numbers.forgotten), (3, 2, 1, 0));
    }

    #[test]
    fn a_full_set_forgets_the_oldest_key_and_says_so() {
        let mut keys = Keys::new(2);
        assert_eq!((keys.add("a"), keys.add("b"), keys.add("c")), ((true, false), (true, false), (true, true)));
        assert_eq!((keys.add("b"), keys.add("a")), ((false, false), (true, true)));
        assert_eq!((keys.known.len(), keys.order.len()), (2, 2));
    }

    #[test]
    fn the_last_arrivals_are_kept_in_the_order_of_arrival() {
        let ledger = Ledger::new();
        let last = i64::try_from(ARRIVALS_MAX).unwrap() + 5;
        for at_micros in (1..=last).map(|at| at ^ 1) {
            ledger.ends(Arrival { at_micros, key: None, id: None, outcome: Outcome::Throttled });
        }
        let arrivals = ledger.arrivals();
        assert_eq!(arrivals.len(), ARRIVALS_MAX);
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at_micros));
        assert_eq!(ledger.numbers().throttled, u64::try_from(last).unwrap());
    }
}
