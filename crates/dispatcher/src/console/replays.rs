//! Replays: who ordered which, and how far each is.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use auth::operator::Role;
use chassis::figures::grouped;
use events_proxy_core::Moment;
use maud::{Markup, html};
use storage::{Choice, Replay, ReplayState};

use super::live::follow;
use super::order::described;
use super::page::{Place, page, refused, trouble};
use super::sign_in::turn_away;
use super::words::{ago, counted, span};
use crate::operator::replays::{LISTED, Order, cancel_replay, order_replay};
use crate::operator::{Office, Problem, may_act, signed_in};

/// `GET /console/replays`.
pub(super) async fn list(request: HttpRequest, office: web::Data<Office>) -> HttpResponse {
    let Ok(session) = signed_in(&request, &office) else { return turn_away() };
    let replays = match office.store.replays(LISTED).await {
        Ok(replays) => replays,
        Err(error) => return trouble(&session.operator, Place::Replays, &error),
    };
    let role = session.operator.role;
    let runs = replays.iter().any(|replay| replay.state == ReplayState::Running);
    let content = html! {
        div.title {
            h1 { "Replays" }
            @if runs { p.status aria-live="polite" { span data-live-status { "load the page again to see how far they are" } } }
        }
        // Those that have ended do not change any more.
        div data-live=[runs.then_some("/console/replays/live")] { (listed(&replays, office.clock.now(), role)) }
    };
    page(&session.operator, Place::Replays, "Replays", content)
}

/// `GET /console/replays/live`: the list again and again.
pub(super) async fn events(request: HttpRequest, office: web::Data<Office>) -> HttpResponse {
    let Ok(session) = signed_in(&request, &office) else { return HttpResponse::Unauthorized().finish() };
    let role = session.operator.role;
    follow(&request, office, async move |office| {
        let replays = office.store.replays(LISTED).await.ok()?;
        Some(listed(&replays, office.clock.now(), role))
    })
}

/// `POST /console/replays`.
pub(super) async fn begin(request: HttpRequest, order: web::Form<Order>, office: web::Data<Office>) -> HttpResponse {
    let done = async {
        let session = may_act(&request, &office)?;
        order_replay(&office, session.operator.name, order.into_inner().understood()?).await
    };
    answered(&request, &office, done.await)
}

/// `POST /console/replays/{id}/cancel`.
pub(super) async fn cancel(request: HttpRequest, id: web::Path<String>, office: web::Data<Office>) -> HttpResponse {
    let done = async {
        let session = may_act(&request, &office)?;
        cancel_replay(&office, &session.operator.name, &id).await
    };
    answered(&request, &office, done.await)
}

/// Leads to the replay, or says why there is none.
fn answered(request: &HttpRequest, office: &Office, done: Result<Replay, Problem>) -> HttpResponse {
    match (done, signed_in(request, office)) {
        (Ok(replay), _) => HttpResponse::SeeOther().insert_header((LOCATION, format!("/console/replays#{}", replay.id))).finish(),
        (Err(problem), Ok(session)) => refused(&session.operator, Place::Replays, &problem),
        (Err(_), Err(_)) => turn_away(),
    }
}

/// All of them, the newest first.
fn listed(replays: &[Replay], now: Moment, role: Role) -> Markup {
    html! {
        @if replays.is_empty() { div.card { p.empty { "None yet. A replay begins at " a href="/console/dead" { "the dead letters" } "." } } }
        @for replay in replays { (one(replay, now, role)) }
    }
}

/// A replay.
fn one(replay: &Replay, now: Moment, role: Role) -> Markup {
    let handled = replay.moved + replay.skipped;
    // What came later than the order is not meant by it, which goes without saying.
    let choice = Choice { to: replay.choice.to.filter(|to| *to != replay.begun_at), ..replay.choice.clone() };
    let took = replay.ended_at.unwrap_or(now).since(replay.begun_at);
    html! {
        section.card id=(replay.id) {
            h2 { span.tag.(replay.state.as_str()) { (replay.state.as_str()) } " " (described(&choice)) }
            progress max=(replay.chosen.max(1)) value=(handled) aria-label="how far it is" {}
            p {
                b { (grouped(replay.moved)) " of " (counted(replay.chosen, "event")) } " on the way again"
                @if replay.skipped > 0 { ", " (grouped(replay.skipped)) " that cannot be sent" }
            }
            p.soft {
                "Ordered by " bdi { (replay.operator) } " " (ago(replay.begun_at, now)) ", at " (replay.share_thousandths / 10) " % of the limit; "
                @if replay.ended_at.is_some() { "took " (span(took)) } @else { "runs since " (span(took)) } "."
            }
            @if role == Role::Operator && replay.state == ReplayState::Running { (cancel_form(replay)) }
        }
    }
}

/// The order to cancel a replay.
fn cancel_form(replay: &Replay) -> Markup {
    html! {
        form method="post" action=(format!("/console/replays/{}/cancel", replay.id)) data-confirm="Cancel the replay? What was moved goes on." {
            button.danger { "Cancel" }
        }
    }
}
