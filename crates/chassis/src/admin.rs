//! The private listener: is the process alive, is it ready, what are its numbers.
//!
//! One worker of its own, so that a busy or stuck data path cannot make the orchestrator believe that the process is
//! dead. It goes on answering while the process stops: not ready, still alive, numbers to the last.

mod readiness;

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Payload, Service, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::header::{ALLOW, Accept, Header, Quality};
use actix_web::mime::Mime;
use actix_web::{App, HttpMessage, HttpRequest, HttpResponse, HttpServer, Resource, web};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

pub use readiness::{Condition, Readiness};

use crate::metrics;

/// Connections at the same time; probes and scrapers are few.
const CONNECTIONS_MAX: usize = 1_024;
/// How long a client may take for the head of its request, how long for its body, and how long it may then be silent.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a stop waits for answers under way.
const STOP_SECONDS: u64 = 1;

/// What the listener tells.
#[derive(Debug, Clone)]
pub struct Admin {
    /// The process's numbers.
    pub registry: metrics::Registry,
    /// Whether the process should get work.
    pub readiness: Readiness,
    /// What a process answers besides.
    pub routes: Routes,
}

/// Routes that a process adds to its private listener; clones are the same ones.
#[derive(Clone)]
pub struct Routes(Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>);

impl Routes {
    /// Routes as `configure` adds them.
    pub fn new(configure: impl Fn(&mut web::ServiceConfig) + Send + Sync + 'static) -> Self {
        Self(Arc::new(configure))
    }

    /// No routes.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").finish_non_exhaustive()
    }
}

/// Answers on `listener` until `stop` is cancelled.
///
/// # Errors
/// When the listener cannot be used, or the server fails.
pub async fn serve(listener: TcpListener, admin: Admin, stop: CancellationToken) -> io::Result<()> {
    let (routes, requests) = (admin.routes.clone(), admin.registry.requests());
    let admin = web::Data::new(admin);
    let app = move || {
        App::new()
            .wrap_fn(|request, routes| routes.call(in_time(request)))
            .wrap(requests.clone())
            .configure(|config| (routes.0)(config))
            .app_data(admin.clone())
            .service(read_only("/health/live").route(web::get().to(live)))
            .service(read_only("/health/ready").route(web::get().to(ready)))
            .service(read_only("/metrics").route(web::get().to(numbers)))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .keep_alive(REQUEST_TIMEOUT)
        .worker_max_blocking_threads(1)
        .max_connections(CONNECTIONS_MAX)
        .client_request_timeout(REQUEST_TIMEOUT)
        .shutdown_timeout(STOP_SECONDS)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    let stopper = async move {
        stop.cancelled().await;
        handle.stop(true).await;
    };
    // Both arms are cancel-safe: the stopper has nothing left to do once the server has ended, and the other way round
    // the server is given the time to end.
    tokio::pin!(server);
    tokio::select! {
        result = &mut server => result,
        () = stopper => server.await,
    }
}

/// Gives the body of a request an end: whoever reads it hears of a failure then, and the place is free again.
fn in_time(mut request: ServiceRequest) -> ServiceRequest {
    let state = (request.take_payload(), Instant::now() + REQUEST_TIMEOUT);
    let body = stream::unfold(Some(state), |state| async move {
        let (mut body, end) = state?;
        match timeout_at(end, body.next()).await {
            Ok(chunk) => chunk.map(|chunk| (chunk, Some((body, end)))),
            Err(_) => Some((Err(PayloadError::Io(io::ErrorKind::TimedOut.into())), None)),
        }
    });
    request.set_payload(Payload::Stream { payload: Box::pin(body) });
    request
}

/// A path that is read alone: whoever does anything else is told so.
fn read_only(path: &str) -> Resource {
    web::resource(path).default_service(web::to(|| async { HttpResponse::MethodNotAllowed().insert_header((ALLOW, "GET")).finish() }))
}

/// Alive: whoever answers is.
async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "live": true }))
}

/// Ready if every condition is; the answer lists them either way.
async fn ready(admin: web::Data<Admin>) -> HttpResponse {
    let report = admin.readiness.report();
    if report.ready { HttpResponse::Ok().json(report) } else { HttpResponse::ServiceUnavailable().json(report) }
}

/// The numbers, for Prometheus, in the format that it asks for.
async fn numbers(request: HttpRequest, admin: web::Data<Admin>) -> HttpResponse {
    if Accept::parse(&request).is_ok_and(|accept| wants_openmetrics(&accept)) {
        HttpResponse::Ok().content_type(metrics::OPENMETRICS).body(admin.registry.render_openmetrics())
    } else {
        HttpResponse::Ok().content_type(metrics::TEXT).body(admin.registry.render())
    }
}

/// Whether OpenMetrics 1.0 is asked for, and the older text is not preferred.
fn wants_openmetrics(accept: &Accept) -> bool {
    let quality = |speaks: fn(&Mime) -> bool| {
        let of_kind = accept.iter().filter(|one| speaks(&one.item)).map(|one| one.quality);
        of_kind.max().unwrap_or(Quality::ZERO)
    };
    let openmetrics = quality(|mime| {
        mime.essence_str() == "application/openmetrics-text" && mime.get_param("version").is_none_or(|version| version == "1.0.0")
    });
    openmetrics > Quality::ZERO && openmetrics >= quality(|mime| mime.essence_str() == "text/plain")
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
