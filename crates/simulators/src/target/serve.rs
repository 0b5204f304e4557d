//! The HTTP side of the target: `POST /graphql`, `GET /health`, `GET /numbers`.

use std::any::Any;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::dev::{Extensions, Server};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use async_graphql::Response;
use opentelemetry::propagation::Extractor;
use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Options;
use super::failure::Failure;
use super::ledger::{Arrival, Ledger, Numbers, Outcome};
use super::limit::{Limiter, Standing};
use super::schema::{self, Back, Call, Executable};
use crate::clock::Clock;
use crate::record::Recorder;
use crate::trace::Recorded;

/// The longest request, in bytes.
const BODY_BYTES_MAX: usize = 256 * 1_024;
/// How long a request's body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an unused connection stays open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long requests may take to end after a stop, in seconds.
const STOP_SECONDS: u64 = 2;
/// Threads that serve.
const WORKERS: usize = 2;
/// The longest `Idempotency-Key`: two ids of 128 characters of four bytes, percent-encoded.
const KEY_BYTES_MAX: usize = 4_096;

/// What the handlers share.
#[derive(Debug)]
pub(super) struct Desk {
    /// How the target behaves.
    options: Options,
    /// Who may pass.
    limiter: Limiter,
    /// What arrived and what came of it.
    ledger: Arc<Ledger>,
    /// What requests are executed by.
    schema: SchemaSlot,
    /// Where processed events are written down.
    recorder: Option<Recorder>,
    /// For arrival times.
    clock: Clock,
}

/// The schema, which has no `Debug` of its own.
struct SchemaSlot(Executable);

impl std::fmt::Debug for SchemaSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Schema")
    }
}

impl Desk {
    /// Makes what the handlers share.
    pub(super) fn new(options: Options, limiter: Limiter, recorder: Option<Recorder>) -> Self {
        let ledger = Arc::new(Ledger::new());
        let schema = SchemaSlot(schema::build(Back { ledger: Arc::clone(&ledger), recorder: recorder.clone() }));
        Self { options, limiter, ledger, schema, recorder, clock: Clock::start() }
    }

    /// What arrived and what came of it.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Throttles every request for so long.
    pub(super) fn throttle(&self, wait: Duration) {
        self.limiter.close(wait);
    }

    /// What happened so far.
    pub(super) fn numbers(&self) -> Numbers {
        let (admitted, arrived) = self.limiter.worst();
        Numbers {
            worst_window: u64::try_from(admitted).unwrap_or(u64::MAX),
            worst_arrivals: u64::try_from(arrived).unwrap_or(u64::MAX),
            unrecorded: self.recorder.as_ref().map_or(0, Recorder::unwritten),
            ..self.ledger.numbers()
        }
    }

    /// Waits until the record file is written.
    pub(super) async fn flush(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.flush().await;
        }
    }

    /// Keeps what came of a request.
    fn ends(&self, call: &Call, outcome: Outcome) {
        let id = call.event.get().map(|(id, _)| id.clone());
        self.ledger.ends(Arrival { at_micros: call.at_micros, key: call.key.clone(), id, outcome });
    }

    /// Executes a request. `None` when it is no GraphQL request at all.
    async fn execute(&self, body: &[u8], call: &Arc<Call>) -> Option<Response> {
        let request: async_graphql::Request = serde_json::from_slice(body).ok()?;
        Some(self.schema.0.execute(request.data(Arc::clone(call))).await)
    }
}

/// Prepares the server; it serves once it is awaited, until `stop` is cancelled.
pub(super) fn server(desk: &Arc<Desk>, listener: TcpListener, stop: CancellationToken) -> io::Result<Server> {
    let desk = Data::from(Arc::clone(desk));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(desk.clone())
            .route("/graphql", web::post().to(graphql))
            .route("/health", web::get().to(health))
            .route("/numbers", web::get().to(numbers))
    })
    .workers(WORKERS)
    .keep_alive(IDLE_TIMEOUT)
    .tcp_nodelay(true)
    .shutdown_signal(stop.cancelled_owned())
    .shutdown_timeout(STOP_SECONDS)
    .on_connect(keep_wire)
    .listen(listener)?
    .run();
    Ok(server)
}

/// A second handle on a request's connection, to close it without an answer.
struct Wire(TcpStream);

/// Puts the connection's second handle where handlers find it.
fn keep_wire(connection: &dyn Any, data: &mut Extensions) {
    let stream = connection.downcast_ref::<actix_web::rt::net::TcpStream>();
    if let Some(Ok(handle)) = stream.map(|stream| stream.as_fd().try_clone_to_owned()) {
        data.insert(Wire(TcpStream::from(handle)));
    }
}

/// `GET /health`: the target serves.
async fn health() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// `GET /numbers`: what happened so far.
async fn numbers(desk: Data<Desk>) -> HttpResponse {
    HttpResponse::Ok().json(desk.numbers())
}

/// `POST /graphql`: stamps the arrival before it reads the body, and tells how the caller stands with the limit.
async fn graphql(request: HttpRequest, payload: web::Payload, desk: Data<Desk>) -> HttpResponse {
    let standing = desk.limiter.arrive();
    desk.ledger.arrives();
    let headers = request.headers();
    let recorded = Recorded::answer("processEvent", &Headers(headers));
    let call = Arc::new(Call {
        key: text(headers, "idempotency-key").map(str::to_owned),
        trace_id: text(headers, "traceparent").and_then(trace_id).map(str::to_owned),
        at_micros: desk.clock.micros(standing.at),
        event: OnceLock::new(),
    });
    // The body is read even of a throttled request: an answer in the middle of it would look like a broken connection.
    let body = read(payload).await;
    let mut answer = match body {
        _ if !standing.admitted => {
            desk.ends(&call, Outcome::Throttled);
            throttled()
        }
        Some(body) if call.key.as_ref().is_none_or(|key| key.len() <= KEY_BYTES_MAX) => admitted(&request, &desk, &call, &body).await,
        Some(_) | None => {
            desk.ends(&call, Outcome::Invalid);
            invalid()
        }
    };
    tell_standing(&standing, answer.headers_mut());
    recorded.answered(answer.status().as_u16());
    answer
}

/// Where a trace is named.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        text(self.0, key)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

/// Answers a request that passed the limit, or fails it as told.
async fn admitted(request: &HttpRequest, desk: &Desk, call: &Arc<Call>, body: &Bytes) -> HttpResponse {
    sleep(desk.options.latency).await;
    let failure = Failure::draw(&desk.options);
    let answer = match failure {
        None | Some(Failure::Slow | Failure::Lost) => desk.execute(body, call).await,
        Some(Failure::ServerError | Failure::Closed) => None,
        Some(Failure::GraphqlError) => Some(error("the target failed as it was told", "INTERNAL_SERVER_ERROR")),
        Some(Failure::Refused) => Some(error("the target refused as it was told", "BAD_USER_INPUT")),
    };
    let outcome = match (failure, call.event.get(), &answer) {
        (Some(failure), _, _) => Outcome::Failed(failure),
        (None, Some((_, outcome)), _) => *outcome,
        (None, None, Some(answer)) if answer.is_ok() => Outcome::Answered,
        (None, None, Some(_) | None) => Outcome::Invalid,
    };
    desk.ends(call, outcome);
    match failure {
        Some(Failure::ServerError) => {
            return HttpResponse::InternalServerError().json(json!({ "error": "the target failed as it was told" }));
        }
        Some(Failure::Closed | Failure::Lost) => return close(request),
        Some(Failure::Slow) => sleep(desk.options.slow).await,
        None | Some(Failure::GraphqlError | Failure::Refused) => {}
    }
    answer.map_or_else(invalid, |answer| HttpResponse::Ok().json(answer))
}

/// Closes the connection; the answer that is returned reaches nobody.
fn close(request: &HttpRequest) -> HttpResponse {
    let closed = request.conn_data::<Wire>().map(|wire| wire.0.shutdown(Shutdown::Both));
    if !matches!(closed, Some(Ok(()))) {
        tracing::debug!("the connection was closed by its client already");
    }
    HttpResponse::InternalServerError().force_close().finish()
}

/// Reads the body; `None` when it is too long, too slow or breaks off.
async fn read(payload: web::Payload) -> Option<Bytes> {
    timeout(BODY_TIMEOUT, payload.to_bytes_limited(BODY_BYTES_MAX)).await.ok()?.ok()?.ok()
}

/// An answer with status 200 that is an error all the same.
fn error(message: &str, code: &'static str) -> Response {
    let mut error = async_graphql::ServerError::new(message, None);
    error.extensions.get_or_insert_default().set("code", code);
    Response::from_errors(vec![error])
}

/// What is not a GraphQL request at all.
fn invalid() -> HttpResponse {
    HttpResponse::BadRequest().json(error("not a GraphQL request", "BAD_REQUEST"))
}

/// What is over the limit.
fn throttled() -> HttpResponse {
    HttpResponse::TooManyRequests().json(error("too many requests", "THROTTLED"))
}

/// Adds the `RateLimit` fields, and `Retry-After` to a throttled answer: whole seconds, rounded up.
fn tell_standing(standing: &Standing, headers: &mut HeaderMap) {
    let seconds = standing.reset.as_secs() + u64::from(standing.reset.subsec_nanos() > 0);
    headers.insert(HeaderName::from_static("ratelimit-limit"), HeaderValue::from(standing.limit));
    headers.insert(HeaderName::from_static("ratelimit-remaining"), HeaderValue::from(standing.remaining));
    headers.insert(HeaderName::from_static("ratelimit-reset"), HeaderValue::from(seconds));
    if !standing.admitted {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
}

/// A header's text; none when it is absent or not visible ASCII.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The trace id of a `traceparent`; none when it has not the standard form.
fn trace_id(parent: &str) -> Option<&str> {
    let id = parent.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}
