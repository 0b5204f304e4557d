//! The first page: is anything lost, how old is the oldest event, when will the backlog be gone, what is failing and why.

use std::time::Duration;

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use chassis::figures::grouped;
use futures_util::{Stream, StreamExt, stream};
use maud::{Markup, html};
use tokio::sync::OwnedSemaphorePermit;

use super::chart::curve;
use super::page::{Place, page};
use super::rate;
use super::sign_in::turn_away;
use super::timeline::span;
use crate::operator::figures::Figures;
use crate::operator::{Office, signed_in};

/// `GET /console/`.
pub(super) async fn overview(request: HttpRequest, office: web::Data<Office>) -> HttpResponse {
    let Ok(session) = signed_in(&request, &office) else { return turn_away() };
    let figures = office.figures.borrow().clone();
    let content = html! {
        h1 { "Overview" }
        div.live data-live="/console/live" { (live(&figures, &office)) }
        p.soft aria-live="polite" { span data-live-status { "not live: this page needs its script for that" } }
    };
    page(&session.operator, Place::Overview, "Overview", content)
}

/// `GET /console/live`: the live part again and again, as server-sent events.
pub(super) async fn events(request: HttpRequest, office: web::Data<Office>) -> HttpResponse {
    if signed_in(&request, &office).is_err() {
        return HttpResponse::Unauthorized().finish();
    }
    // Each viewer holds a connection and a rendering each second, so they have a number.
    let Ok(place) = std::sync::Arc::clone(&office.viewers).try_acquire_owned() else {
        return HttpResponse::ServiceUnavailable().insert_header(("retry-after", "5")).finish();
    };
    HttpResponse::Ok().content_type("text/event-stream").insert_header(("cache-control", "no-store")).streaming(renderings(office, place))
}

/// A rendering for each new set of figures.
fn renderings(office: web::Data<Office>, place: OwnedSemaphorePermit) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    let figures = office.figures.clone();
    stream::unfold((figures, office, place), async |(mut figures, office, place)| {
        figures.changed().await.ok()?;
        let markup = live(&figures.borrow_and_update().clone(), &office).into_string();
        Some((Bytes::from(format!("data: {}\n\n", markup.replace('\n', " "))), (figures, office, place)))
    })
    .map(Ok)
}

/// The part that changes.
fn live(figures: &Figures, office: &Office) -> Markup {
    let limit = office.permitted();
    let permitted = limit.per_second();
    let oldest = figures.oldest.map(|oldest| figures.at.since(oldest));
    let drains_in = limit.drain_time(figures.pending());
    let settling = figures.settling.last().copied().unwrap_or_default();
    html! {
        (verdict(figures, oldest))
        div.grid {
            (card("Pending", &grouped(figures.pending()), &format!("{} on the topic, {} parked", grouped(figures.backlog), grouped(figures.parked))))
            (card("Oldest event waits", &oldest.map_or_else(|| "–".to_owned(), span), "since it was received"))
            (card("Backlog is gone in", &gone_in(figures.pending(), drains_in), &format!("at the permitted {} / s", rate(permitted))))
            (card("Settled", &format!("{} / s", rate(settling)), &format!("{:.0} % of the limit used by this replica", figures.numbers.limit_used * 100.0)))
        }
        div.card {
            h2 { "Settled per second, all replicas" }
            (curve(&figures.settling, Some(permitted), &format!("settled events per second, now {}; the limit is {}", rate(settling), rate(permitted))))
            p.note { "The dashed line is what the target permits. Arriving now: " (rate(figures.arriving.last().copied().unwrap_or_default())) " / s." }
        }
        (failing(figures))
        div.card {
            h2 { "This replica" }
            dl.facts {
                dt { "In flight" } dd { (grouped(figures.numbers.in_flight)) " attempts wait for the target's answer" }
                dt { "Delivered" } dd { (grouped(figures.numbers.delivered)) " since its start, " (grouped(figures.numbers.retried)) " of the attempts were repeated ones" }
                dt { "Target" } dd.mono { (office.target) }
            }
        }
    }
}

/// One sentence that answers the question one comes with.
fn verdict(figures: &Figures, oldest: Option<Duration>) -> Markup {
    let (class, said, why) = if let Some(trouble) = &figures.trouble {
        ("bad", "The storage does not answer", format!("Nothing is sent meanwhile, and nothing is lost. {trouble}"))
    } else if figures.balance.unaccounted() > 0 {
        (
            "bad",
            "Events are unaccounted for",
            format!("{} of them: `events-proxy reconcile` names them.", grouped(figures.balance.unaccounted())),
        )
    } else if figures.numbers.target_away {
        (
            "bad",
            "The target does not work",
            "Nothing is judged meanwhile and nothing is lost; one attempt at a time finds out when it is back.".to_owned(),
        )
    } else if figures.dead_letters() > 0 {
        ("warn", "Nothing is lost; some events are dead", "They keep payload and reason, and can be replayed.".to_owned())
    } else if figures.pending() > 0 {
        ("", "Nothing is lost", format!("The oldest event waits {}.", oldest.map_or_else(|| "a moment".to_owned(), span)))
    } else {
        ("", "Nothing waits", "Every accepted event has ended.".to_owned())
    };
    html! { div.card.verdict.(class) role="status" { div { strong { (said) } " " span.soft { (why) } } } }
}

/// What is failing and why.
fn failing(figures: &Figures) -> Markup {
    html! {
        div.card {
            h2 { "Dead letters" }
            @if figures.dead.is_empty() { p.soft { "None." } } @else {
                div.scroll { table {
                    thead { tr { th { "reason" } th.number { "events" } th { "last one" } } }
                    tbody { @for group in &figures.dead { tr {
                        td { a href=(format!("/console/dead#{}", group.reason.as_str())) { span.tag.dead { (group.reason.as_str()) } } }
                        td.number { (grouped(group.count)) }
                        td { (span(figures.at.since(group.last_at))) " ago" }
                    } } }
                } }
            }
        }
    }
}

/// When the backlog is gone, in words.
fn gone_in(pending: u64, time: Duration) -> String {
    if pending == 0 { "now".to_owned() } else { span(time) }
}

/// A figure with its name and a note.
fn card(label: &str, figure: &str, note: &str) -> Markup {
    html! { div.card { div.label { (label) } div.figure { (figure) } div.note { (note) } } }
}
