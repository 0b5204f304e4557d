//! An ingest of a test's own, and a client that speaks to it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use auth::access::Keys;
use broker::port::Cause;
use broker::{FetchLimit, PublishError, Publisher, Subscriber, memory};
use chassis::admin::Readiness;
use chassis::clock::{Clock, ManualClock};
use chassis::lifecycle::Tasks;
use chassis::metrics::Registry;
use chassis::settings::Settings;
use events_proxy_core::envelope::Record;
use events_proxy_core::{Envelope, Moment, SourceId};
use ingest::stack::{Parts, Running};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use storage::Store;
use tempfile::TempDir;

/// The account that events come from.
pub(crate) const AUTH_ID: &str = "shop";
/// Its secret.
pub(crate) const SECRET: &str = "a secret of the shop";
/// A key that signs access tokens.
pub(crate) const KEY: &str = "b1946ac92492d2347c6235b4d2611184";
/// A second account, whose events the first must not see.
pub(crate) const OTHER_AUTH_ID: &str = "warehouse";

/// A running ingest.
pub(crate) struct Ingest {
    /// The process's part.
    pub(crate) running: Running,
    /// What it tells the time by.
    pub(crate) clock: Arc<ManualClock>,
    /// Where its events arrive.
    pub(crate) topic: memory::Topic,
    /// The broker's switch.
    pub(crate) broker: Arc<Switched>,
    /// What it remembers.
    pub(crate) store: Store,
    /// The stored hash of the account's secret.
    pub(crate) secret_hash: String,
    /// Its numbers.
    pub(crate) registry: Registry,
    /// Speaks HTTP.
    client: reqwest::Client,
    /// Keeps its tasks.
    tasks: Tasks,
    /// Keeps its spool.
    _directory: TempDir,
}

/// A topic that can be told to take nothing.
#[derive(Debug)]
pub(crate) struct Switched {
    /// The topic.
    topic: memory::Topic,
    /// Whether it is away.
    away: AtomicBool,
}

impl Switched {
    /// Takes nothing from now on, or everything again.
    pub(crate) fn away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }
}

#[async_trait]
impl Publisher for Switched {
    fn partitions(&self) -> u32 {
        Publisher::partitions(&self.topic)
    }

    async fn prepare(&self) -> Result<(), Cause> {
        self.topic.prepare().await
    }

    async fn publish(&self, partition: u32, records: &[Record]) -> Result<u64, PublishError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(PublishError::Retry { partition, cause: "the broker is away".into() });
        }
        self.topic.publish(partition, records).await
    }

    async fn open(&self, _partition: u32) -> Result<(), PublishError> {
        Ok(())
    }

    fn aside(self: Arc<Self>) -> Arc<dyn Publisher> {
        self
    }
}

impl Ingest {
    /// Starts one with these settings besides the usual ones.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let ingest = Self::with_storage("sqlite::memory:".to_owned(), settings).await;
        until("accounts are in place", async || ingest.store.account(OTHER_AUTH_ID).await.is_ok_and(|account| account.is_some())).await;
        ingest
    }

    /// Starts one whose storage is at this URL, whether anybody answers there or not.
    pub(crate) async fn with_storage(url: String, settings: &[(&str, &str)]) -> Self {
        Self::begin(url, settings).await.unwrap()
    }

    /// The same, where the start may be refused.
    pub(crate) async fn begin(url: String, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        chassis::tls::install();
        let directory = tempfile::tempdir().unwrap();
        let secret_hash = bcrypt::hash(SECRET, 4).unwrap();
        let accounts = json!([
            { "id": "source-1", "authId": AUTH_ID, "secret": secret_hash },
            { "id": "source-2", "authId": OTHER_AUTH_ID, "secret": secret_hash },
        ]);
        let spool = directory.path().join("spool");
        let usual = [("PROXY_SERVICE_TEST_USERS_DATA", accounts.to_string()), ("SPOOL_DIR", spool.display().to_string())];
        let pairs = usual.into_iter().chain(settings.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let mut reader = Settings::from_pairs(pairs).reader();
        let settings = ingest::settings::Settings::read(&mut reader);
        reader.finish().unwrap();
        let options = storage::Options { url, max_connections: 1, acquire_timeout: Duration::from_secs(2) };
        let store = Store::connect(&options).await.unwrap();
        let (clock, topic) = (Arc::new(ManualClock::at(Moment::from_micros(1_770_000_000_000_000))), memory::Topic::new(1));
        let broker = Arc::new(Switched { topic: topic.clone(), away: AtomicBool::new(false) });
        let (registry, tasks) = (Registry::new(), Tasks::new());
        let parts = Parts {
            settings: settings.unwrap(),
            store: store.clone(),
            publisher: Arc::<Switched>::clone(&broker),
            clock: Arc::<ManualClock>::clone(&clock),
            registry: registry.clone(),
            readiness: Readiness::new(),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let running = ingest::stack::start(parts, listener, &tasks)?;
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        Ok(Self { running, clock, topic, broker, store, secret_hash, registry, client, tasks, _directory: directory })
    }

    /// Tells a token of the first account for whoever knows the key, without a log-in.
    pub(crate) fn forged(&self, key: &str, audience: &str) -> String {
        let keys = Keys::new(&key.into(), "events-proxy", audience, Duration::from_secs(60));
        keys.issue(&SourceId::new("source-1"), "a session", self.now()).unwrap().token
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// A request to a path.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address()))
    }

    /// Posts JSON to a path.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    /// Logs the first account in and tells its access token.
    pub(crate) async fn token(&self) -> String {
        self.session(AUTH_ID).await["accessToken"].as_str().unwrap().to_owned()
    }

    /// Logs an account in.
    pub(crate) async fn session(&self, auth_id: &str) -> Value {
        let answer = self.post("/api/user-sessions", &json!({ "authId": auth_id, "secret": SECRET })).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body
    }

    /// Sends an event with a token.
    pub(crate) async fn send(&self, token: &str, event: &Value) -> Answer {
        Answer::of(self.request(Method::POST, "/api/events").bearer_auth(token).json(event)).await
    }

    /// Every event that has reached the topic so far.
    pub(crate) async fn published(&self) -> Vec<Envelope> {
        let limit = FetchLimit { max_bytes: 1 << 24, max_wait: Duration::from_millis(1) };
        let fetched = self.topic.fetch(0, 0, limit).await.unwrap();
        fetched.records.iter().map(|received| Envelope::decode(&received.record).unwrap()).collect()
    }

    /// Waits until the spool is empty and tells the ids of all events that are on the topic.
    pub(crate) async fn stored(&self) -> Vec<String> {
        until("the spool is drained", async || self.running.numbers().spooled == 0).await;
        self.published().await.iter().map(|envelope| envelope.event.id.as_str().to_owned()).collect()
    }

    /// Stops it; what is left in the spool is told.
    pub(crate) async fn stop(self) -> u64 {
        let left = self.running.stop(Duration::from_secs(5)).await;
        self.tasks.stop(Duration::from_secs(5)).await;
        left.unpublished
    }

    /// The present moment of its clock.
    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers.
    pub(crate) headers: reqwest::header::HeaderMap,
    /// Its body as JSON; null when it is none.
    pub(crate) body: Value,
}

impl Answer {
    /// Sends a request and reads the answer.
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        Self::read(request.send().await.unwrap()).await
    }

    /// Reads an answer.
    async fn read(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.unwrap();
        Self { status, headers, body: serde_json::from_slice(&body).unwrap_or_default() }
    }

    /// A header's text; empty when it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Checks that it is a problem document of that status and code.
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], status, "{}", self.body);
        assert_eq!(self.body["type"], format!("urn:events-proxy:problem:{code}"));
        assert!(!self.body["detail"].as_str().unwrap().is_empty());
    }
}

/// An event of that id.
pub(crate) fn event(id: &str) -> Value {
    json!({ "id": id, "name": "order placed", "body": "two apples", "timestamp": "2026-01-31T12:00:00Z" })
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    while !holds().await {
        assert!(tokio::time::Instant::now() < end, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Checks that the numbers have this line.
pub(crate) fn counted(ingest: &Ingest, line: &str) {
    let text = ingest.registry.render();
    assert!(text.lines().any(|found| found == line), "`{line}` is missing in\n{text}");
}
