//! One event: how it stands, where its time went, each attempt, what is kept of it, and the way to replay it.

use actix_web::{HttpRequest, HttpResponse, web};
use auth::operator::Role;
use events_proxy_core::envelope::Record;
use events_proxy_core::{Attempt, Moment, State};
use maud::{Markup, html};
use serde_json::Value;
use storage::JournalRow;

use super::failing::why;
use super::page::{Mood, Place, page, refused, verdict};
use super::sign_in::turn_away;
use super::timeline::timeline;
use super::words::{ago, clock, counted, plain, span};
use crate::operator::events::{payload, whole};
use crate::operator::{Office, signed_in};

/// `GET /console/events/{source}/{id}`.
pub(super) async fn event(request: HttpRequest, key: web::Path<(String, String)>, office: web::Data<Office>) -> HttpResponse {
    let Ok(session) = signed_in(&request, &office) else { return turn_away() };
    let (row, record) = match whole(&office, key.into_inner()).await {
        Ok(whole) => whole,
        Err(problem) => return refused(&session.operator, Place::Events, &problem),
    };
    let may_act = session.operator.role == Role::Operator && record.is_some();
    let now = office.clock.now();
    let content = html! {
        h1 { bdi.mono { (plain(row.event_id.as_str())) } " " span.tag.(row.state.as_str()) { (row.state.as_str()) } }
        (standing(&row, now, may_act))
        section.card { h2 { "Where its time went" } (timeline(&row, now)) }
        (attempts(&row))
        (facts(&row, &office))
        @if let Some(record) = &record { (kept(record, &office)) }
    };
    page(&session.operator, Place::Events, &plain(row.event_id.as_str()), content)
}

/// How it stands, in a sentence, with what can be done.
fn standing(row: &JournalRow, now: Moment, may_act: bool) -> Markup {
    let tried = counted(u64::try_from(row.attempts.len()).unwrap_or(u64::MAX), "attempt");
    match row.state {
        State::Delivered => {
            let took = row.settled_at.map(|at| span(at.since(row.received_at))).unwrap_or_default();
            verdict(Mood::Good, "Delivered", html! { "By " (tried) ", " (took) " after its receipt." })
        }
        State::Dead => {
            let reason = row.dead_reason.map(|reason| reason.as_str()).unwrap_or_default();
            let told = html! { bdi { (plain(why(row))) } @if may_act { (replay("dead", "Replay it", row)) } };
            verdict(Mood::Bad, &format!("Dead: {reason}"), told)
        }
        State::Parked => {
            let due = row.next_attempt_at.filter(|due| *due > now);
            let told = html! {
                "The next attempt comes " @if let Some(due) = due { "in " (span(due.since(now))) ", at " (clock(due)) " UTC" } @else { "at once" } "."
                div { "The last one: " bdi { (plain(why(row))) } }
                @if may_act { (replay("parked", "Try it now", row)) }
            };
            verdict(Mood::Warn, "Will be tried again", told)
        }
        state @ (State::Accepted | State::Published) => {
            verdict(Mood::Plain, "On its way", html! { "It is " (state.as_str()) "; it was received " (ago(row.received_at, now)) "." })
        }
    }
}

/// What is known of it.
fn facts(row: &JournalRow, office: &Office) -> Markup {
    html! {
        section.card { h2 { "What is known" } dl.facts.wide {
            dt { "Name" } dd { bdi { (plain(&row.name)) } }
            dt { "Source" } dd { bdi { (plain(row.source_id.as_str())) } }
            dt { "Received" } dd { (clock(row.received_at)) " UTC" }
            @if let Some(brand) = &row.brand { dt { "Brand" } dd { bdi { (plain(brand)) } } }
            dt { "On the topic" } dd { "partition " (row.partition) ", offset " (row.offset) }
            dt { "Trace" } dd.mono { @if let Some(url) = office.trace_url(&row.trace_id) { a href=(url) rel="noreferrer" { (row.trace_id) } } @else { (row.trace_id) } }
        } }
    }
}

/// Each attempt.
fn attempts(row: &JournalRow) -> Markup {
    html! {
        section.card {
            h2 { "Attempts" }
            @if row.attempts.is_empty() { p.empty { "None yet." } } @else { table.stack {
                thead { tr { th.number { "No." } th { "Outcome" } th.number { "Status" } th { "What was said" } th.number { "Took" } th { "Began, UTC" } } }
                tbody { @for attempt in &row.attempts { (tried(attempt)) } }
            } }
        }
    }
}

/// An attempt.
fn tried(attempt: &Attempt) -> Markup {
    html! { tr {
        td.number data-label="No." { (attempt.number) }
        td data-label="Outcome" { span.tag.(attempt.outcome.as_str()) { (attempt.outcome.as_str()) } }
        td.number data-label="Status" { @if let Some(status) = attempt.status { (status) } @else { "–" } }
        td data-label="What was said" { @if attempt.detail.is_empty() { "–" } @else { bdi { (plain(&attempt.detail)) } } }
        td.number.nowrap data-label="Took" { (span(attempt.duration())) }
        td.nowrap data-label="Began, UTC" { (clock(attempt.started_at)) }
    } }
}

/// What is kept of its record: the body apart from what stands around it, for it is text that may be JSON itself.
fn kept(record: &Record, office: &Office) -> Markup {
    let mut shown = payload(record, &office.masked);
    let body = shown.as_object_mut().and_then(|fields| fields.remove("body"));
    let around = if let Value::String(text) = &shown { text.clone() } else { format!("{shown:#}") };
    html! {
        section.card {
            h2 { "Payload" }
            pre tabindex="0" { (plain(&around)) }
            @if let Some(body) = body { h3 { "Its body" } pre tabindex="0" { (plain(&laid_out(&body))) } }
        }
    }
}

/// A body as text; laid out where it is JSON.
fn laid_out(body: &Value) -> String {
    let Value::String(text) = body else { return format!("{body:#}") };
    match serde_json::from_str::<Value>(text) {
        Ok(json @ (Value::Object(_) | Value::Array(_))) => format!("{json:#}"),
        Ok(_) | Err(_) => text.clone(),
    }
}

/// The order to send it again.
fn replay(of: &str, label: &str, row: &JournalRow) -> Markup {
    html! {
        form method="post" action="/console/replays" data-confirm="Send this event to the target again?" {
            input type="hidden" name="of" value=(of);
            input type="hidden" name="sourceId" value=(row.source_id.as_str());
            input type="hidden" name="eventId" value=(row.event_id.as_str());
            button { (label) }
        }
    }
}
