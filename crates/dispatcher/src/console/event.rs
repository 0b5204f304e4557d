//! One event: where its time went, each attempt, what is kept of it, and the way to replay it.

use actix_web::{HttpRequest, HttpResponse, web};
use events_proxy_core::envelope::Record;
use events_proxy_core::{Attempt, State};
use maud::{Markup, html};
use storage::JournalRow;

use super::page::{Place, page, refused};
use super::sign_in::turn_away;
use super::timeline::{span, timeline};
use crate::operator::events::{payload, whole};
use crate::operator::{Office, signed_in};

/// `GET /console/events/{source}/{id}`.
pub(super) async fn event(request: HttpRequest, key: web::Path<(String, String)>, office: web::Data<Office>) -> HttpResponse {
    let Ok(session) = signed_in(&request, &office) else { return turn_away() };
    let (row, record) = match whole(&office, key.into_inner()).await {
        Ok(whole) => whole,
        Err(problem) => return refused(&session.operator, Place::Events, &problem),
    };
    let may_act = session.operator.role == auth::operator::Role::Operator;
    let content = html! {
        h1 { bdi.mono { (row.event_id.as_str()) } " " span.tag.(row.state.as_str()) { (row.state.as_str()) } }
        (facts(&row, &office))
        div.card { h2 { "Where its time went" } div.scroll { (timeline(&row, office.clock.now())) } }
        (attempts(&row.attempts))
        @if let Some(record) = &record { (kept(record, &office)) }
        @if may_act && record.is_some() { (replay(&row)) }
    };
    page(&session.operator, Place::Events, row.event_id.as_str(), content)
}

/// What is known of it.
fn facts(row: &JournalRow, office: &Office) -> Markup {
    html! {
        div.card { dl.facts {
            dt { "Source" } dd { bdi { (row.source_id.as_str()) } }
            dt { "Name" } dd { bdi { (row.name) } }
            dt { "Received" } dd { (row.received_at) }
            @if let Some(brand) = &row.brand { dt { "Brand" } dd { bdi { (brand) } } }
            dt { "Trace" } dd.mono { @if let Some(url) = office.trace_url(&row.trace_id) { a href=(url) rel="noreferrer" { (row.trace_id) } } @else { (row.trace_id) } }
            dt { "On the topic" } dd { "partition " (row.partition) ", offset " (row.offset) }
            @if let Some(reason) = row.dead_reason { dt { "Dead because" } dd.bad-text { (reason.as_str()) } }
            @if let Some(detail) = &row.dead_detail { dt { "What was said" } dd { bdi { (detail) } } }
            @if let (State::Parked, Some(due)) = (row.state, row.next_attempt_at) { dt { "Next attempt" } dd { (due) } }
        } }
    }
}

/// Each attempt.
fn attempts(attempts: &[Attempt]) -> Markup {
    html! {
        div.card {
            h2 { "Attempts" }
            @if attempts.is_empty() { p.soft { "None yet." } } @else { div.scroll { table {
                thead { tr { th.number { "no." } th { "began" } th { "took" } th { "outcome" } th { "status" } th { "what was said" } } }
                tbody { @for attempt in attempts { tr {
                    td.number { (attempt.number) }
                    td { (attempt.started_at) }
                    td { (span(attempt.duration())) }
                    td { span.tag.(attempt.outcome.as_str()) { (attempt.outcome.as_str()) } }
                    td { @if let Some(status) = attempt.status { (status) } @else { "–" } }
                    td { bdi { (attempt.detail) } }
                } } }
            } } }
        }
    }
}

/// What is kept of its record.
fn kept(record: &Record, office: &Office) -> Markup {
    let shown = payload(record, &office.masked);
    let text = if let serde_json::Value::String(text) = &shown { text.clone() } else { format!("{shown:#}") };
    html! { div.card { h2 { "Payload" } pre tabindex="0" { (text) } } }
}

/// The order to replay it.
fn replay(row: &JournalRow) -> Markup {
    let of = if row.state == State::Parked { "parked" } else { "dead" };
    html! {
        form method="post" action="/console/replays" data-confirm="Send this event to the target again?" {
            input type="hidden" name="of" value=(of);
            input type="hidden" name="sourceId" value=(row.source_id.as_str());
            input type="hidden" name="eventId" value=(row.event_id.as_str());
            button { @if of == "parked" { "Try it now" } @else { "Replay it" } }
        }
    }
}
