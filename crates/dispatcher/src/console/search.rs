//! Events of all sources: search by id, trace, source, state, name and reason.

use actix_web::{HttpRequest, HttpResponse, web};
use events_proxy_core::{DeadReason, State};
use maud::{Markup, html};
use storage::{Found, JournalRow};

use super::page::{Place, page, refused, trouble};
use super::sign_in::turn_away;
use super::words::{ago, plain};
use crate::operator::events::Asked;
use crate::operator::{Office, signed_in};

/// `GET /console/events`.
pub(super) async fn search(request: HttpRequest, asked: web::Query<Asked>, office: web::Data<Office>) -> HttpResponse {
    let Ok(session) = signed_in(&request, &office) else { return turn_away() };
    let search = match asked.understood() {
        Ok(search) => search,
        Err(problem) => return refused(&session.operator, Place::Events, &problem),
    };
    let Found { rows, next } = match office.store.search(&search).await {
        Ok(found) => found,
        Err(error) => return trouble(&session.operator, Place::Events, &error),
    };
    let now = office.clock.now();
    let content = html! {
        h1 { "Events" }
        (form(&asked))
        div.card {
            @if rows.is_empty() {
                p.empty { "Nothing matches. The journal follows acceptance within about a second." }
            } @else {
                table.stack {
                    thead { tr { th { "Event" } th { "State" } th { "Name" } th { "Source" } th.number { "Attempts" } th { "Received" } } }
                    tbody { @for row in &rows { (line(row, now)) } }
                }
            }
            @if let Some(next) = &next {
                div.pages { a href=(further(&asked, &next.to_string())) rel="next" { "Older ones →" } }
            }
        }
    };
    page(&session.operator, Place::Events, "Events", content)
}

/// What is looked for.
fn form(asked: &Asked) -> Markup {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    html! {
        form.filter role="search" {
            label.long { "Event or trace id" input name="id" value=(text(&asked.id)) maxlength="128"; }
            label { "Source" input name="source" value=(text(&asked.source)) maxlength="128"; }
            label { "Name" input name="name" value=(text(&asked.name)) maxlength="1000"; }
            label { "State" select name="state" {
                option value="" { "any" }
                @for state in State::ALL { option value=(state.as_str()) selected[asked.state.as_deref() == Some(state.as_str())] { (state.as_str()) } }
            } }
            label { "Dead because" select name="reason" {
                option value="" { "any" }
                @for reason in DeadReason::ALL { option value=(reason.as_str()) selected[asked.reason.as_deref() == Some(reason.as_str())] { (reason.as_str()) } }
            } }
            button { "Search" }
        }
    }
}

/// A row of the list.
fn line(row: &JournalRow, now: events_proxy_core::Moment) -> Markup {
    html! { tr {
        td.mono data-label="Event" { a href=(link(row)) { bdi { (plain(row.event_id.as_str())) } } }
        td data-label="State" { span.tag.(row.state.as_str()) { (row.state.as_str()) } @if let Some(reason) = row.dead_reason { " " span.soft { (reason.as_str()) } } }
        td data-label="Name" { bdi { (shortened(&row.name)) } }
        td data-label="Source" { bdi { (plain(row.source_id.as_str())) } }
        td.number data-label="Attempts" { (row.attempts.len()) }
        td.nowrap data-label="Received" { (ago(row.received_at, now)) }
    } }
}

/// The page of an event.
pub(super) fn link(row: &JournalRow) -> String {
    format!("/console/events/{}/{}", encoded(row.source_id.as_str()), encoded(row.event_id.as_str()))
}

/// The same search, further on.
fn further(asked: &Asked, cursor: &str) -> String {
    let fields = [
        ("id", &asked.id),
        ("source", &asked.source),
        ("name", &asked.name),
        ("state", &asked.state),
        ("reason", &asked.reason),
        ("from", &asked.from),
        ("to", &asked.to),
        ("limit", &asked.limit),
    ];
    let kept = fields.iter().filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={}&", encoded(value))));
    format!("/console/events?{}cursor={}", kept.collect::<String>(), encoded(cursor))
}

/// Percent-encodes all but what every part of a URL takes as it is.
pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The beginning of a long text, with nothing hidden in it.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 80;
    let text = plain(text);
    if text.chars().count() <= SHOWN { text.into_owned() } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::{encoded, shortened};

    #[test]
    fn ids_of_any_kind_make_one_part_of_a_path() {
        assert_eq!(encoded("a/b?c#d%e ü\"<"), "a%2Fb%3Fc%23d%25e%20%C3%BC%22%3C");
    }

    #[test]
    fn long_names_are_shortened_between_characters() {
        assert_eq!(shortened(&"ü".repeat(81)).chars().count(), 81);
        assert_eq!(shortened("short"), "short");
    }
}
