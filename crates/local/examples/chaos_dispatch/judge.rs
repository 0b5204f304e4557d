//! What is said in the end: each law with its figure, and whether it held.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io::Write;
use std::time::Duration;

use simulators::target::{Arrival, Outcome};

use crate::fleet::{End, Ended, Gap};
use crate::target::{is_processed, is_unheard};

/// A second in microseconds.
const SECOND: i64 = 1_000_000;
/// How long before its process ended an event may have arrived whose end could not be stored any more.
const UNSETTLED: i64 = 5 * SECOND;
/// How long after a throttle's start all dispatchers know of it: an answer's way, and that of the news by the database.
const NEWS: i64 = SECOND / 2;
/// The longest take-overs, and the least share of the limit that is used.
const AFTER_A_KILL: Duration = Duration::from_secs(12);
const AFTER_A_STOP: Duration = Duration::from_secs(2);
const USED_MIN: f64 = 0.98;

/// Everything that was seen.
pub(crate) struct Judge {
    /// What has to arrive.
    pub(crate) accepted: HashSet<String>,
    /// How many of them did not.
    pub(crate) lost: usize,
    /// What arrived, in order.
    pub(crate) arrivals: Vec<Arrival>,
    /// When everything was throttled, from and until.
    pub(crate) throttles: Vec<(i64, i64)>,
    /// When dispatchers ended.
    pub(crate) ends: Vec<Ended>,
    /// How long take-overs took.
    pub(crate) gaps: Vec<Gap>,
    /// The limit per second.
    pub(crate) limit: u32,
}

impl Judge {
    /// Prints the table; tells whether all laws held.
    pub(crate) fn print(&self, out: &mut impl Write) -> anyhow::Result<bool> {
        let (worst, over) = self.windows();
        let (repeated, unexplained) = self.repeated();
        let (used, calm) = self.used();
        let (kill, stop) = (self.longest(&[End::Killed, End::Frozen]), self.longest(&[End::Stopped]));
        let count = |outcome: fn(&Outcome) -> bool| self.arrivals.iter().filter(|arrival| outcome(&arrival.outcome)).count();
        let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let throttled = count(|outcome| matches!(outcome, Outcome::Throttled));
        let unheeded = self.unheeded();
        let lines = [
            ("events accepted", self.accepted.len().to_string(), true),
            ("requests at the target", format!("{} ({failed} failed on purpose, {throttled} throttled)", self.arrivals.len()), true),
            ("dispatchers ended", self.ends.len().to_string(), true),
            ("lost", self.lost.to_string(), self.lost == 0),
            ("windows over the limit", format!("{over} (worst {worst} of {})", self.limit), over == 0),
            ("repeated, explained", format!("{} of {repeated}", repeated - unexplained), unexplained == 0),
            ("sent in spite of a throttle", format!("{unheeded} in {} throttles", self.throttles.len()), unheeded == 0),
            ("share of the limit used", format!("{:.1} % in {calm} s without a take-over", used * 100.0), used >= USED_MIN),
            ("longest take-over, kill", format!("{:.1} s", kill.as_secs_f64()), kill <= AFTER_A_KILL),
            ("longest take-over, stop", format!("{:.1} s", stop.as_secs_f64()), stop <= AFTER_A_STOP),
        ];
        writeln!(out)?;
        for (what, figure, holds) in &lines {
            writeln!(out, "{what:<28}{figure:<52}{}", if *holds { "" } else { "BROKEN" })?;
        }
        Ok(lines.iter().all(|(_, _, holds)| *holds))
    }

    /// Arrivals that the target processed.
    fn processed(&self) -> impl Iterator<Item = &Arrival> {
        self.arrivals.iter().filter(|arrival| is_processed(arrival))
    }

    /// The most arrivals of a rolling second, and how many arrivals ended one with too many.
    fn windows(&self) -> (usize, usize) {
        let (mut inside, mut worst, mut over) = (VecDeque::new(), 0, 0);
        for arrival in &self.arrivals {
            inside.push_back(arrival.at_micros);
            while inside.front().is_some_and(|first| arrival.at_micros - first >= SECOND) {
                inside.pop_front();
            }
            worst = worst.max(inside.len());
            over += usize::from(inside.len() > usize::try_from(self.limit).unwrap_or(usize::MAX));
        }
        (worst, over)
    }

    /// How many requests arrived in a throttle when all knew of it.
    fn unheeded(&self) -> usize {
        let told = |at: i64| self.throttles.iter().any(|(from, until)| (from + NEWS..*until).contains(&at));
        self.arrivals.iter().filter(|arrival| told(arrival.at_micros)).count()
    }

    /// How many events were processed more than once, and how many of them nobody can explain.
    fn repeated(&self) -> (usize, usize) {
        let mut by_id: HashMap<&str, Vec<&Arrival>> = HashMap::new();
        for arrival in self.processed() {
            by_id.entry(arrival.id.as_deref().unwrap_or_default()).or_default().push(arrival);
        }
        by_id.retain(|_, arrivals| arrivals.len() > 1);
        let unexplained = by_id.values().filter(|arrivals| !self.explains(arrivals)).count();
        (by_id.len(), unexplained)
    }

    /// Says whether each arrival but the last is one that could not be settled, all under one key.
    fn explains(&self, arrivals: &[&Arrival]) -> bool {
        let Some((_, before)) = arrivals.split_last() else { return true };
        let same_key = arrivals.windows(2).all(|pair| matches!(pair, [one, other] if one.key.is_some() && one.key == other.key));
        let cut_off = |at: i64| self.ends.iter().any(|end| (end.from - UNSETTLED..=end.until + SECOND).contains(&at));
        same_key && before.iter().all(|arrival| is_unheard(arrival) || cut_off(arrival.at_micros))
    }

    /// The used share of the limit while there was a backlog, and in how many seconds that was seen: those of take-overs, of
    /// ends, of wakings and of throttles are left out, each with a second before and two after, and so are those in which the
    /// only dispatcher stopped.
    fn used(&self) -> (f64, usize) {
        let mut seconds: BTreeMap<i64, u32> = BTreeMap::new();
        for arrival in &self.arrivals {
            *seconds.entry(arrival.at_micros / SECOND).or_default() += 1;
        }
        let (Some(first), Some(last)) = (seconds.keys().min(), self.backlog_end()) else { return (0.0, 0) };
        let taken_over = self.gaps.iter().map(|(_, from, gap)| (*from, from + i64::try_from(gap.as_micros()).unwrap_or(i64::MAX)));
        let moments = |end: &Ended| if end.alone { [(end.from, end.until); 2] } else { [(end.from, end.from), (end.until, end.until)] };
        let ended = self.ends.iter().flat_map(moments);
        let disturbing: Vec<(i64, i64)> = taken_over
            .chain(ended)
            .chain(self.throttles.iter().copied())
            .map(|(from, until)| (from / SECOND - 1, until / SECOND + 2))
            .collect();
        let disturbed = |second: i64| disturbing.iter().any(|(from, until)| (*from..=*until).contains(&second));
        let calm: Vec<u32> =
            (first + 2..last).filter(|second| !disturbed(*second)).map(|second| seconds.get(&second).copied().unwrap_or(0)).collect();
        let sent: u32 = calm.iter().sum();
        let allowed = f64::from(self.limit) * f64::from(u32::try_from(calm.len()).unwrap_or(u32::MAX));
        (if allowed > 0.0 { f64::from(sent) / allowed } else { 0.0 }, calm.len())
    }

    /// The second in which nine tenths of the events had arrived for the first time: after it the rest may be parked.
    fn backlog_end(&self) -> Option<i64> {
        let mut known = HashSet::new();
        let most = self.accepted.len() * 9 / 10;
        let mut new = self.arrivals.iter().filter(|arrival| arrival.id.as_deref().is_some_and(|id| known.insert(id)));
        new.nth(most.saturating_sub(1)).map(|arrival| arrival.at_micros / SECOND)
    }

    /// The longest take-over of these kinds.
    fn longest(&self, kinds: &[End]) -> Duration {
        self.gaps.iter().filter(|(end, ..)| kinds.contains(end)).map(|(.., gap)| *gap).max().unwrap_or_default()
    }
}
