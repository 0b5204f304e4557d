//! What an operator may come upon: a system at work, with a target that takes most events, refuses some and fails at others.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};

use super::browser::{Browser, Scheme};
use crate::operator::Proxy;
use crate::support::{Source, listener};

/// Events of this name are refused until the target is mended.
pub(crate) const REFUSED: &str = "order cancelled";
/// Events of this name are met by an outage until the target is mended.
pub(crate) const FAILING: &str = "stock counted";
/// The first two attempts of an event of this name fail.
pub(crate) const STUMBLING: &str = "payment captured";
/// Events of this name are taken.
pub(crate) const TAKEN: &str = "order placed";

/// The widths that pages are looked at: a desk's and a phone's.
pub(crate) const WIDTHS: [u32; 2] = [1280, 390];

/// A target that judges an event by its name.
#[derive(Default)]
struct Moods {
    /// Whether it takes everything by now.
    mended: AtomicBool,
    /// How often events have stumbled.
    stumbled: Mutex<HashMap<String, u32>>,
}

impl Moods {
    /// Whether an event stumbles once more.
    fn stumbles(&self, id: &str) -> bool {
        let mut stumbled = self.stumbled.lock().unwrap();
        let times = stumbled.entry(id.to_owned()).or_default();
        *times += 1;
        *times <= 2
    }

    /// Answers a call.
    fn answer(&self, call: &Value) -> HttpResponse {
        let event = &call["variables"]["input"];
        let id = event["id"].as_str().unwrap();
        let mended = self.mended.load(Ordering::Relaxed);
        match event["name"].as_str().unwrap() {
            STUMBLING if self.stumbles(id) => HttpResponse::ServiceUnavailable().body("the bank does not answer"),
            FAILING if !mended => HttpResponse::ServiceUnavailable().body("the stock's database is being moved"),
            name if !mended && (name == REFUSED || name.contains('<')) => HttpResponse::Ok().json(json!({
                "errors": [{ "message": format!("{name}: the order is closed"), "extensions": { "code": "BAD_USER_INPUT" } }],
            })),
            _ => HttpResponse::Ok().json(json!({ "data": { "processEvent": { "id": id } } })),
        }
    }
}

/// What takes a call of the target, and some time.
async fn call(moods: web::Data<Moods>, call: web::Json<Value>) -> HttpResponse {
    tokio::time::sleep(Duration::from_millis(25)).await;
    moods.answer(&call)
}

/// The system, the target, and somebody at a browser.
pub(crate) struct Scene {
    /// The product.
    pub(crate) proxy: Proxy,
    /// What sends events.
    pub(crate) source: Source,
    /// The browser.
    pub(crate) browser: Browser,
    /// How the target is minded.
    moods: web::Data<Moods>,
    /// The target's server; it ends with this.
    _target: tokio::task::JoinSet<std::io::Result<()>>,
    /// Where everything is kept.
    directory: tempfile::TempDir,
}

impl Scene {
    /// Sets it up; the target may be called so often per second.
    pub(crate) async fn set(limit: u32) -> Self {
        Self::set_with(limit, tempfile::tempdir().unwrap(), &[]).await
    }

    /// Sets it up with a viewer, who has no other role, instead of the demo's operator.
    pub(crate) async fn set_for_a_viewer(limit: u32) -> Self {
        let (name, secret) = ("vera", "only looks");
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("operator.json"), json!({ "name": name, "secret": secret }).to_string()).unwrap();
        let hash = bcrypt::hash(secret, 10).unwrap();
        let accounts = json!([{ "name": name, "secret": hash, "role": "viewer" }]).to_string();
        Self::set_with(limit, directory, &[("OPERATOR_ACCOUNTS", accounts)]).await
    }

    /// Sets it up in a directory, with further settings.
    async fn set_with(limit: u32, directory: tempfile::TempDir, further: &[(&'static str, String)]) -> Self {
        let moods = web::Data::from(Arc::<Moods>::default());
        let (target, address) = listener();
        let data = moods.clone();
        let server = HttpServer::new(move || App::new().app_data(data.clone()).route("/graphql", web::post().to(call)));
        let server = server.workers(1).disable_signals().listen(target).unwrap().run();
        let usual = [
            ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", limit.to_string()),
            ("AUTH_ACCESS_TOKEN_EXPIRES_IN_SEC", "3600".to_owned()),
            // A parked event stays parked until somebody orders otherwise.
            ("DELIVERY_PARK_MIN_MS", "600000".to_owned()),
        ];
        let proxy = Proxy::start_with(directory.path(), address.port(), &[&usual, further].concat()).await;
        let source = Source::log_in(proxy.port).await;
        let target = tokio::task::JoinSet::from_iter([server]);
        Self { proxy, source, browser: Browser::start().await, moods, _target: target, directory }
    }

    /// Sends an event.
    pub(crate) async fn send(&self, id: &str, name: &str) {
        let body = json!({ "order": id, "customer": "C-2041", "items": [{ "article": "A-17", "pieces": 2 }], "total": "49.90" });
        let event = json!({ "id": id, "name": name, "body": body.to_string(), "timestamp": "2026-01-31T12:00:00Z" });
        assert_eq!(self.source.send_event(&event).await, Some(202), "{event}");
    }

    /// Changes what the product keeps behind its back.
    pub(crate) async fn meddle(&self, statement: &str) {
        let file = self.directory.path().join("data/events-proxy.sqlite");
        let database = Database::connect(format!("sqlite://{}", file.display())).await.unwrap();
        database.execute_unprepared(statement).await.unwrap();
        database.close().await.unwrap();
    }

    /// From now on the target takes every event.
    pub(crate) fn mend(&self) {
        self.moods.mended.store(true, Ordering::Relaxed);
    }

    /// The URL of a page.
    fn url(&self, page: &str) -> String {
        format!("{}/console/{page}", self.proxy.private)
    }

    /// Opens a page.
    pub(crate) async fn open(&self, page: &str) {
        self.browser.open(&self.url(page)).await;
    }

    /// Whether the browser shows this page; what a link points at in it counts for nothing.
    pub(crate) async fn shows(&self, page: &str) -> bool {
        let location = self.browser.location().await;
        location.split('#').next() == Some(self.url(page).as_str())
    }

    /// Signs in by the form.
    pub(crate) async fn sign_in(&self, secret: &str) {
        self.open("sign-in").await;
        self.browser.write("[name=name]", self.proxy.operator["name"].as_str().unwrap()).await;
        self.browser.write("[name=secret]", secret).await;
        self.browser.click("form button").await;
    }

    /// Signs in as the one who may.
    pub(crate) async fn enter(&self) {
        self.sign_in(self.proxy.operator["secret"].as_str().unwrap()).await;
        self.browser.reads("h1", "Overview").await;
    }

    /// Looks at the open page on a desk and on a phone, by day and by night: keeps a picture of each, tells what is wrong.
    pub(crate) async fn judge(&self, name: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for width in WIDTHS {
            for scheme in [Scheme::Light, Scheme::Dark] {
                self.browser.look(width, scheme).await;
                let word = scheme.word();
                self.browser.picture(&pictures().join(format!("{name}-{width}-{word}.png"))).await;
                wrong.extend(self.browser.faults().await.into_iter().map(|fault| format!("{name}, {width} wide, {word}: {fault}")));
            }
        }
        self.browser.look(WIDTHS[0], Scheme::Light).await;
        wrong.extend(self.browser.complaints().await.into_iter().map(|complaint| format!("{name}: {complaint}")));
        wrong
    }
}

/// Where pictures are kept.
pub(crate) fn pictures() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots")
}
