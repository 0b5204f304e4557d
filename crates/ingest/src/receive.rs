//! Stage 1 of 10 — receive: bounds the request, reads its body, and leads it through the next three stages.
//!
//! Everything is bounded before it is read: the caller's quota, the body's size, the bytes in work, the time. What is refused
//! here stores nothing.
//! Next: `crates/ingest/src/authenticate.rs`.

use actix_web::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use actix_web::web::{self, Bytes, BytesMut};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError};
use chassis::trace::{Past, part};
use events_proxy_core::{Envelope, EventId, Moment, SourceId, TraceContext};
use futures_util::StreamExt;
use serde::Serialize;
use tokio::time::timeout_at;
use tracing::{Instrument, Span, field};
use utoipa::ToSchema;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type};

use crate::accept::Budget;
use crate::admission::Admitted;
use crate::authenticate::authenticate_sender;
use crate::quota::Left;
use crate::reject::{Problem, Reject};
use crate::shared::Shared;
use crate::validate::validate;

/// The answer to an accepted event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The event's id.
    #[schema(value_type = String)]
    id: EventId,
    /// Always `accepted`.
    status: &'static str,
    /// The trace to look for.
    #[serde(rename = "traceId")]
    trace_id: String,
}

/// An event as a source sends it.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body for the API's document; events_proxy_core::Event reads it")]
pub(crate) struct NewEvent {
    /// 1 to 128 printable characters; the same id again is accepted again and delivered once.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$", example = "order-1")]
    id: String,
    /// 2 to 1000 characters.
    #[schema(min_length = 2, max_length = 1000, example = "order placed")]
    name: String,
    /// 1 to 10000 characters.
    #[schema(min_length = 1, max_length = 10000, example = "two apples")]
    body: String,
    /// RFC 3339, or a number of milliseconds since 1970, of the years 0 to 9999.
    #[schema(schema_with = timestamp, example = "2026-01-31T12:00:00Z")]
    timestamp: String,
}

/// Both spellings of a timestamp.
fn timestamp() -> Schema {
    let text = |format: ObjectBuilder| format.schema_type(Type::String);
    let spellings = OneOfBuilder::new()
        .item(text(ObjectBuilder::new()).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))))
        .item(text(ObjectBuilder::new()).pattern(Some("^-?[0-9]{1,13}$")))
        .item(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(MILLIS.0)).maximum(Some(MILLIS.1)));
    Schema::OneOf(spellings.build())
}

/// The first and the last millisecond of the years 0 to 9999.
const MILLIS: (i64, i64) = (-62_167_219_200_000, 253_402_300_799_999);

/// Why a request's span failed that found no durable path.
const NO_WAY: &str = "the event could not be made durable";

/// `POST /api/events`.
#[utoipa::path(
    post, path = "/api/events", tag = "events", request_body = NewEvent, security(("bearer" = [])),
    responses(
        (status = 202, description = "The event is durable and will be delivered", body = Accepted),
        (status = 400, description = "Malformed, or fields are wrong; all are listed", body = Problem),
        (status = 401, description = "The access token is missing, expired or invalid", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 413, description = "The body is too large", body = Problem),
        (status = 415, description = "The body is not declared as JSON", body = Problem),
        (status = 429, description = "More than the source may send", body = Problem),
        (status = 503, description = "The service is at its limit, or the event could not be made durable", body = Problem),
    )
)]
pub(crate) async fn receive(request: HttpRequest, payload: web::Payload, shared: web::Data<Shared>) -> Result<HttpResponse, Reject> {
    let budget = Budget::new(shared.timeout);
    let (span, trace) = shared.recorder.begin(parent(&request), request_span);
    let path = lead(&request, payload, &shared, (budget, trace));
    let answer = path.instrument(span.clone()).await.inspect_err(|reject| shared.metrics.refused(reject));
    let status = answer.as_ref().map_or_else(ResponseError::status_code, HttpResponse::status);
    span.record("http.response.status_code", i64::from(status.as_u16()));
    answer
}

/// Leads a request through the stages.
async fn lead(
    request: &HttpRequest,
    payload: web::Payload,
    shared: &Shared,
    (budget, trace): (Budget, TraceContext),
) -> Result<HttpResponse, Reject> {
    let received_at = shared.clock.now();
    let recorded = !Span::current().is_none();
    let judge = || authenticate_sender(request, &shared.keys, received_at, shared.outage.grace());
    let (caller, expired) = part(recorded, || tracing::info_span!("authenticate")).in_scope(judge)?;
    if expired {
        shared.metrics.expired_token_taken();
    }
    let source_id = caller.source_id;
    let taken = take(&source_id, (request, payload), shared, (budget, received_at, trace)).await;
    taken.inspect_err(|_| shared.metrics.refused_of(&source_id))
}

/// Takes an event of a source that is known.
async fn take(
    source_id: &SourceId,
    (request, payload): (&HttpRequest, web::Payload),
    shared: &Shared,
    (budget, received_at, trace): (Budget, Moment, TraceContext),
) -> Result<HttpResponse, Reject> {
    let recorded = !Span::current().is_none();
    let left = shared.events_quota.take(source_id).map_err(Reject::OverQuota)?;
    let (body, admitted) = body(request, payload, shared, budget).await?;
    let event = part(recorded, || tracing::info_span!("validate")).in_scope(|| validate(&body))?;
    let trace_id = trace.trace_id().to_owned();
    if recorded {
        Span::current().record("source.id", source_id.as_str()).record("event.id", event.id.as_str());
    }
    let envelope = Envelope { source_id: source_id.clone(), event, received_at, trace };
    let accepting = shared.accept.accept(&envelope, budget).instrument(part(recorded, || tracing::info_span!("accept")));
    if accepting.await.is_err() {
        if !recorded {
            let times = (received_at, shared.clock.now());
            chassis::trace::told_afterwards(&envelope.trace, [Past { failure: Some(NO_WAY.to_owned()), ..Past::wait("receive", times) }]);
        }
        return Err(Reject::NoDurablePath);
    }
    drop(admitted);
    let mut response = HttpResponse::Accepted();
    for header in quota_headers(left) {
        response.insert_header(header);
    }
    Ok(response.json(Accepted { id: envelope.event.id, status: "accepted", trace_id }))
}

/// The span of a request.
fn request_span() -> Span {
    tracing::info_span!(
        "receive",
        otel.kind = "server",
        http.request.method = "POST",
        http.route = "/api/events",
        http.response.status_code = field::Empty,
        source.id = field::Empty,
        event.id = field::Empty,
    )
}

/// The caller's trace context, if it sent a valid one.
fn parent(request: &HttpRequest) -> Option<TraceContext> {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    TraceContext::parse(text("traceparent")?, text("tracestate"))
}

/// What is left of a quota, as headers.
pub(crate) fn quota_headers(left: Left) -> [(HeaderName, HeaderValue); 3] {
    let seconds = left.reset.as_secs() + u64::from(left.reset.subsec_nanos() > 0);
    [
        (HeaderName::from_static("ratelimit-limit"), HeaderValue::from(left.limit)),
        (HeaderName::from_static("ratelimit-remaining"), HeaderValue::from(left.remaining)),
        (HeaderName::from_static("ratelimit-reset"), HeaderValue::from(seconds)),
    ]
}

/// Reads a JSON body within the bounds; the permit stands for its bytes while they are worked on.
pub(crate) async fn body<'a>(
    request: &HttpRequest,
    payload: web::Payload,
    shared: &'a Shared,
    budget: Budget,
) -> Result<(Bytes, Admitted<'a>), Reject> {
    let json = request
        .mime_type()
        .ok()
        .flatten()
        .is_some_and(|kind| kind.subtype() == "json" || kind.suffix().is_some_and(|suffix| suffix == "json"));
    if !json {
        return Err(Reject::NotJson);
    }
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    if declared.is_some_and(|length: usize| length > shared.body_bytes_max) {
        return Err(Reject::TooLarge(shared.body_bytes_max));
    }
    let admitted = shared.admission.admit(declared.unwrap_or(shared.body_bytes_max))?;
    let reading = read(payload, shared.body_bytes_max);
    let body = timeout_at(budget.body(), reading).await.map_err(|_| Reject::Slow)??;
    Ok((body, admitted))
}

/// Reads a body up to a size; one that came in one piece, as most do, is not copied.
async fn read(mut payload: web::Payload, most: usize) -> Result<Bytes, Reject> {
    let (mut whole, mut pieces) = (Bytes::new(), BytesMut::new());
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Reject::Malformed(error.to_string()))?;
        if whole.len().saturating_add(pieces.len()).saturating_add(chunk.len()) > most {
            return Err(Reject::TooLarge(most));
        }
        if whole.is_empty() && pieces.is_empty() {
            whole = chunk;
        } else {
            pieces.extend_from_slice(&std::mem::take(&mut whole));
            pieces.extend_from_slice(&chunk);
        }
    }
    Ok(if pieces.is_empty() { whole } else { pieces.freeze() })
}

/// A body as a JSON object of known fields, for the calls that are not about events.
pub(crate) async fn json<T: serde::de::DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
    shared: &Shared,
) -> Result<T, Reject> {
    let (body, _admitted) = body(request, payload, shared, Budget::new(shared.timeout)).await?;
    // A list of the right length would do for serde, its values taken as the fields in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Reject::Malformed("it is no object".to_owned()));
    }
    serde_json::from_slice(&body).map_err(|error| Reject::Malformed(error.to_string()))
}
