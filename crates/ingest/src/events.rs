//! Where is an event: what the journal tells its source. What the target or the network said of it, words of systems inside, is
//! for operators alone.

use actix_web::{HttpRequest, HttpResponse, web};
use auth::access::Caller;
use events_proxy_core::event::FieldError;
use events_proxy_core::{Attempt, DeadReason, EventId, Moment, State};
use serde::Serialize;
use storage::{Cursor, JournalRow, Query};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use crate::authenticate::authenticate;
use crate::quota::Left;
use crate::receive::quota_headers;
use crate::reject::{Problem, Reject};
use crate::shared::Shared;
use chassis::lifecycle::sentence;

/// How many events a page has when nothing is said.
const PAGE_DEFAULT: u32 = 50;

/// What is known of an event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Known {
    /// The event's id.
    id: String,
    /// Its name.
    name: String,
    /// `accepted`, `published`, `parked`, `delivered` or `dead`.
    #[schema(pattern = "^(accepted|published|parked|delivered|dead)$")]
    state: &'static str,
    /// The trace to look for.
    trace_id: String,
    /// The brand it was delivered with.
    brand: Option<String>,
    /// When it went through which stage, as far as is known.
    stages: Stages,
    /// Each attempt at delivery.
    attempts: Vec<Tried>,
    /// When a parked event is tried again.
    #[schema(format = DateTime)]
    next_attempt_at: Option<String>,
    /// Why a dead event is dead.
    reason: Option<String>,
}

/// When an event went through the stages that the journal knows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stages {
    /// When its request came.
    #[schema(format = DateTime)]
    receive: String,
    /// When it was durable.
    #[schema(format = DateTime)]
    accept: Option<String>,
    /// When the topic had it.
    #[schema(format = DateTime)]
    publish: Option<String>,
    /// When it was read from the topic.
    #[schema(format = DateTime)]
    consume: Option<String>,
    /// When its end was recorded.
    #[schema(format = DateTime)]
    settle: Option<String>,
}

/// An attempt at delivery as the source reads it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tried {
    /// Its number, from 1.
    number: u32,
    /// When it began.
    #[schema(format = DateTime)]
    started_at: String,
    /// How long it took.
    duration_ms: u64,
    /// How it came out.
    #[schema(pattern = "^(delivered|refused|throttled|unavailable|unknown)$")]
    outcome: &'static str,
    /// The HTTP status, if an answer came.
    status: Option<u16>,
}

/// A page of events, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page {
    /// The events.
    items: Vec<Known>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

impl From<JournalRow> for Known {
    fn from(row: JournalRow) -> Self {
        let at = |moment: Option<Moment>| moment.map(|at| at.to_string());
        Self {
            stages: Stages {
                receive: row.received_at.to_string(),
                accept: at(row.accepted_at),
                publish: at(row.published_at),
                consume: at(row.consumed_at),
                settle: at(row.settled_at),
            },
            id: row.event_id.as_str().to_owned(),
            name: row.name,
            state: row.state.as_str(),
            trace_id: row.trace_id,
            brand: row.brand,
            attempts: row.attempts.into_iter().map(Tried::from).collect(),
            next_attempt_at: at(row.next_attempt_at),
            reason: row.dead_reason.map(|reason| reason.as_str().to_owned()),
        }
    }
}

impl From<Attempt> for Tried {
    fn from(attempt: Attempt) -> Self {
        Self {
            number: attempt.number,
            started_at: attempt.started_at.to_string(),
            duration_ms: attempt.duration_us / 1_000,
            outcome: attempt.outcome.as_str(),
            status: attempt.status,
        }
    }
}

/// `GET /api/events/{id}`.
#[utoipa::path(
    get, path = "/api/events/{id}", tag = "events", security(("bearer" = [])), params(("id" = String, Path, description = "The event's id", example = "order-1")),
    responses(
        (status = 200, description = "Where the event is", body = Known),
        (status = 401, description = "The access token is missing, expired or invalid", body = Problem),
        (status = 404, description = "The journal does not know it (yet), or it is another source's", body = Problem),
        (status = 429, description = "More than the source may look up", body = Problem),
        (status = 503, description = "The storage does not answer, or not in time", body = Problem),
    )
)]
pub(crate) async fn one(request: HttpRequest, id: web::Path<String>, shared: web::Data<Shared>) -> Result<HttpResponse, Reject> {
    let (caller, left) = admit(&request, &shared)?;
    let id = EventId::new(id.into_inner());
    let found = shared.in_time(async { shared.store.event(&caller.source_id, &id).await.map_err(|error| unanswered(&error)) }).await?;
    let row = found.ok_or_else(|| Reject::NoEvent(missing(shared.waiting())))?;
    Ok(told(left, &Known::from(row)))
}

/// Tells who looks up, and takes one look-up of the source's quota.
fn admit(request: &HttpRequest, shared: &Shared) -> Result<(Caller, Left), Reject> {
    let caller = authenticate(request, &shared.keys, shared.clock.now())?;
    let left = shared.look_ups_quota.take(&caller.source_id).map_err(Reject::OverQuota)?;
    Ok((caller, left))
}

/// An answer, with what is left of the quota.
fn told(left: Left, body: &impl Serialize) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    for header in quota_headers(left) {
        response.insert_header(header);
    }
    response.json(body)
}

/// What a look-up that misses says: how far behind the journal is.
fn missing(waiting: u64) -> String {
    if waiting == 0 {
        "the journal does not know this event; it follows acceptance within about a second".to_owned()
    } else {
        format!("the journal does not know this event yet, or it was never accepted; {waiting} accepted events are not in the journal yet")
    }
}

/// `GET /api/events`.
#[utoipa::path(
    get, path = "/api/events", tag = "events", security(("bearer" = [])),
    params(
        ("state" = Option<String>, Query, pattern = "^(accepted|published|parked|delivered|dead)$", description = "accepted, published, parked, delivered or dead"),
        ("name" = Option<String>, Query, description = "Of this name"),
        (
            "reason" = Option<String>, Query, pattern = "^(refused|attempts_exhausted|undecodable|unpublishable)$",
            description = "Dead for this reason: refused, attempts_exhausted, undecodable or unpublishable",
        ),
        ("from" = Option<String>, Query, format = DateTime, description = "Received at or after, RFC 3339"),
        ("to" = Option<String>, Query, format = DateTime, description = "Received before, RFC 3339"),
        ("cursor" = Option<String>, Query, pattern = r"^-?[0-9]{1,18}\.", description = "Where the last page ended"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "1 to 200"),
    ),
    responses(
        (status = 200, description = "One's own events, newest first", body = Page),
        (status = 400, description = "Parameters are wrong; all are listed", body = Problem),
        (status = 401, description = "The access token is missing, expired or invalid", body = Problem),
        (status = 429, description = "More than the source may look up", body = Problem),
        (status = 503, description = "The storage does not answer, or not in time", body = Problem),
    )
)]
pub(crate) async fn page(request: HttpRequest, shared: web::Data<Shared>) -> Result<HttpResponse, Reject> {
    let (caller, left) = admit(&request, &shared)?;
    let query = query(request.query_string())?;
    let asking = async { shared.store.events(&caller.source_id, &query).await.map_err(|error| unanswered(&error)) };
    let page = shared.in_time(asking).await?;
    let cursor = page.next.map(|cursor| format!("{}.{}", cursor.received_at.as_micros(), cursor.event_id.as_str()));
    Ok(told(left, &Page { items: page.rows.into_iter().map(Known::from).collect(), cursor }))
}

/// The storage did not answer.
fn unanswered(error: &storage::Error) -> Reject {
    tracing::warn!(error = sentence(error), "a look-up failed: the storage does not answer");
    Reject::Storage
}

/// Reads the parameters of a page, all mistakes at once.
fn query(text: &str) -> Result<Query, Reject> {
    let parameters = web::Query::<Vec<(String, String)>>::from_query(text).map_err(|error| Reject::Malformed(error.to_string()))?;
    let mut query = Query { limit: PAGE_DEFAULT, ..Query::default() };
    let mut mistakes = Vec::new();
    for (key, value) in parameters.into_inner() {
        let known = match key.as_str() {
            "state" => {
                State::parse(&value).map(|state| query.state = Some(state)).ok_or("must be accepted, published, parked, delivered or dead")
            }
            "name" => {
                query.name = Some(value);
                Ok(())
            }
            "reason" => DeadReason::parse(&value).map(|reason| query.reason = Some(reason)).ok_or("must be a reason that dead events have"),
            "from" => moment(&value).map(|moment| query.from = Some(moment)).ok_or("must be a time as RFC 3339 writes it"),
            "to" => moment(&value).map(|moment| query.to = Some(moment)).ok_or("must be a time as RFC 3339 writes it"),
            "cursor" => cursor(&value).map(|cursor| query.cursor = Some(cursor)).ok_or("must be the `cursor` of a page"),
            "limit" => limit(&value).map(|limit| query.limit = limit).ok_or("must be a whole number from 1 to 200"),
            _ => Err("is not known; there are state, name, reason, from, to, cursor and limit"),
        };
        if let Err(message) = known {
            mistakes.push(FieldError { field: key, message: message.to_owned() });
        }
    }
    if mistakes.is_empty() { Ok(query) } else { Err(Reject::Fields(mistakes)) }
}

/// Reads a time.
fn moment(text: &str) -> Option<Moment> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000).ok().map(Moment::from_micros)
}

/// Reads a page's end.
fn cursor(text: &str) -> Option<Cursor> {
    let (micros, id) = text.split_once('.')?;
    Some(Cursor { received_at: Moment::from_micros(micros.parse().ok()?), event_id: EventId::new(id) })
}

/// Reads a page's length.
fn limit(text: &str) -> Option<u32> {
    text.parse().ok().filter(|limit| (1..=storage::PAGE_ROWS_MAX).contains(limit))
}
