//! Secrets of accounts: hashed by bcrypt, off the event loop, a few at a time.
//!
//! ```text
//! stranger ──▶ line (waiting + parallel places, else Busy at once) ──▶ one at a time ──▶┐
//! who got in before ──▶ a line of its own, as long ────────────────────────────────────▶┴▶ slots (parallel, 200 ms) ──▶ a thread that steps back
//! ```
//! Every check computes as much, whatever it is asked: an unknown account, a secret that cannot be right, a stored hash that cannot
//! be read and one of a lower cost than others take as long as a wrong secret. A caller that goes away leaves the line; a bcrypt
//! under way keeps its slot until it ends, so no more than `parallel` ever run. Its thread yields to all others that have
//! work, and its slot then rests as long as it had to wait for a processor, so that a storm of log-ins takes little from events;
//! on an idle machine it is as fast as any.

use std::hint::black_box;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use bcrypt::{BcryptError, HashParts};
use rustix::time::{ClockId, clock_gettime};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};

/// The longest secret: bcrypt ignores what follows.
pub const SECRET_BYTES_MAX: usize = 72;
/// The cheapest bcrypt there is.
pub const COST_MIN: u32 = 4;
/// The dearest bcrypt that is computed: some seconds. Cost 31, the format's limit, would hold a thread for a day.
pub const COST_MAX: u32 = 16;

/// How long a caller waits for its slot: half of the usual deadline of a request. Who waits longer has no time left to compute; a slot
/// for each of them would be spent on answers that nobody hears, and in a storm nobody would ever get in.
const TURN_MAX: Duration = Duration::from_millis(200);
/// How long a slot rests at most: shorter than a turn, so that who comes meanwhile and is next has its turn.
const REST_MAX: Duration = Duration::from_millis(150);
/// By how much the threads that compute are nicer than others: where all processors are busy they get about a sixth of one
/// (weight 215 beside 1024), so a log-in of 50 ms takes 0.3 s. With less it would miss the deadline of its request whenever the
/// machine is busy, and its source would never get in. One after the other they would take a twelfth of two processors from events,
/// and what comes with a log-in as much again; so there are rests between them.
#[cfg(target_os = "linux")]
const NICER: i32 = 7;

/// Salt and digest of the hash that is checked where there is none: 22 and 31 characters of bcrypt's base64.
const DUMMY_TAIL: &str = "ACDW3tAHgZQuonpHxvFU0u7f5HJfE5dlHIoJtGGdHGSrPl8Q0cVOe";

/// All places in the line are taken; nothing was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many secrets wait to be checked")]
pub struct Busy;

/// Why a secret was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no secret.
    #[error("the secret is empty")]
    Empty,
    /// Longer than [`SECRET_BYTES_MAX`]: the rest would not count.
    #[error("the secret is longer than {SECRET_BYTES_MAX} bytes")]
    TooLong,
    /// It has a NUL, bcrypt's end mark: `a` and `a\0a` would be the same secret.
    #[error("the secret has a NUL character")]
    Nul,
    /// All places in the line are taken.
    #[error(transparent)]
    Busy(Busy),
    /// bcrypt failed, for instance for want of randomness.
    #[error("hash the secret")]
    Failed(#[source] BcryptError),
}

/// Why a text cannot stand as an account's stored hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitHash {
    /// It is not a bcrypt hash.
    #[error("not a bcrypt hash")]
    NotBcrypt,
    /// Its cost is outside [`COST_MIN`]..=[`COST_MAX`].
    #[error("the bcrypt cost {0} is not in {COST_MIN}..={COST_MAX}")]
    Cost(u32),
}

/// Judges a hash that was made elsewhere and returns its cost.
///
/// # Errors
/// [`UnfitHash`]: no secret would ever match it.
pub fn judge_hash(hash: &str) -> Result<u32, UnfitHash> {
    let cost = HashParts::from_str(hash).map_err(|_| UnfitHash::NotBcrypt)?.get_cost();
    if (COST_MIN..=COST_MAX).contains(&cost) { Ok(cost) } else { Err(UnfitHash::Cost(cost)) }
}

/// Hashes and checks secrets, a bounded number at a time. Clones share the bounds.
#[derive(Debug, Clone)]
pub struct Passwords {
    /// A place for each caller, computing or waiting.
    line: Arc<Semaphore>,
    /// The same for those who got in before.
    known: Arc<Semaphore>,
    /// Lets one caller of the line at a time wait for a slot; none for those who got in before.
    gate: Option<Arc<Semaphore>>,
    /// A slot for each bcrypt that is computed.
    slots: Arc<Semaphore>,
    /// The cost of new hashes.
    cost: u32,
    /// The highest cost of a hash that is known: what every check computes.
    highest: Arc<AtomicU32>,
    /// Salt and digest of what is checked where no hash is.
    dummy_tail: Arc<str>,
}

impl Passwords {
    /// Computes at most `parallel` at a time (at least one) while at most `waiting` more wait; new hashes have that cost,
    /// brought into [`COST_MIN`]..=[`COST_MAX`].
    ///
    /// The cost should be the highest of the stored hashes, for every check takes as long as that; one that is higher counts from its first
    /// check on.
    #[must_use]
    pub fn new(parallel: usize, waiting: usize, cost: u32) -> Self {
        let parallel = parallel.clamp(1, Semaphore::MAX_PERMITS);
        let places = parallel.saturating_add(waiting).min(Semaphore::MAX_PERMITS);
        let cost = cost.clamp(COST_MIN, COST_MAX);
        let [line, known] = [places; 2].map(|places| Arc::new(Semaphore::new(places)));
        let (gate, slots) = (Some(Arc::new(Semaphore::new(1))), Arc::new(Semaphore::new(parallel)));
        Self { line, known, gate, slots, cost, highest: Arc::new(AtomicU32::new(cost)), dummy_tail: Arc::from(DUMMY_TAIL) }
    }

    /// The same for whoever got in before: one caller that did not is before it at most, however many of them wait.
    #[must_use]
    pub fn for_known(&self) -> Self {
        Self { line: Arc::clone(&self.known), gate: None, ..self.clone() }
    }

    /// Hashes a secret, as an account stores it.
    ///
    /// # Errors
    /// [`Error`]: the secret is unfit, the line is full, or bcrypt failed.
    pub async fn hash(&self, secret: &SecretString) -> Result<String, Error> {
        judge(secret.expose_secret())?;
        let (secret, cost) = (secret.clone(), self.cost);
        let hashed = self.compute(move || bcrypt::hash(secret.expose_secret(), cost)).await.map_err(Error::Busy)?;
        hashed.map_err(Error::Failed)
    }

    /// Says whether the secret is the one that was hashed; without a hash it is not, which takes as long to say.
    ///
    /// # Errors
    /// [`Busy`] at once when the line is full, and when it moves too slowly; also when the process ends meanwhile.
    pub async fn check(&self, secret: &SecretString, hash: Option<&str>) -> Result<bool, Busy> {
        let fit = judge(secret.expose_secret()).is_ok();
        let stored = hash.filter(|_| fit).and_then(|hash| Some((hash.to_owned(), judge_hash(hash).ok()?)));
        let known = stored.is_some();
        let least = stored.as_ref().map_or(COST_MIN, |(_, cost)| *cost);
        let highest = self.highest.fetch_max(least, Ordering::Relaxed).max(least);
        let (hash, cost) = stored.unwrap_or_else(|| (self.dummy(highest), highest));
        // Twice the cost is one more: with one of each from its own up to the highest it is as much as one of the highest.
        let fillers: Vec<String> = (cost..highest).map(|cost| self.dummy(cost)).collect();
        let secret = secret.clone();
        let matches = self.compute(move || {
            let verify = |hash: &str| bcrypt::verify(secret.expose_secret(), hash).unwrap_or(false);
            let matches = verify(&hash);
            for filler in &fillers {
                black_box(verify(filler));
            }
            matches
        });
        let matches = matches.await?;
        Ok(known && matches)
    }

    /// What is checked where no hash is, at a cost.
    fn dummy(&self, cost: u32) -> String {
        format!("$2b${cost:02}${}", self.dummy_tail)
    }

    /// Runs one bcrypt on a thread of its own when it is its turn.
    async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let place = Arc::clone(&self.line).try_acquire_owned().map_err(|_| Busy)?;
        let turn = timeout(TURN_MAX, async {
            let _first = match &self.gate {
                Some(gate) => Some(gate.acquire().await?),
                None => None,
            };
            Arc::clone(&self.slots).acquire_owned().await
        });
        let slot = turn.await.map_err(|_| Busy)?.map_err(|_| Busy)?;
        let (told, computed) = oneshot::channel();
        // Not one of the runtime's threads: those serve others too, and who has stepped back cannot step forward again.
        let started = thread::Builder::new().name("bcrypt".to_owned()).spawn(move || {
            // Place and slot travel with the work: they are free when it is over, not when the caller stops waiting. Where it
            // panics they are dropped in reverse order, and the caller is told last.
            let (told, slot, place) = (told, slot, place);
            step_back();
            let began = Instant::now();
            let result = work();
            drop(place);
            told.send(result).ok();
            // All that this thread did was the work.
            let waited = began.elapsed().saturating_sub(computed_for());
            thread::sleep(waited.min(REST_MAX));
            drop(slot);
        });
        started.map_err(|_| Busy)?;
        computed.await.map_err(|_| Busy)
    }
}

/// Makes this thread yield to others. Where that is not to be had it competes with them, one thread against all.
#[cfg(target_os = "linux")]
fn step_back() {
    rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICER).ok();
}

/// Other systems rank whole processes only.
#[cfg(not(target_os = "linux"))]
fn step_back() {}

/// For how long this thread has had a processor.
fn computed_for() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Judges whether bcrypt can tell this secret from every other.
fn judge(secret: &str) -> Result<(), Error> {
    if secret.is_empty() {
        return Err(Error::Empty);
    }
    if secret.len() > SECRET_BYTES_MAX {
        return Err(Error::TooLong);
    }
    if secret.contains('\0') {
        return Err(Error::Nul);
    }
    Ok(())
}

#[cfg(test)]
#[path = "password_tests.rs"]
mod tests;
