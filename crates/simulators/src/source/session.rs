//! The session of the source: opened once the API is there, renewed before it expires.
//!
//! A refresh that is refused leads to a new log-in. Everything else is tried again, ever more slowly, up to [`PAUSE_MAX`].

use std::time::Duration;

use reqwest::header::HeaderValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::Error;
use super::api::{Api, CallError, Granted};
use super::numbers::Counters;
use crate::clock::Clock;

/// The first pause between two tries.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// The shortest span between two renewals, whatever the API says about expiry.
const RENEWALS_APART: Duration = Duration::from_millis(100);

/// An open session.
pub(super) struct Session {
    /// The header that events carry.
    pub(super) bearer: HeaderValue,
    /// What opens the next session.
    refresh_token: String,
    /// When the next session should be opened.
    renew_at: Instant,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("renew_at", &self.renew_at).finish_non_exhaustive()
    }
}

impl Session {
    /// Takes up what the API granted.
    fn new(granted: Granted) -> Result<Self, CallError> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", granted.access_token)).map_err(CallError::Token)?;
        bearer.set_sensitive(true);
        let renew_at = Instant::now() + half_life(&granted.access_token_expire_date_time);
        Ok(Self { bearer, refresh_token: granted.refresh_token, renew_at })
    }
}

/// Half of what is left until `expires`: leaves room for a slow renewal, and for two clocks that disagree a little.
fn half_life(expires: &str) -> Duration {
    let now = i128::from(Clock::start().micros(Instant::now()));
    let left = OffsetDateTime::parse(expires, &Rfc3339).map_or(0, |at| at.unix_timestamp_nanos() / 1_000 - now);
    Duration::from_micros(u64::try_from(left / 2).unwrap_or(0))
}

/// Pauses that double, with some chance in them, so that many sources do not come back all at once.
#[derive(Debug)]
struct Pauses(Duration);

impl Pauses {
    /// Waits, and makes the next wait longer.
    async fn pause(&mut self) {
        sleep(self.0.mul_f64(rand::random_range(0.5..1.0))).await;
        self.0 = self.0.saturating_mul(2).min(PAUSE_MAX);
    }
}

/// Waits for the API to be there and logs in.
///
/// # Errors
/// When the API is there and does not accept the credentials.
pub(super) async fn open(api: &Api, counters: &Counters) -> Result<Session, Error> {
    let mut pauses = Pauses(PAUSE_MIN);
    let mut told = false;
    loop {
        match api.log_in().await.and_then(Session::new) {
            Ok(session) => {
                counters.logged_in();
                return Ok(session);
            }
            Err(CallError::Status(status @ (400 | 401 | 403))) => return Err(Error::LogInRefused { status }),
            Err(error) if !told => tracing::warn!(%error, "could not log in; trying again"),
            Err(error) => tracing::debug!(%error, "could not log in; trying again"),
        }
        told = true;
        pauses.pause().await;
    }
}

/// Renews the session for ever: when half its life is over, or when an event was answered with 401.
pub(super) async fn keep(api: &Api, first: Session, bearer: &watch::Sender<HeaderValue>, stale: &Notify, counters: &Counters) {
    let mut session = first;
    loop {
        sleep(RENEWALS_APART).await;
        // Either arm may be dropped: a notice that nobody waits for is kept.
        tokio::select! {
            () = sleep_until(session.renew_at) => {}
            () = stale.notified() => {}
        }
        session = renew(api, &session.refresh_token, counters).await;
        bearer.send_replace(session.bearer.clone());
    }
}

/// Refreshes until that worked, or logs in anew when the refresh is refused.
async fn renew(api: &Api, refresh_token: &str, counters: &Counters) -> Session {
    let mut pauses = Pauses(PAUSE_MIN);
    loop {
        match api.refresh(refresh_token).await.and_then(Session::new) {
            Ok(session) => {
                counters.refreshed();
                return session;
            }
            Err(CallError::Status(status @ (400 | 401 | 403))) => {
                tracing::warn!(status, "the refresh was refused; logging in anew");
                return reopen(api, counters).await;
            }
            Err(error) => tracing::warn!(%error, "could not refresh; trying again"),
        }
        pauses.pause().await;
    }
}

/// Logs in anew, for as long as it takes: a source that runs goes on, even if its credentials are refused for a while.
async fn reopen(api: &Api, counters: &Counters) -> Session {
    loop {
        match open(api, counters).await {
            Ok(session) => return session,
            Err(error) => tracing::warn!(%error, "could not log in anew; trying again"),
        }
        sleep(PAUSE_MAX).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::half_life;
    use crate::clock::Clock;

    #[test]
    fn a_session_is_renewed_at_half_its_life_and_at_once_when_its_end_is_unreadable() {
        let expires = Clock::start().rfc_3339(Instant::now() + Duration::from_secs(60));
        let half = half_life(&expires);
        assert!((Duration::from_secs(29)..=Duration::from_secs(30)).contains(&half), "{half:?}");
        assert_eq!(half_life("2001-01-01T00:00:00Z"), Duration::ZERO);
        assert_eq!(half_life("tomorrow"), Duration::ZERO);
    }
}
