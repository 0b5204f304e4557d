//! Access tokens: short-lived, signed with HS256, verified without I/O.
//!
//! ```text
//! {"sub": account id, "sid": session id, "iat": s, "exp": s, "iss": issuer, "aud": audience}
//! ```
//! The algorithm is pinned: what the token's header says is only ever compared with HS256. A token is good until its
//! `exp`, also when its session ends before, unless whoever verifies knows that ([`Known::refuse`]). Its header names its key (`kid`), so
//! that keys can be changed: two are accepted, one signs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use events_proxy_core::{Moment, SourceId, hex};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

mod hs256;
mod known;
mod secret;

pub use known::Known;
pub use secret::{SECRET_BYTES_MIN, WeakSecret, judge_secret, random_secret};

/// The longest token that is looked at, in bytes; ours have some 270.
pub const TOKEN_BYTES_MAX: usize = 4096;
/// How long after its `exp` a token is still good: what the clocks of two replicas may differ.
pub const LEEWAY: Duration = Duration::from_secs(5);
/// How many bytes of its hash name a key.
const KID_BYTES: usize = 4;
/// Microseconds in a second, the unit of a token's times.
const MICROS: i64 = 1_000_000;

/// A token that was issued.
#[derive(Clone)]
pub struct Issued {
    /// The token's text, for the `Authorization: Bearer` header.
    pub token: String,
    /// When it expires: a whole second.
    pub expires_at: Moment,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Why a token was not issued.
#[derive(Debug, thiserror::Error)]
pub enum NotIssued {
    /// With these ids it would be longer than [`TOKEN_BYTES_MAX`].
    #[error("the token would be longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// It could not be signed.
    #[error("sign the access token")]
    Failed(#[source] jsonwebtoken::errors::Error),
}

/// Who calls, as a verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account: the source of the events it sends.
    pub source_id: SourceId,
    /// The session the token belongs to.
    pub session_id: String,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejected {
    /// It is longer than [`TOKEN_BYTES_MAX`], or not a JWT of known form.
    #[error("the access token cannot be read")]
    Malformed,
    /// It is signed by another algorithm than HS256.
    #[error("the access token is not signed with HS256")]
    WrongAlgorithm,
    /// The signature is not ours.
    #[error("the access token was not issued here")]
    Forged,
    /// A claim that every token of ours has is missing or empty.
    #[error("the access token lacks a claim")]
    Incomplete,
    /// It comes from another issuer.
    #[error("the access token comes from another issuer")]
    WrongIssuer,
    /// It is meant for somebody else.
    #[error("the access token is meant for another audience")]
    WrongAudience,
    /// Its time is over.
    #[error("the access token has expired")]
    Expired,
    /// Its session was ended.
    #[error("the access token's session has ended")]
    Ended,
}

impl Rejected {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::Malformed,
        Self::WrongAlgorithm,
        Self::Forged,
        Self::Incomplete,
        Self::WrongIssuer,
        Self::WrongAudience,
        Self::Expired,
        Self::Ended,
    ];

    /// The reason's word in labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::Forged => "forged",
            Self::Incomplete => "incomplete",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::Ended => "ended",
        }
    }
}

/// Issues and verifies access tokens: one key signs, a second one may be accepted too. Clones share both.
#[derive(Clone)]
pub struct Keys {
    /// The key that signs, and what else is prepared.
    first: Arc<Prepared>,
    /// A key that is accepted and never signs: the next one or the last one, while keys are changed.
    second: Option<Arc<Second>>,
}

/// A key that is accepted.
struct Second {
    /// Its name in the header of tokens.
    kid: String,
    /// Verifies.
    decoding: DecodingKey,
}

/// What is prepared once, so that verifying costs a hash and two small JSON texts.
struct Prepared {
    /// Signs.
    encoding: EncodingKey,
    /// Verifies.
    decoding: DecodingKey,
    /// The header of every token, which names the key.
    header: Header,
    /// What a token must say besides its time.
    validation: Validation,
    /// Who issues.
    issuer: String,
    /// Whom the tokens are for.
    audience: String,
    /// How long a token lives.
    lifetime: Duration,
}

/// The claims as they are written.
#[derive(Serialize)]
struct Written<'a> {
    /// The account id.
    sub: &'a str,
    /// The session id.
    sid: &'a str,
    /// When it was issued, in seconds.
    iat: i64,
    /// When it expires, in seconds.
    exp: i64,
    /// The issuer.
    iss: &'a str,
    /// The audience.
    aud: &'a str,
}

/// The claims that are read; issuer and audience are compared while decoding.
#[derive(Deserialize)]
struct Read {
    /// The account id.
    sub: Option<String>,
    /// The session id.
    sid: Option<String>,
    /// When the token expires, in seconds.
    exp: Option<i64>,
}

impl Keys {
    /// Prepares a secret for tokens of one issuer, audience and lifetime. The lifetime counts whole seconds.
    #[must_use]
    pub fn new(secret: &SecretString, issuer: impl Into<String>, audience: impl Into<String>, lifetime: Duration) -> Self {
        hs256::install();
        let (issuer, audience) = (issuer.into(), audience.into());
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[issuer.as_str()]);
        validation.set_audience(&[audience.as_str()]);
        // The library would read the system's clock; the time is judged in `verify`.
        validation.validate_exp = false;
        let bytes = secret.expose_secret().as_bytes();
        let (encoding, decoding) = (EncodingKey::from_secret(bytes), DecodingKey::from_secret(bytes));
        let header = Header { kid: Some(kid(secret)), ..Header::new(Algorithm::HS256) };
        Self { first: Arc::new(Prepared { encoding, decoding, header, validation, issuer, audience, lifetime }), second: None }
    }

    /// Accepts tokens of a second key too.
    #[must_use]
    pub fn accepting(self, second: Option<&SecretString>) -> Self {
        let second = second.map(|secret| {
            let decoding = DecodingKey::from_secret(secret.expose_secret().as_bytes());
            Arc::new(Second { kid: kid(secret), decoding })
        });
        Self { second, ..self }
    }

    /// The key that a token names, if that is the second; the one that signs for every other token, also for one that names none.
    fn named(&self, token: &str) -> &DecodingKey {
        let second = self.second.as_deref().filter(|second| {
            let named = decode_header(token).ok().and_then(|header| header.kid);
            named.is_some_and(|named| named == second.kid)
        });
        second.map_or(&self.first.decoding, |second| &second.decoding)
    }

    /// Issues a token for a session.
    ///
    /// # Errors
    /// [`NotIssued`]; not with ids within their bounds.
    pub fn issue(&self, source_id: &SourceId, session_id: &str, now: Moment) -> Result<Issued, NotIssued> {
        let exp = now.plus(self.first.lifetime).as_micros().div_euclid(MICROS);
        let claims = Written {
            sub: source_id.as_str(),
            sid: session_id,
            iat: now.as_micros().div_euclid(MICROS),
            exp,
            iss: &self.first.issuer,
            aud: &self.first.audience,
        };
        let token = encode(&self.first.header, &claims, &self.first.encoding).map_err(NotIssued::Failed)?;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(NotIssued::TooLong);
        }
        Ok(Issued { token, expires_at: Moment::from_micros(exp.saturating_mul(MICROS)) })
    }

    /// Says who calls, if the token is ours and its time, [`LEEWAY`] included, is not over at `now`.
    ///
    /// # Errors
    /// [`Rejected`]: the first reason found. Nothing but the length is looked at before the signature is known to be ours,
    /// except the algorithm's name.
    pub fn verify(&self, token: &str, now: Moment) -> Result<Caller, Rejected> {
        let (caller, expires_at) = self.read(token)?;
        in_time(expires_at, now, Duration::ZERO)?;
        Ok(caller)
    }

    /// Says who calls by a token of ours, and when it expires.
    fn read(&self, token: &str) -> Result<(Caller, Moment), Rejected> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Rejected::Malformed);
        }
        let claims = decode::<Read>(token, self.named(token), &self.first.validation).map_err(|error| rejection(error.kind()))?.claims;
        let (Some(sub), Some(sid), Some(exp)) = (claims.sub, claims.sid, claims.exp) else {
            return Err(Rejected::Incomplete);
        };
        if sub.is_empty() || sid.is_empty() {
            return Err(Rejected::Incomplete);
        }
        let caller = Caller { source_id: SourceId::new(sub), session_id: sid };
        Ok((caller, Moment::from_micros(exp.saturating_mul(MICROS))))
    }
}

/// The name of a key in the header of its tokens: it tells keys apart, and a token is as good a test of a guessed key as it is.
fn kid(secret: &SecretString) -> String {
    let digest = Sha256::new().chain_update(b"events-proxy key\0").chain_update(secret.expose_secret()).finalize();
    hex::of(digest.get(..KID_BYTES).unwrap_or_default())
}

/// Whether the time of a token, [`LEEWAY`] and so much more included, is not over at `now`.
fn in_time(expires_at: Moment, now: Moment, late: Duration) -> Result<(), Rejected> {
    if expires_at.plus(LEEWAY).plus(late) <= now { Err(Rejected::Expired) } else { Ok(()) }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Prepared { issuer, audience, lifetime, .. } = &*self.first;
        f.debug_struct("Keys").field("issuer", issuer).field("audience", audience).field("lifetime", lifetime).finish_non_exhaustive()
    }
}

/// The library's reason in our words. Its enum may grow: what has no word of its own is malformed.
fn rejection(kind: &ErrorKind) -> Rejected {
    if matches!(kind, ErrorKind::InvalidAlgorithm) {
        Rejected::WrongAlgorithm
    } else if matches!(kind, ErrorKind::InvalidSignature) {
        Rejected::Forged
    } else if matches!(kind, ErrorKind::MissingRequiredClaim(_)) {
        Rejected::Incomplete
    } else if matches!(kind, ErrorKind::InvalidIssuer) {
        Rejected::WrongIssuer
    } else if matches!(kind, ErrorKind::InvalidAudience) {
        Rejected::WrongAudience
    } else {
        Rejected::Malformed
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
