//! The three calls that the source makes, spelled by hand.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, InvalidHeaderValue};
use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Options;
use super::event::{Event, Trace};
use crate::client;

/// How long a log-in or a refresh may take: it checks a password on purpose slowly.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// What a call without the wanted answer met.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// An answer, but another one.
    #[error("answered with status {0}")]
    Status(u16),
    /// No answer.
    #[error("no answer")]
    Unreachable(#[source] reqwest::Error),
    /// An answer that is not a session.
    #[error("the answer is no session")]
    Unreadable(#[source] serde_json::Error),
    /// A token that no header can carry.
    #[error("the access token fits no header")]
    Token(#[source] InvalidHeaderValue),
    /// An answer that is too long to be read.
    #[error("the answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
}

/// A session as the API answers it; only what the source needs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Granted {
    /// The token for events.
    pub(super) access_token: String,
    /// When it expires, in RFC 3339.
    pub(super) access_token_expire_date_time: String,
    /// The token for the next session.
    pub(super) refresh_token: String,
}

/// The API, seen from the source.
#[derive(Debug)]
pub(super) struct Api {
    /// For everything.
    client: Client,
    /// Without a slash at its end.
    url: String,
    /// The body of a log-in.
    credentials: Value,
    /// How long an event may take.
    pub(super) give_up: Duration,
}

impl Api {
    /// Prepares the calls; connects to nothing yet.
    pub(super) fn new(options: &Options) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: client::build(&options.api_url, SESSION_TIMEOUT, options.concurrency)?,
            url: options.api_url.trim_end_matches('/').to_owned(),
            credentials: json!({ "authId": options.auth_id, "secret": options.secret }),
            give_up: options.give_up,
        })
    }

    /// Opens a session with the credentials.
    pub(super) async fn log_in(&self) -> Result<Granted, CallError> {
        self.session("user-sessions", &self.credentials).await
    }

    /// Opens the next session with a refresh token.
    pub(super) async fn refresh(&self, refresh_token: &str) -> Result<Granted, CallError> {
        self.session("user-sessions/refresh", &json!({ "refreshToken": refresh_token })).await
    }

    /// Sends an event and says the status of the answer. Has no deadline of its own but the client's.
    pub(super) async fn send(&self, event: &Event, trace: &Trace, bearer: HeaderValue) -> Result<Response, CallError> {
        let body = serde_json::to_vec(event).map_err(CallError::Unreadable)?;
        self.client
            .post(format!("{}/events", self.url))
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, bearer)
            .header("traceparent", trace.parent())
            .body(body)
            .send()
            .await
            .map_err(CallError::Unreachable)
    }

    /// Posts `body` and reads a session from the answer.
    async fn session(&self, path: &str, body: &Value) -> Result<Granted, CallError> {
        let request = self.client.post(format!("{}/{path}", self.url)).header(CONTENT_TYPE, "application/json").body(body.to_string());
        let answer = request.send().await.map_err(CallError::Unreachable)?;
        if !answer.status().is_success() {
            return Err(CallError::Status(answer.status().as_u16()));
        }
        let text = read(answer).await?;
        serde_json::from_slice(&text).map_err(CallError::Unreadable)
    }
}

/// Reads what is left of an answer, so that its connection can be used again, up to [`ANSWER_BYTES_MAX`].
pub(super) async fn read(mut answer: Response) -> Result<Vec<u8>, CallError> {
    let mut text = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(CallError::Unreachable)? {
        text.extend_from_slice(&part);
        if text.len() > ANSWER_BYTES_MAX {
            return Err(CallError::TooLong);
        }
    }
    Ok(text)
}
