//! A small API for the source: logs in, refreshes, takes events, and misbehaves as told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::http::{listener, wall};

/// An event as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Its body.
    pub(crate) body: Value,
    /// Its `traceparent`.
    pub(crate) traceparent: String,
    /// Whether its token was good.
    pub(crate) authentic: bool,
    /// When.
    pub(crate) at: Instant,
}

/// What the API saw, and how it behaves.
#[derive(Debug)]
pub(crate) struct Api {
    /// How long access tokens live.
    pub(crate) lifetime: Duration,
    /// Every how many-th event is answered too late; zero none.
    pub(crate) slow_every: AtomicU64,
    /// How late that is, in milliseconds.
    pub(crate) slow_millis: AtomicU64,
    /// The status for events, if not 202.
    pub(crate) status: AtomicU16,
    /// Whether refreshes are refused.
    pub(crate) refuses_refresh: AtomicBool,
    /// Log-ins with the right credentials.
    pub(crate) log_ins: AtomicU64,
    /// Refreshes that were granted.
    pub(crate) refreshes: AtomicU64,
    /// Refreshes that were asked for.
    pub(crate) refreshes_asked: AtomicU64,
    /// Events in the order of their arrival.
    pub(crate) seen: Mutex<Vec<Seen>>,
    /// Tokens and when they end.
    tokens: Mutex<HashMap<String, Instant>>,
    /// The refresh token that is good.
    refresh_token: Mutex<String>,
    /// The most events that were being answered at once.
    pub(crate) most_at_once: AtomicU64,
    /// Events that are being answered.
    at_once: AtomicU64,
}

/// A running API; it ends when this is dropped.
pub(crate) struct Served {
    /// What it saw.
    pub(crate) api: Arc<Api>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The server's task.
    _server: JoinSet<std::io::Result<()>>,
}

impl Served {
    /// Serves on any free port.
    pub(crate) fn start(lifetime: Duration) -> Self {
        Self::on(listener(), lifetime)
    }

    /// Serves on a listener.
    pub(crate) fn on(listener: std::net::TcpListener, lifetime: Duration) -> Self {
        let address = listener.local_addr().unwrap();
        let api = Arc::new(Api {
            lifetime,
            slow_every: AtomicU64::new(0),
            slow_millis: AtomicU64::new(800),
            status: AtomicU16::new(202),
            refuses_refresh: AtomicBool::new(false),
            log_ins: AtomicU64::new(0),
            refreshes: AtomicU64::new(0),
            refreshes_asked: AtomicU64::new(0),
            seen: Mutex::default(),
            tokens: Mutex::default(),
            refresh_token: Mutex::default(),
            most_at_once: AtomicU64::new(0),
            at_once: AtomicU64::new(0),
        });
        let data = Data::from(Arc::clone(&api));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .route("/api/user-sessions", web::post().to(log_in))
                .route("/api/user-sessions/refresh", web::post().to(refresh))
                .route("/api/events", web::post().to(event))
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        let mut task = JoinSet::new();
        task.spawn(server);
        Self { api, address, _server: task }
    }

    /// Where a source sends.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/api/", self.address)
    }
}

impl Api {
    /// The events so far.
    pub(crate) fn events(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Ends every access token at once.
    pub(crate) fn forget_tokens(&self) {
        self.tokens.lock().unwrap().clear();
    }

    /// Grants a session.
    fn grant(&self) -> Value {
        let name = || format!("{:032x}", rand::random::<u128>());
        let (access, refresh) = (name(), name());
        self.tokens.lock().unwrap().insert(access.clone(), Instant::now() + self.lifetime);
        self.refresh_token.lock().unwrap().clone_from(&refresh);
        let now = wall();
        json!({
            "id": name(),
            "accessToken": access,
            "accessTokenExpireDateTime": (now + self.lifetime).format(&Rfc3339).unwrap(),
            "refreshToken": refresh,
            "refreshTokenExpireDateTime": (now + self.lifetime * 2).format(&Rfc3339).unwrap(),
            "startDateTime": now.format(&Rfc3339).unwrap(),
        })
    }
}

/// `POST /user-sessions`.
async fn log_in(body: Bytes, api: Data<Api>) -> HttpResponse {
    let body: Value = serde_json::from_slice(&body).unwrap();
    if body != json!({ "authId": "shop", "secret": "s3cret" }) {
        return HttpResponse::Unauthorized().finish();
    }
    api.log_ins.fetch_add(1, Ordering::SeqCst);
    HttpResponse::Created().json(api.grant())
}

/// `POST /user-sessions/refresh`.
async fn refresh(body: Bytes, api: Data<Api>) -> HttpResponse {
    api.refreshes_asked.fetch_add(1, Ordering::SeqCst);
    let body: Value = serde_json::from_slice(&body).unwrap();
    if api.refuses_refresh.load(Ordering::SeqCst) || body["refreshToken"] != json!(*api.refresh_token.lock().unwrap()) {
        return HttpResponse::Unauthorized().finish();
    }
    api.refreshes.fetch_add(1, Ordering::SeqCst);
    HttpResponse::Ok().json(api.grant())
}

/// `POST /events`.
async fn event(request: HttpRequest, body: Bytes, api: Data<Api>) -> HttpResponse {
    let now = Instant::now();
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let authentic = api.tokens.lock().unwrap().get(header("authorization").trim_start_matches("Bearer ")).is_some_and(|end| *end > now);
    let seen = Seen { body: serde_json::from_slice(&body).unwrap(), traceparent: header("traceparent"), authentic, at: now };
    let number = {
        let mut events = api.seen.lock().unwrap();
        events.push(seen);
        events.len() as u64
    };
    let _leaving = Inside::enter(&api);
    let every = api.slow_every.load(Ordering::SeqCst);
    if every > 0 && number % every == 0 {
        sleep(Duration::from_millis(api.slow_millis.load(Ordering::SeqCst))).await;
    }
    if !authentic {
        return HttpResponse::Unauthorized().finish();
    }
    let status = actix_web::http::StatusCode::from_u16(api.status.load(Ordering::SeqCst)).unwrap();
    HttpResponse::build(status).json(json!({ "status": "accepted" }))
}

/// An event that is being answered; it ends with the handler, even when the client left.
struct Inside(Data<Api>);

impl Inside {
    /// Counts one in.
    fn enter(api: &Data<Api>) -> Self {
        let inside = api.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        api.most_at_once.fetch_max(inside, Ordering::SeqCst);
        Self(api.clone())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::SeqCst);
    }
}
