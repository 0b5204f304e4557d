//! The first page: is anything lost, how old is the oldest event, when will the backlog be gone, what is failing and why.

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use chassis::figures::grouped;
use maud::{Markup, html};

use super::chart::chart;
use super::failing;
use super::live::follow;
use super::page::{Mood, Place, page, verdict};
use super::sign_in::turn_away;
use super::words::{counted, rate, span};
use crate::operator::figures::Figures;
use crate::operator::{Office, signed_in};

/// `GET /console/`.
pub(super) async fn overview(request: HttpRequest, office: web::Data<Office>) -> HttpResponse {
    let Ok(session) = signed_in(&request, &office) else { return turn_away() };
    let figures = office.figures.fresh(office.clock.now()).await;
    let content = html! {
        div.title {
            h1 { "Overview" }
            p.status aria-live="polite" { span data-live-status { "as of " (figures.at) ": load the page again for newer figures" } }
        }
        div data-live="/console/live" { (live(&figures, &office)) }
    };
    page(&session.operator, Place::Overview, "Overview", content)
}

/// `GET /console/live`: the live part again and again.
pub(super) async fn events(request: HttpRequest, office: web::Data<Office>) -> HttpResponse {
    if signed_in(&request, &office).is_err() {
        return HttpResponse::Unauthorized().finish();
    }
    follow(&request, office, async |office| Some(live(&office.figures.at_hand(), office)))
}

/// The part that changes.
fn live(figures: &Figures, office: &Office) -> Markup {
    let limit = office.permitted();
    let pending = figures.pending();
    let oldest = figures.oldest.map(|oldest| span(figures.at.since(oldest)));
    let gone_in = if pending == 0 { "–".to_owned() } else { span(limit.drain_time(pending)) };
    let at =
        if figures.parked > 0 { "at the full limit; parked ones when they are due" } else { "at the full limit, if nothing more arrives" };
    let dead = figures.dead_letters();
    html! {
        (said(figures, oldest.as_deref()))
        div.grid {
            (card("pending", "Pending", &grouped(pending), "", html! { (grouped(figures.backlog)) " on the topic, " (grouped(figures.parked)) " parked" }))
            (card("oldest", "Oldest event waits", oldest.as_deref().unwrap_or("–"), "", html! { "since it was received" }))
            (card("gone", "Backlog is gone in", &gone_in, "", html! { (at) }))
            (card("dead", "Dead letters", &grouped(dead), if dead > 0 { "bad-text" } else { "" }, html! {
                @if dead > 0 { a href="/console/dead" { "Look at them, replay them" } } @else { "none" }
            }))
        }
        section.card {
            h2 { "Events per second, all replicas" }
            (chart(&figures.rates, figures.at, limit.per_second()))
        }
        (troubles(figures))
        (replica(figures, office))
    }
}

/// One sentence that answers the question one comes with.
fn said(figures: &Figures, oldest: Option<&str>) -> Markup {
    let (dead, astray) = (figures.dead_letters(), figures.balance.unaccounted());
    if let Some(trouble) = &figures.trouble {
        let why = format!("Nothing is sent meanwhile, and nothing is lost. {trouble}");
        verdict(Mood::Bad, "The storage does not answer", html! { (why) })
    } else if astray > 0 {
        let said =
            format!("{} unaccounted for", if astray == 1 { "1 event is".to_owned() } else { format!("{} events are", grouped(astray)) });
        verdict(Mood::Bad, &said, html! { code { "events-proxy reconcile" } " names them." })
    } else if figures.numbers.target_away {
        let why = "Events wait on the topic and nothing is lost; one attempt at a time finds out when it is back.";
        verdict(Mood::Bad, "The target does not work", html! { (why) })
    } else if dead > 0 {
        let said = format!("Nothing is lost; {} {} dead", counted(dead, "event"), if dead == 1 { "is" } else { "are" });
        verdict(Mood::Warn, &said, html! { "Payload, reason and every attempt are kept. Replay them when their cause is gone." })
    } else if figures.parked > 0 {
        let why = format!("{} failed and will be tried again.", counted(figures.parked, "event"));
        verdict(Mood::Good, "Nothing is lost", html! { (why) })
    } else if figures.pending() > 0 {
        verdict(Mood::Good, "Nothing is lost", html! { "The oldest event waits " (oldest.unwrap_or("a moment")) "." })
    } else {
        verdict(Mood::Good, "Nothing waits", html! { "Every accepted event was delivered." })
    }
}

/// What is failing and why: the newest of those that are parked or dead.
fn troubles(figures: &Figures) -> Markup {
    html! {
        section.card {
            h2 { "What is failing, and why" }
            @if figures.failing.is_empty() { p.empty { "Nothing." } } @else { (failing::table(&figures.failing, figures.at)) }
            @if !figures.dead.is_empty() {
                p.note { "Dead in all: " @for group in &figures.dead {
                    a.group href=(format!("/console/dead#{}", group.reason.as_str())) { (grouped(group.count)) " " (group.reason.as_str()) } " "
                } }
            }
        }
    }
}

/// What the replica does that answers.
fn replica(figures: &Figures, office: &Office) -> Markup {
    let numbers = &figures.numbers;
    html! {
        section.card {
            h2 { "This replica" }
            dl.facts.wide {
                dt { "Target" } dd.mono { (office.target) }
                dt { "Limit used" } dd { (format!("{:.0} %", numbers.limit_used * 100.0)) " of " (rate(office.permitted().per_second())) " / s" }
                dt { "In flight" } dd { (counted(numbers.in_flight, "attempt")) }
                dt { "Since its start" } dd { (grouped(numbers.delivered)) " delivered, " (counted(numbers.retried, "attempt")) " repeated" }
            }
        }
    }
}

/// A figure with its name and a note.
fn card(id: &str, label: &str, figure: &str, class: &str, note: Markup) -> Markup {
    html! { div.card id=(id) { div.label { (label) } div.figure.(class) { (figure) } div.note { (note) } } }
}
