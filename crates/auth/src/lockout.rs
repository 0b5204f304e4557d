//! Slows down who guesses secrets: after some failures each further try has to wait, twice as long each time.
//!
//! ```text
//! failures of one account from one address   1 … max │ then 1 s, 2 s, 4 s … the longest
//! failures of one account from everywhere    1 … max × 10 │ then the same, for addresses that never got in
//! ```
//! An account that does not exist is treated as every other, so nothing here tells whether it does. An address from which
//! the account got in within a day is not shut out by what others try. What is remembered is bounded.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many accounts and pairs are remembered; beyond it those that nobody waits for are forgotten.
const REMEMBERED_MAX: usize = 100_000;
/// How long failures count once nobody has to wait for them any more.
const COUNTS_FOR: Duration = Duration::from_secs(3_600);
/// How long it counts that an account got in: a source that refreshes its session logs in again after days, when something failed.
const GOT_IN_FOR: Duration = Duration::from_secs(86_400);
/// The first wait.
const FIRST: Duration = Duration::from_secs(1);
/// How many times more failures an account may have from everywhere than from one address.
const EVERYWHERE: u32 = 10;
/// How many tries of one account from one address may be judged at the same time: what a guesser gains by being quick.
const AT_ONCE: u32 = 16;

/// The account, hashed, and the address; none for all addresses.
type Key = (u64, Option<IpAddr>);

/// Shuts guessers out.
#[derive(Debug)]
pub struct LockOut {
    /// How many failures are free.
    failures_max: u32,
    /// The longest wait.
    longest: Duration,
    /// Hashes accounts, so that a long name takes no more memory than a short one.
    hasher: RandomState,
    /// What was tried lately.
    tried: Mutex<HashMap<Key, Tried>>,
}

/// What was tried of one account, from one address or everywhere.
#[derive(Debug, Clone, Copy)]
struct Tried {
    /// How many tries failed in a row.
    failures: u32,
    /// How many are being judged.
    judged: u32,
    /// Before this no try is judged.
    until: Instant,
    /// When a try ended last.
    last: Instant,
    /// When one got in last.
    got_in: Option<Instant>,
}

impl Tried {
    /// Nothing was tried yet.
    const fn fresh(now: Instant) -> Self {
        Self { failures: 0, judged: 0, until: now, last: now, got_in: None }
    }

    /// Whether what failed still counts.
    fn counts(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last.max(self.until)) < COUNTS_FOR
    }

    /// Whether one got in not too long ago.
    fn got_in(&self, now: Instant) -> bool {
        self.got_in.is_some_and(|at| now.duration_since(at) < GOT_IN_FOR)
    }
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a session.
    GotIn,
    /// The secret was wrong, or the account unknown.
    Failed,
    /// Nothing was judged.
    NotJudged,
}

impl LockOut {
    /// Lets so many failures be free, and makes nobody wait longer than so long.
    #[must_use]
    pub fn new(failures_max: u32, longest: Duration) -> Self {
        Self { failures_max, longest, hasher: RandomState::new(), tried: Mutex::default() }
    }

    /// Begins a try, and tells whether the account got in from there lately. One that began must [end](Self::end).
    ///
    /// # Errors
    /// It is too early; how long to wait.
    pub fn begin(&self, account: &str, address: IpAddr) -> Result<bool, Duration> {
        let (now, [pair, all]) = (Instant::now(), self.keys(account, address));
        let mut tried = self.tried();
        forget(&mut tried, now);
        let known = |key: &Key| tried.get(key).filter(|known| known.counts(now)).copied();
        let (of_pair, of_all) = (known(&pair), known(&all));
        let shut = |known: Option<Tried>| known.map_or(Duration::ZERO, |known| known.until.saturating_duration_since(now));
        let got_in = tried.get(&pair).is_some_and(|known| known.got_in(now));
        let wait = shut(of_pair).max(if got_in { Duration::ZERO } else { shut(of_all) });
        if !wait.is_zero() {
            return Err(wait);
        }
        let entry = tried.entry(pair).or_insert(Tried::fresh(now));
        if of_pair.is_none() {
            *entry = Tried { judged: entry.judged, got_in: entry.got_in, ..Tried::fresh(now) };
        }
        if entry.judged >= AT_ONCE {
            return Err(FIRST);
        }
        entry.judged += 1;
        Ok(got_in)
    }

    /// Ends a try.
    pub fn end(&self, account: &str, address: IpAddr, ending: Ending) {
        let (now, [pair, all]) = (Instant::now(), self.keys(account, address));
        let mut tried = self.tried();
        if let Some(known) = tried.get_mut(&pair) {
            known.judged = known.judged.saturating_sub(1);
            match ending {
                Ending::GotIn => (known.failures, known.got_in, known.until, known.last) = (0, Some(now), now, now),
                Ending::Failed => self.count(known, self.failures_max, now),
                Ending::NotJudged => {}
            }
            // Or what costs a flood nothing would push out what is known of others.
            if known.judged == 0 && known.failures == 0 && known.got_in.is_none() {
                tried.remove(&pair);
            }
        }
        if ending == Ending::Failed {
            let known = tried.entry(all).or_insert(Tried::fresh(now));
            self.count(known, self.failures_max.saturating_mul(EVERYWHERE), now);
        }
    }

    /// Counts a failure, of which so many are free.
    fn count(&self, known: &mut Tried, free: u32, now: Instant) {
        if !known.counts(now) {
            known.failures = 0;
        }
        known.failures = known.failures.saturating_add(1);
        known.last = now;
        if let Some(beyond) = known.failures.checked_sub(free) {
            let doubled = FIRST.saturating_mul(1_u32.checked_shl(beyond).unwrap_or(u32::MAX));
            known.until = now + doubled.min(self.longest);
        }
    }

    /// The keys of an account and an address, and of the account alone.
    fn keys(&self, account: &str, address: IpAddr) -> [Key; 2] {
        let account = self.hasher.hash_one(account);
        [(account, Some(address)), (account, None)]
    }

    /// Takes the lock, which is never held over a wait.
    fn tried(&self) -> MutexGuard<'_, HashMap<Key, Tried>> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room: first goes what no longer counts, then what shuts nobody out, then all but the addresses that got in, then those too.
fn forget(tried: &mut HashMap<Key, Tried>, now: Instant) {
    let stays: [fn(&Tried, Instant) -> bool; 4] = [
        |known, now| known.counts(now) || known.got_in(now),
        |known, now| known.until > now || known.got_in(now),
        Tried::got_in,
        |_, _| false,
    ];
    for stays in stays {
        if tried.len() < REMEMBERED_MAX {
            return;
        }
        tried.retain(|_, known| known.judged > 0 || stays(known, now));
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::{AT_ONCE, COUNTS_FOR, Ending, GOT_IN_FOR, LockOut, REMEMBERED_MAX};

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn other(last: u8) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, last))
    }

    fn fail(lock_out: &LockOut, account: &str, address: IpAddr) {
        lock_out.begin(account, address).unwrap();
        lock_out.end(account, address, Ending::Failed);
    }

    #[tokio::test(start_paused = true)]
    async fn each_failure_beyond_the_free_ones_doubles_the_wait_up_to_the_longest() {
        let lock_out = LockOut::new(3, Duration::from_secs(5));
        for _ in 0..3 {
            fail(&lock_out, "shop", HERE);
        }
        for seconds in [1, 2, 4, 5, 5] {
            let wait = lock_out.begin("shop", HERE).unwrap_err();
            assert_eq!(wait, Duration::from_secs(seconds));
            assert!(lock_out.begin("another", HERE).is_ok());
            lock_out.end("another", HERE, Ending::NotJudged);
            tokio::time::advance(wait).await;
            fail(&lock_out, "shop", HERE);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn getting_in_wipes_failures_away_and_so_does_time() {
        let lock_out = LockOut::new(3, Duration::from_secs(60));
        for _ in 0..4 {
            fail(&lock_out, "shop", HERE);
            fail(&lock_out, "shop", HERE);
            lock_out.begin("shop", HERE).unwrap();
            lock_out.end("shop", HERE, Ending::GotIn);
        }
        for _ in 0..3 {
            fail(&lock_out, "shop", HERE);
        }
        // The third makes everybody wait for a second; they count for as long as that, and an hour.
        tokio::time::advance(COUNTS_FOR + Duration::from_secs(1)).await;
        fail(&lock_out, "shop", HERE);
        assert!(lock_out.begin("shop", HERE).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn guesses_from_everywhere_shut_strangers_out_but_not_the_address_that_got_in() {
        let lock_out = LockOut::new(2, Duration::from_secs(60));
        lock_out.begin("shop", HERE).unwrap();
        lock_out.end("shop", HERE, Ending::GotIn);
        for last in 0..20 {
            fail(&lock_out, "shop", other(last));
        }
        assert!(lock_out.begin("shop", other(99)).is_err());
        assert_eq!(lock_out.begin("shop", HERE), Ok(true));
        lock_out.end("shop", HERE, Ending::NotJudged);
        // Hours of refreshes later.
        tokio::time::advance(GOT_IN_FOR - Duration::from_secs(60)).await;
        for last in 0..20 {
            fail(&lock_out, "shop", other(last));
        }
        assert!(lock_out.begin("shop", other(99)).is_err());
        assert_eq!(lock_out.begin("shop", HERE), Ok(true));
        lock_out.end("shop", HERE, Ending::NotJudged);
        tokio::time::advance(Duration::from_secs(120)).await;
        assert_eq!(lock_out.begin("shop", HERE), Ok(false));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_quick_gains_only_so_many_tries() {
        let lock_out = LockOut::new(2, Duration::from_secs(60));
        for _ in 0..AT_ONCE {
            lock_out.begin("shop", HERE).unwrap();
        }
        assert!(lock_out.begin("shop", HERE).is_err());
        for _ in 0..AT_ONCE {
            lock_out.end("shop", HERE, Ending::NotJudged);
        }
        assert!(lock_out.begin("shop", HERE).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_longer_than_failures_count_lasts_and_the_next_one_is_longer() {
        let lock_out = LockOut::new(1, COUNTS_FOR * 24);
        fail(&lock_out, "shop", HERE);
        let mut waits = Vec::new();
        for _ in 0..15 {
            let wait = lock_out.begin("shop", HERE).err().unwrap_or_default();
            waits.push(wait.as_secs());
            tokio::time::advance(wait.saturating_sub(Duration::from_secs(1))).await;
            assert!(wait.is_zero() || lock_out.begin("shop", HERE).is_err(), "{wait:?}");
            tokio::time::advance(Duration::from_secs(1)).await;
            fail(&lock_out, "shop", HERE);
        }
        assert_eq!(waits, (0..15).map(|doubled| 1 << doubled).collect::<Vec<u64>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_names_makes_nobody_forget_who_got_in() {
        let lock_out = LockOut::new(1, Duration::from_secs(60));
        lock_out.begin("shop", HERE).unwrap();
        lock_out.end("shop", HERE, Ending::GotIn);
        for number in 0..REMEMBERED_MAX {
            let account = number.to_string();
            lock_out.begin(&account, other(1)).unwrap();
            lock_out.end(&account, other(1), Ending::NotJudged);
        }
        assert_eq!(lock_out.tried().len(), 1, "what was not judged is kept");
        for number in 0..REMEMBERED_MAX {
            fail(&lock_out, &number.to_string(), other(1));
            assert!(lock_out.tried().len() <= REMEMBERED_MAX + 1);
        }
        assert_eq!(lock_out.begin("shop", HERE), Ok(true));
    }
}
