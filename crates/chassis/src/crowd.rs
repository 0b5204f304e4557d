//! Whether the threads of this process have to wait for a CPU, by the kernel's own count.
//!
//! ```text
//! /proc/self/task/*/schedstat     ns on a CPU · ns of waiting for one · turns      (proc_pid_schedstat(5))
//! ```
//! How busy the CPUs are would not tell: a process that shares them with others can starve at a third of them. Where the
//! kernel does not count, nobody waits.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often the kernel is asked at most.
const INTERVAL: Duration = Duration::from_millis(100);
/// From which share of wall time on, summed over all threads, waiting counts, in thousandths: below it hardly anything is done.
const WALL: u128 = 200;
/// From which share of what threads could have run on it is a crowd, in thousandths.
const SHARE: u128 = 300;

/// Where the threads are found.
const TASKS: &str = "/proc/self/task";

/// Looks at the threads of this process; clones share what was seen.
#[derive(Debug, Clone)]
pub struct Crowd(Arc<Mutex<Seen>>);

/// What was seen at the last look.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// When it was.
    at: Instant,
    /// What the kernel had counted.
    times: Times,
    /// What follows from it and the look before.
    crowded: bool,
}

/// Sums over all threads since their beginning.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    /// On a CPU.
    ran: Duration,
    /// Ready, and waiting for one.
    waited: Duration,
}

impl Default for Crowd {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Seen { at: Instant::now(), times: times(), crowded: false })))
    }
}

impl Crowd {
    /// One that is always there: for tests.
    #[must_use]
    pub fn pretended() -> Self {
        // A look that lies ahead is never too old.
        let at = Instant::now() + Duration::from_secs(1 << 30);
        Self(Arc::new(Mutex::new(Seen { at, times: Times::default(), crowded: true })))
    }

    /// Whether threads had to wait between the last two looks, which are at least 100 ms apart.
    pub async fn is_there(&self) -> bool {
        let before = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if before.at.elapsed() < INTERVAL {
            return before.crowded;
        }
        // A runtime that stops has no crowd to look after.
        let Ok(times) = tokio::task::spawn_blocking(times).await else { return false };
        let at = Instant::now();
        let crowded = crowded((before.times, times), at.duration_since(before.at));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Seen { at, times, crowded };
        crowded
    }
}

/// Whether it was crowded between two looks.
fn crowded((before, now): (Times, Times), passed: Duration) -> bool {
    // Threads that ended in between took their part of the sums along.
    let ran = now.ran.saturating_sub(before.ran).as_nanos();
    let waited = now.waited.saturating_sub(before.waited).as_nanos();
    waited * 1_000 >= passed.as_nanos() * WALL && waited * 1_000 >= (ran + waited) * SHARE
}

/// What the kernel has counted for all threads.
fn times() -> Times {
    let threads = fs::read_dir(TASKS).into_iter().flatten().flatten();
    let each = threads.filter_map(|thread| parse(&fs::read_to_string(thread.path().join("schedstat")).ok()?));
    each.fold(Times::default(), |sum, one| Times { ran: sum.ran.saturating_add(one.ran), waited: sum.waited.saturating_add(one.waited) })
}

/// One thread's times, as the kernel writes them.
fn parse(line: &str) -> Option<Times> {
    let mut fields = line.split_ascii_whitespace().map(|field| field.parse().ok().map(Duration::from_nanos));
    Some(Times { ran: fields.next()??, waited: fields.next()?? })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Times, crowded, parse, times};

    fn times_of(ran: u64, waited: u64) -> Times {
        Times { ran: Duration::from_millis(ran), waited: Duration::from_millis(waited) }
    }

    #[test]
    fn it_is_crowded_when_threads_wait_long_and_for_much_of_what_they_do() {
        let second = Duration::from_secs(1);
        for (ran, waited, expected) in
            [(1_000, 600, true), (550, 450, true), (600, 250, false), (285, 9, false), (10, 150, false), (0, 0, false), (300, 200, true)]
        {
            let found = crowded((times_of(5, 7), times_of(5 + ran, 7 + waited)), second);
            assert_eq!(found, expected, "{ran} ms on a CPU, {waited} ms of waiting");
        }
        assert!(!crowded((times_of(900, 900), times_of(100, 100)), second), "threads that ended are no crowd");
    }

    #[test]
    fn what_the_kernel_writes_is_read() {
        let times = parse("949256271 585990066 13952\n").unwrap();
        assert_eq!((times.ran.as_nanos(), times.waited.as_nanos()), (949_256_271, 585_990_066));
        assert!(parse("0 0").is_some() && parse("").is_none() && parse("a b c").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_kernel_counts() {
        assert!(times().ran > Duration::ZERO);
    }
}
