//! Operators: who may see every source's events, and who may also act on them.
//!
//! They are few and named in the settings, so nothing here is stored: taking one out of the settings ends its tokens
//! at the next start. Laws: an unknown name and a wrong secret are told alike, in the same time; a token for sources is
//! none for operators, and the other way round, for they are meant for different audiences.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use events_proxy_core::{Moment, SourceId};
use secrecy::SecretString;
use uuid::Uuid;

use crate::access::{Issued, Keys, NotIssued, Rejected};
use crate::password::Passwords;

/// How many bcrypt computations run at once, and how many callers may wait for one.
const SIGN_INS: (usize, usize) = (1, 8);
/// The cost that an unknown name's time is made to look like, when no operator says another one.
const COST_USUAL: u32 = 10;

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look.
    Viewer,
    /// Look and act: replay, cancel.
    Operator,
}

impl Role {
    /// All roles; each may what those before it may.
    pub const ALL: [Self; 2] = [Self::Viewer, Self::Operator];

    /// The role's word in settings and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }

    /// The role of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// An operator's account, as the settings name it.
#[derive(Clone)]
pub struct Account {
    /// The name: 1–128 characters.
    pub name: String,
    /// The bcrypt hash of the secret.
    pub secret_hash: String,
    /// What it may do.
    pub role: Role,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

/// Who signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The name.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Unknown name or wrong secret; which of them is not told.
    #[error("the name or the secret is wrong")]
    Refused,
    /// Too many sign-ins wait; try again later.
    #[error("too many sign-ins wait")]
    Busy,
    /// The token could not be made.
    #[error("sign an operator in")]
    Failed(#[source] NotIssued),
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The token itself is no good.
    #[error("the token is refused")]
    Token(#[source] Rejected),
    /// Its operator is no longer in the settings.
    #[error("the token's operator is gone")]
    Gone,
}

/// The operators. Clones share everything.
#[derive(Debug, Clone)]
pub struct Operators {
    /// Accounts by name.
    accounts: Arc<HashMap<String, Account>>,
    /// Checks secrets.
    passwords: Passwords,
    /// Signs tokens for operators.
    keys: Keys,
}

impl Operators {
    /// The audience of operators' tokens.
    pub const AUDIENCE: &'static str = "events-proxy-operator";

    /// Knows these accounts; tokens are signed with the first secret, accepted with either, and live so long.
    #[must_use]
    pub fn new(accounts: Vec<Account>, (secret, second): (&SecretString, Option<&SecretString>), issuer: &str, lifetime: Duration) -> Self {
        let cost = accounts.iter().filter_map(|account| crate::password::judge_hash(&account.secret_hash).ok()).max();
        Self {
            accounts: Arc::new(accounts.into_iter().map(|account| (account.name.clone(), account)).collect()),
            passwords: Passwords::new(SIGN_INS.0, SIGN_INS.1, cost.unwrap_or(COST_USUAL)),
            keys: Keys::new(secret, issuer, Self::AUDIENCE, lifetime).accepting(second),
        }
    }

    /// Whether there is any; without one nobody can sign in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Whether there is an operator of that name.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.accounts.contains_key(name)
    }

    /// Signs an operator in and gives its token.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn sign_in(&self, name: &str, secret: &SecretString, now: Moment) -> Result<Issued, SignInError> {
        let account = self.accounts.get(name);
        let hash = account.map(|account| account.secret_hash.as_str());
        let matches = self.passwords.check(secret, hash).await.map_err(|_busy| SignInError::Busy)?;
        let Some(account) = account.filter(|_| matches) else { return Err(SignInError::Refused) };
        let session = Uuid::new_v4().to_string();
        self.keys.issue(&SourceId::new(account.name.as_str()), &session, now).map_err(SignInError::Failed)
    }

    /// Says whose token it is, and what that operator may do now.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn verify(&self, token: &str, now: Moment) -> Result<Operator, Refused> {
        let caller = self.keys.verify(token, now).map_err(Refused::Token)?;
        let account = self.accounts.get(caller.source_id.as_str()).ok_or(Refused::Gone)?;
        Ok(Operator { name: account.name.clone(), role: account.role })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use events_proxy_core::{Moment, SourceId};
    use secrecy::SecretString;

    use super::{Account, Operators, Refused, Role, SignInError};
    use crate::access::{Keys, Rejected};

    const KEY: &str = "0c9a4f57e1b2d3887766554433221100";

    /// One viewer, whose secret is `look`.
    fn operators() -> Operators {
        let secret_hash = bcrypt::hash("look", 4).unwrap();
        let account = Account { name: "ada".to_owned(), secret_hash, role: Role::Viewer };
        Operators::new(vec![account], (&SecretString::from(KEY), None), "events-proxy", Duration::from_secs(60))
    }

    /// A moment of the tests.
    fn now() -> Moment {
        Moment::from_micros(1_770_000_000_000_000)
    }

    #[tokio::test]
    async fn who_signs_in_is_known_by_the_token_for_its_life() {
        let operators = operators();
        let token = operators.sign_in("ada", &SecretString::from("look"), now()).await.unwrap().token;
        let known = operators.verify(&token, now()).unwrap();
        assert_eq!((known.name.as_str(), known.role), ("ada", Role::Viewer));
        let late = now().plus(Duration::from_secs(66));
        assert_eq!(operators.verify(&token, late), Err(Refused::Token(Rejected::Expired)));
    }

    #[tokio::test]
    async fn an_unknown_name_a_wrong_secret_and_a_hash_are_refused_alike() {
        let operators = operators();
        let hash = operators.accounts["ada"].secret_hash.clone();
        for (name, secret) in [("bob", "look"), ("ada", "listen"), ("ada", hash.as_str()), ("", "")] {
            let refused = operators.sign_in(name, &SecretString::from(secret), now()).await;
            assert!(matches!(refused, Err(SignInError::Refused)), "{name} {secret}");
        }
    }

    #[tokio::test]
    async fn a_sources_token_is_no_operators_token() {
        let sources = Keys::new(&SecretString::from(KEY), "events-proxy", "events-proxy", Duration::from_secs(60));
        let token = sources.issue(&SourceId::new("ada"), "session", now()).unwrap().token;
        assert_eq!(operators().verify(&token, now()), Err(Refused::Token(Rejected::WrongAudience)));
    }

    #[tokio::test]
    async fn an_operator_taken_out_of_the_settings_is_gone() {
        let token = operators().sign_in("ada", &SecretString::from("look"), now()).await.unwrap().token;
        let without = Operators::new(Vec::new(), (&SecretString::from(KEY), None), "events-proxy", Duration::from_secs(60));
        assert!(without.is_empty());
        assert_eq!(without.verify(&token, now()), Err(Refused::Gone));
    }
}
