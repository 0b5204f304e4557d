//! What operators ask and order on the private listener: the figures, any event, dead letters, replays.
//!
//! ```text
//! POST /operator/sessions             name and secret ─▶ a token, for the Authorization header
//! GET  /operator/overview             the figures of all replicas
//! GET  /operator/events[/SOURCE/ID]   search, and one event whole
//! POST /operator/replays              begin a replay, or count what it would do
//! GET, DELETE /operator/replays/ID    follow it, cancel it
//! GET, PUT /operator/limit            the target's limit, for all replicas
//! ```
//! Whoever is not signed in learns nothing but that. The console (`console.rs`) shows the same to people.

pub(crate) mod access;
mod body;
mod document;
pub(crate) mod events;
pub(crate) mod figures;
mod limit;
mod overview;
mod problem;
pub(crate) mod replays;
mod settings;

use std::sync::Arc;

use actix_web::{ResponseError, Scope, web};
use auth::lockout::LockOut;
use auth::operator::Operators;
use chassis::admin::Routes;
use chassis::clock::Clock;
use chassis::lifecycle::{OnFailure, Tasks};
use chassis::metrics::Registry;
use storage::Store;
use tokio::sync::{Notify, Semaphore, watch};

use crate::metrics::sign_ins::SignIns;
use crate::pace::Pace;
use crate::stack::Running;
use figures::{Figures, Newest, Permitted, Watch};

pub(crate) use access::{may_act, signed_in, token};
pub(crate) use problem::Problem;
pub use settings::Settings;

/// How many may watch the live figures of one replica at once.
const VIEWERS_MAX: usize = 32;

/// What the operator's routes are made of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Who may sign in, and how events are shown.
    settings: Settings,
    /// What is remembered of events.
    store: Store,
    /// The topic.
    topic: String,
    /// The target, for people.
    target: String,
    /// This replica.
    running: Running,
    /// Tells when.
    clock: Arc<dyn Clock>,
    /// Keeps numbers.
    registry: Registry,
}

impl Parts {
    /// Those of a dispatcher.
    pub(crate) fn of(parts: &crate::stack::Parts, running: Running) -> Self {
        let settings = &parts.settings;
        let mut target = settings.target.url.clone();
        // A URL may hold a password, which is nobody's business.
        let _shown = (target.set_password(None), target.set_username(""));
        Self {
            settings: settings.operator.clone(),
            store: parts.store.clone(),
            topic: parts.topic.clone(),
            target: target.to_string(),
            running,
            clock: Arc::clone(&parts.clock),
            registry: parts.registry.clone(),
        }
    }
}

/// What every request of an operator needs.
#[derive(Debug)]
pub(crate) struct Office {
    /// Who may sign in.
    pub(crate) operators: Operators,
    /// Slows down who guesses their secrets.
    lock_out: LockOut,
    /// Counts who signs in.
    sign_ins: SignIns,
    /// What is remembered of events.
    pub(crate) store: Store,
    /// The topic.
    pub(crate) topic: String,
    /// The target.
    pub(crate) target: String,
    /// Its limit.
    pace: Arc<dyn Pace>,
    /// Fields of payloads that are not shown.
    pub(crate) masked: Vec<String>,
    /// Where traces are looked at; `{}` stands for the trace's id.
    trace_ui: Option<String>,
    /// The newest figures.
    pub(crate) figures: Newest,
    /// Places for those who watch.
    pub(crate) viewers: Arc<Semaphore>,
    /// Tells when.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Office {
    /// What the target permits, as it is now.
    pub(crate) fn permitted(&self) -> Permitted {
        Permitted::of(self.pace.limit())
    }

    /// Where a trace is looked at.
    pub(crate) fn trace_url(&self, trace_id: &str) -> Option<String> {
        self.trace_ui.as_ref().map(|pattern| pattern.replace("{}", trace_id))
    }
}

/// The routes of operators and their console, for the private listener; the figures are asked for by a task.
pub(crate) fn routes(parts: Parts, tasks: &Tasks) -> Routes {
    let Parts { settings, store, topic, target, running, clock, registry } = parts;
    let pace = Arc::clone(running.pace());
    let newest = watch::Sender::new(Arc::new(Figures::none(clock.now())));
    let wanted = Arc::new(Notify::new());
    let watch = Watch { store: store.clone(), topic: topic.clone(), running, clock: Arc::clone(&clock), wanted, newest };
    let figures = watch.newest();
    tasks.spawn("watch the figures", OnFailure::Log, watch.watch(tasks.stopping()));
    let office = web::Data::new(Office {
        operators: settings.operators(),
        lock_out: LockOut::new(settings.lock_out.0, settings.lock_out.1),
        sign_ins: SignIns::new(&registry),
        store,
        topic,
        target,
        pace,
        masked: settings.masked,
        trace_ui: settings.trace_ui,
        figures,
        viewers: Arc::new(Semaphore::new(VIEWERS_MAX)),
        clock,
    });
    Routes::new(move |config| {
        config
            .app_data(office.clone())
            .app_data(web::QueryConfig::default().error_handler(|error, _| Problem::Malformed(error.to_string()).into()))
            .app_data(web::PathConfig::default().error_handler(|error, _| Problem::Malformed(error.to_string()).into()))
            .app_data(web::FormConfig::default().error_handler(|error, _| Problem::Malformed(error.to_string()).into()))
            .service(api())
            .configure(crate::console::routes);
    })
}

/// The API's paths. Whatever is none of them, and a method that a path does not take, is told as a problem too.
fn api() -> Scope {
    let path = |path: &str, methods: &'static str| {
        web::resource(path).default_service(web::to(move || async move { Problem::Method(methods).error_response() }))
    };
    web::scope("/operator")
        .service(path("/sessions", "POST").route(web::post().to(access::sign_in)))
        .service(path("/overview", "GET").route(web::get().to(overview::overview)))
        .service(path("/partitions", "GET").route(web::get().to(overview::partitions)))
        .service(path("/dead", "GET").route(web::get().to(overview::dead)))
        .service(path("/events", "GET").route(web::get().to(events::search)))
        .service(path("/events/{source}/{id}", "GET").route(web::get().to(events::one)))
        .service(path("/replays", "GET, POST").route(web::get().to(replays::list)).route(web::post().to(replays::begin)))
        .service(path("/replays/{id}", "GET, DELETE").route(web::get().to(replays::one)).route(web::delete().to(replays::cancel)))
        .service(path("/limit", "GET, PUT").route(web::get().to(limit::tell)).route(web::put().to(limit::change)))
        .service(path("/openapi.json", "GET").route(web::get().to(document::document)))
        .default_service(web::to(|| async { Problem::NoRoute.error_response() }))
}
