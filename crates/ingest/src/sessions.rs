//! The HTTP of sessions: log in, refresh, end.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use auth::lockout::Ending;
use auth::session::{LogInError, RefreshError, Session};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::authenticate::authenticate;
use crate::metrics::{LogIn, Refreshed};
use crate::receive::json;
use crate::reject::{Problem, Reject};
use crate::shared::Shared;
use chassis::lifecycle::sentence;

/// Who logs in.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Credentials {
    /// The account's name.
    #[serde(rename = "authId")]
    auth_id: String,
    /// Its secret.
    #[schema(value_type = String)]
    secret: SecretString,
}

/// What keeps a session open.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Refresh {
    /// The last refresh token; it is spent by this call.
    #[serde(rename = "refreshToken")]
    #[schema(value_type = String)]
    refresh_token: SecretString,
}

/// An open session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OpenSession {
    /// The session's id.
    id: String,
    /// Sent as `Authorization: Bearer …`.
    access_token: String,
    /// When the access token ends.
    #[schema(format = DateTime)]
    access_token_expire_date_time: String,
    /// Good for one refresh, from the same address.
    refresh_token: String,
    /// When the refresh token ends.
    #[schema(format = DateTime)]
    refresh_token_expire_date_time: String,
    /// When the session began.
    #[schema(format = DateTime)]
    start_date_time: String,
}

impl From<Session> for OpenSession {
    fn from(session: Session) -> Self {
        Self {
            id: session.id,
            access_token: session.access.token,
            access_token_expire_date_time: session.access.expires_at.to_string(),
            refresh_token: session.refresh_token.expose_secret().to_owned(),
            refresh_token_expire_date_time: session.refresh_expires_at.to_string(),
            start_date_time: session.started_at.to_string(),
        }
    }
}

impl std::fmt::Debug for OpenSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenSession").field("id", &self.id).finish_non_exhaustive()
    }
}

/// `POST /api/user-sessions`.
#[utoipa::path(
    post, path = "/api/user-sessions", tag = "sessions", request_body = Credentials,
    responses(
        (status = 201, description = "A session", body = OpenSession),
        (status = 400, description = "Malformed", body = Problem),
        (status = 401, description = "authId or secret is wrong", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 413, description = "The body is too large", body = Problem),
        (status = 415, description = "The body is not declared as JSON", body = Problem),
        (status = 429, description = "Too many tries from this address, or of this account", body = Problem),
        (status = 503, description = "The service is at its limit, the storage does not answer, or not in time", body = Problem),
    )
)]
pub(crate) async fn create(request: HttpRequest, payload: web::Payload, shared: web::Data<Shared>) -> Result<HttpResponse, Reject> {
    shared.in_time(log_in(&request, payload, &shared)).await
}

/// Logs in.
async fn log_in(request: &HttpRequest, payload: web::Payload, shared: &Shared) -> Result<HttpResponse, Reject> {
    let address = admit(request, shared).inspect_err(|_| shared.metrics.logged_in(LogIn::TooMany))?;
    let credentials: Credentials = json(request, payload, shared).await?;
    let known = shared.lock_out.begin(&credentials.auth_id, network(address)).map_err(|wait| {
        shared.metrics.logged_in(LogIn::LockedOut);
        Reject::TooMany(wait)
    })?;
    let mut trying = Trying { shared, account: &credentials.auth_id, network: network(address), ended: LogIn::GivenUp };
    let claimed = (credentials.auth_id.as_str(), &credentials.secret);
    let log_in = shared.sessions.log_in(claimed, (address, known), shared.clock.now()).await;
    trying.ended = match &log_in {
        Ok(_) => LogIn::Opened,
        Err(LogInError::Refused) => LogIn::Refused,
        Err(LogInError::Busy) => LogIn::Busy,
        Err(LogInError::Unavailable(_)) => LogIn::Unavailable,
    };
    drop(trying);
    match log_in {
        Ok(session) => Ok(no_store(HttpResponse::Created()).json(OpenSession::from(session))),
        Err(LogInError::Refused) => Err(Reject::LogIn),
        Err(LogInError::Busy) => Err(Reject::TooMany(Duration::from_secs(1))),
        Err(LogInError::Unavailable(error)) => {
            tracing::warn!(error = sentence(&error), "a log-in failed: the storage does not answer");
            Err(Reject::Storage)
        }
    }
}

/// A log-in that is being judged; it ends when it is dropped, also at the deadline and when its caller goes away.
struct Trying<'a> {
    /// Where tries are counted.
    shared: &'a Shared,
    /// Whose try.
    account: &'a str,
    /// From where.
    network: IpAddr,
    /// How it ended.
    ended: LogIn,
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        let ending = match self.ended {
            LogIn::Opened => Ending::GotIn,
            LogIn::Refused => Ending::Failed,
            LogIn::LockedOut | LogIn::TooMany | LogIn::Busy | LogIn::Unavailable | LogIn::GivenUp => Ending::NotJudged,
        };
        self.shared.lock_out.end(self.account, self.network, ending);
        self.shared.metrics.logged_in(self.ended);
    }
}

/// `POST /api/user-sessions/refresh`.
#[utoipa::path(
    post, path = "/api/user-sessions/refresh", tag = "sessions", request_body = Refresh,
    responses(
        (status = 200, description = "The session with new tokens", body = OpenSession),
        (status = 400, description = "Malformed", body = Problem),
        (status = 401, description = "Unknown, expired, reused, or from another address: each has its own code", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 413, description = "The body is too large", body = Problem),
        (status = 415, description = "The body is not declared as JSON", body = Problem),
        (status = 429, description = "Too many tries from this address", body = Problem),
        (status = 503, description = "The service is at its limit, the storage does not answer, or not in time", body = Problem),
    )
)]
pub(crate) async fn refresh(request: HttpRequest, payload: web::Payload, shared: web::Data<Shared>) -> Result<HttpResponse, Reject> {
    let answer = shared.in_time(rotate(&request, payload, &shared)).await;
    answer.inspect_err(|reject| {
        if *reject == Reject::Late {
            shared.metrics.refreshed(Refreshed::GivenUp);
        }
    })
}

/// Exchanges a refresh token. Where the deadline cuts it off, the rotation is done whole or not at all, and the source cannot tell which: if
/// it was done, nobody has the new token, and the old one ends the session as any spent one does. So the source is told to log in again.
async fn rotate(request: &HttpRequest, payload: web::Payload, shared: &Shared) -> Result<HttpResponse, Reject> {
    let address = admit(request, shared).inspect_err(|_| shared.metrics.refreshed(Refreshed::TooMany))?;
    let body: Refresh = json(request, payload, shared).await?;
    let (outcome, answer) = match shared.sessions.refresh(&body.refresh_token, address, shared.clock.now()).await {
        Ok(session) => (Refreshed::Rotated, Ok(no_store(HttpResponse::Ok()).json(OpenSession::from(session)))),
        Err(RefreshError::Unknown) => (Refreshed::Unknown, Err(Reject::Refresh("refresh_token_unknown"))),
        Err(RefreshError::Expired) => (Refreshed::Expired, Err(Reject::Refresh("refresh_token_expired"))),
        Err(RefreshError::Reused) => (Refreshed::Reused, Err(Reject::Refresh("refresh_token_reused"))),
        Err(RefreshError::OtherAddress) => (Refreshed::OtherAddress, Err(Reject::Refresh("refresh_token_other_address"))),
        Err(RefreshError::Unavailable(error)) => {
            tracing::warn!(error = sentence(&error), "a refresh failed: the storage does not answer");
            (Refreshed::Unavailable, Err(Reject::Storage))
        }
    };
    shared.metrics.refreshed(outcome);
    answer
}

/// `DELETE /api/user-sessions/current`.
#[utoipa::path(
    delete, path = "/api/user-sessions/current", tag = "sessions", security(("bearer" = [])),
    responses(
        (status = 204, description = "The session is over; its refresh token is dead"),
        (status = 401, description = "The access token is missing, expired or invalid", body = Problem),
        (status = 503, description = "The storage does not answer, or not in time: the session may be over, and may be ended again", body = Problem),
    )
)]
pub(crate) async fn end(request: HttpRequest, shared: web::Data<Shared>) -> Result<HttpResponse, Reject> {
    let now = shared.clock.now();
    let caller = authenticate(&request, &shared.keys, now)?;
    let ending = async {
        shared.sessions.end(&caller.session_id, now).await.map_err(|error| {
            tracing::warn!(error = sentence(&error), "the end of a session was not stored: the storage does not answer");
            Reject::Storage
        })
    };
    shared.in_time(ending).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Takes one try of the client's address.
fn admit(request: &HttpRequest, shared: &Shared) -> Result<IpAddr, Reject> {
    let address = shared.trusted.client(request.peer_addr().ok_or(Reject::Overloaded)?.ip(), request.headers());
    shared.sessions_quota.take(&network(address)).map_err(|left| Reject::TooMany(left.reset))?;
    Ok(address)
}

/// What counts as one address: of IPv6 the first 64 bits, for a client has all the others.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

/// Keeps an answer with tokens out of every cache.
fn no_store(mut response: actix_web::HttpResponseBuilder) -> actix_web::HttpResponseBuilder {
    response.insert_header((actix_web::http::header::CACHE_CONTROL, "no-store"));
    response
}
