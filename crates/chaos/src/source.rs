//! A source: logs in once, sends each event once, and knows how it was answered.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

/// The account that sends.
pub const AUTH_ID: &str = "shop";
/// Its secret.
pub const SECRET: &str = "a secret of the shop";
/// How often a log-in is tried while the API is not there.
const AGAIN: Duration = Duration::from_millis(50);

/// The accounts' setting with the one account.
///
/// # Errors
/// Its secret cannot be hashed.
pub fn accounts() -> anyhow::Result<String> {
    let hash = bcrypt::hash(SECRET, 4).context("hash the secret")?;
    Ok(json!([{ "id": "source-1", "authId": AUTH_ID, "secret": hash }]).to_string())
}

/// A source that is logged in; clones share its connections.
#[derive(Debug, Clone)]
pub struct Source {
    /// The client, with a source's patience.
    client: reqwest::Client,
    /// Where the API is.
    api: String,
    /// Its access token.
    token: String,
}

impl Source {
    /// Logs in, waiting at most `patience` for the API to be there; a request is given up after `give_up`.
    ///
    /// # Errors
    /// It was not let in.
    pub async fn log_in(port: u16, patience: Duration, give_up: Duration) -> anyhow::Result<Self> {
        // Whoever comes first installs it; the others find it there.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().timeout(give_up).build().context("make a client")?;
        let api = format!("http://127.0.0.1:{port}/api");
        let until = Instant::now() + patience;
        loop {
            let asked = client.post(format!("{api}/user-sessions")).json(&json!({ "authId": AUTH_ID, "secret": SECRET })).send().await;
            if let Ok(answer) = asked
                && answer.status() == 201
            {
                let session: Value = answer.json().await.context("read the session")?;
                let token = session.get("accessToken").and_then(Value::as_str).context("find the access token")?.to_owned();
                return Ok(Self { client, api, token });
            }
            ensure!(Instant::now() < until, "the API does not let the source in");
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Sends an event once; tells the status, or nothing when there was no answer.
    pub async fn send(&self, id: &str, trace: Option<&str>) -> Option<u16> {
        let event = json!({ "id": id, "name": "order placed", "body": "two apples", "timestamp": "2026-01-31T12:00:00Z" });
        self.send_event(&event, trace).await
    }

    /// Sends any event once; tells as [`Self::send`] does.
    pub async fn send_event(&self, event: &Value, trace: Option<&str>) -> Option<u16> {
        let mut request = self.client.post(format!("{}/events", self.api)).bearer_auth(&self.token).json(event);
        if let Some(trace) = trace {
            request = request.header("traceparent", trace);
        }
        request.send().await.ok().map(|answer| answer.status().as_u16())
    }

    /// Its access token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What the journal says of an event; nothing while it knows none.
    pub async fn look_up(&self, id: &str) -> Option<Value> {
        let answer = self.client.get(format!("{}/events/{id}", self.api)).bearer_auth(&self.token).send().await.ok()?;
        if answer.status() == 200 { answer.json().await.ok() } else { None }
    }
}
