//! Tokens whose signature was verified before: a source sends the same one thousands of times.
//!
//! Law: [`Known::verify`] answers what [`Keys::verify`] would, but refuses what belongs to a session that it was told has ended.
//! What is kept is the caller under the token's SHA-256, never the token; a token that was rejected is not kept, so that only who
//! holds good tokens takes up room, and that is bounded.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::mem;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use events_proxy_core::Moment;
use sha2::{Digest, Sha256};

use super::{Caller, Keys, Rejected, in_time};

/// How many tokens one generation has; two are kept, so that those in use outlive the change.
const GENERATION: usize = 4_096;

/// A caller, and when its token expires.
type Entry = (Caller, Moment);
/// Callers by the SHA-256 of their tokens.
type Entries = HashMap<[u8; 32], Entry>;

/// Verifies access tokens, each new one by its signature.
pub struct Known {
    /// Verifies what is new.
    keys: Keys,
    /// What was verified lately: the young generation and the old one.
    seen: RwLock<(Entries, Entries)>,
    /// Sessions that have ended.
    ended: RwLock<HashSet<String>>,
}

impl Known {
    /// Verifies with these keys.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self { keys, seen: RwLock::default(), ended: RwLock::default() }
    }

    /// Refuses tokens of these sessions from now on, and of no others.
    pub fn refuse(&self, ended: HashSet<String>) {
        *self.ended.write().unwrap_or_else(PoisonError::into_inner) = ended;
    }

    /// Says who calls, as [`Keys::verify`] does.
    ///
    /// # Errors
    /// Those of [`Keys::verify`], and [`Rejected::Ended`].
    pub fn verify(&self, token: &str, now: Moment) -> Result<Caller, Rejected> {
        self.verify_late(token, now, Duration::ZERO)
    }

    /// Says who calls, also by a token that expired, but no longer ago than `late` and the leeway.
    ///
    /// # Errors
    /// Those of [`Self::verify`].
    pub fn verify_late(&self, token: &str, now: Moment, late: Duration) -> Result<Caller, Rejected> {
        let name: [u8; 32] = Sha256::digest(token).into();
        let (found, young) = {
            let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
            let young = seen.0.get(&name);
            (young.or_else(|| seen.1.get(&name)).cloned(), young.is_some())
        };
        let (caller, expires_at) = found.map_or_else(|| self.keys.read(token), Ok)?;
        in_time(expires_at, now, late)?;
        if self.ended.read().unwrap_or_else(PoisonError::into_inner).contains(&caller.session_id) {
            return Err(Rejected::Ended);
        }
        if !young {
            self.keep(name, (caller.clone(), expires_at));
        }
        Ok(caller)
    }

    /// Puts a verified token into the young generation, which becomes the old one when it is full.
    fn keep(&self, name: [u8; 32], entry: Entry) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.0.len() >= GENERATION {
            seen.1 = mem::take(&mut seen.0);
        }
        seen.0.insert(name, entry);
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("keys", &self.keys).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use events_proxy_core::{Moment, SourceId};
    use secrecy::SecretString;

    use super::{GENERATION, Known};
    use crate::access::{Keys, LEEWAY, Rejected};

    const LIFETIME: Duration = Duration::from_secs(60);

    fn now() -> Moment {
        Moment::from_micros(1_000_000_250_000)
    }

    fn keys(secret: &str) -> Keys {
        Keys::new(&SecretString::from(secret), "events-proxy", "events-proxy", LIFETIME)
    }

    fn known() -> Known {
        Known::new(keys("Zk3vQ9xT1mB7nR5pL2wY8cD4fG6hJ0sA"))
    }

    fn token(known: &Known, session: usize) -> String {
        known.keys.issue(&SourceId::new("shop"), &format!("session-{session}"), now()).unwrap().token
    }

    #[test]
    fn a_known_token_says_what_a_new_one_says_and_expires_like_one() {
        let known = known();
        let token = token(&known, 1);
        let caller = known.keys.verify(&token, now()).unwrap();
        for _ in 0..3 {
            assert_eq!(known.verify(&token, now()), Ok(caller.clone()));
        }
        let late = now().plus(LIFETIME).plus(LEEWAY);
        let minute = Duration::from_secs(60);
        assert_eq!(known.verify_late(&token, late.plus(minute / 2), minute), Ok(caller));
        assert_eq!(known.verify_late(&token, late.plus(minute), minute), Err(Rejected::Expired));
        assert_eq!(known.verify(&token, late), Err(Rejected::Expired));
        assert_eq!(known.verify(&token, late), known.keys.verify(&token, late).map(|_| unreachable!()));
    }

    #[test]
    fn no_change_to_a_known_token_passes_and_what_is_rejected_is_not_kept() {
        let known = known();
        let token = token(&known, 1);
        known.verify(&token, now()).unwrap();
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(known.verify(&changed, now()), known.keys.verify(&changed, now()), "changed at {place}");
        }
        let foreign = keys("another secret that is long enough").issue(&SourceId::new("shop"), "s", now()).unwrap().token;
        assert_eq!(known.verify(&foreign, now()), Err(Rejected::Forged));
        assert_eq!(known.verify(&foreign, now()), Err(Rejected::Forged));
        assert!(known.seen.read().unwrap().0.len() <= 2, "the token, and its like with other bits that base64 leaves out");
    }

    #[test]
    fn the_room_is_bounded_and_a_token_in_use_stays() {
        let known = known();
        let used = token(&known, 0);
        for session in 1..=2 * GENERATION + 10 {
            known.verify(&token(&known, session), now()).unwrap();
            if session % 100 == 0 {
                known.verify(&used, now()).unwrap();
            }
        }
        let seen = known.seen.read().unwrap();
        assert!(seen.0.len() <= GENERATION && seen.1.len() <= GENERATION);
        let name = <[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest(&used));
        assert!(seen.0.contains_key(&name) || seen.1.contains_key(&name));
    }

    #[test]
    fn tokens_of_sessions_that_ended_are_refused_also_those_that_are_known() {
        let known = known();
        let [first, second] = [1, 2].map(|session| token(&known, session));
        assert!(known.verify(&first, now()).is_ok());
        known.refuse(["session-1".to_owned()].into());
        assert_eq!(known.verify(&first, now()), Err(Rejected::Ended));
        assert_eq!(known.verify_late(&first, now(), LIFETIME), Err(Rejected::Ended));
        assert!(known.verify(&second, now()).is_ok());
        known.refuse(["session-2".to_owned()].into());
        assert!(known.verify(&first, now()).is_ok(), "it was told of others alone");
    }
}
