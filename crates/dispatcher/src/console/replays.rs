//! Replays: who ordered which, and how far each is.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use chassis::figures::grouped;
use maud::{Markup, html};
use storage::{Choice, Of, Replay, ReplayState};

use super::page::{Place, page, refused, trouble};
use super::sign_in::turn_away;
use super::timeline::span;
use crate::operator::replays::{LISTED, Order, cancel_replay, order_replay};
use crate::operator::{Office, Problem, may_act, signed_in};

/// `GET /console/replays`.
pub(super) async fn list(request: HttpRequest, office: web::Data<Office>) -> HttpResponse {
    let Ok(session) = signed_in(&request, &office) else { return turn_away() };
    let replays = match office.store.replays(LISTED).await {
        Ok(replays) => replays,
        Err(error) => return trouble(&session.operator, Place::Replays, &error),
    };
    let now = office.clock.now();
    let may_act = session.operator.role == auth::operator::Role::Operator;
    let content = html! {
        h1 { "Replays" }
        @if replays.is_empty() { div.card { p.soft { "None yet. A replay begins at " a href="/console/dead" { "the dead letters" } "." } } }
        @for replay in &replays {
            section.card id=(replay.id) {
                h2 { span.tag.(replay.state.as_str()) { (replay.state.as_str()) } " " (chosen(&replay.choice)) }
                progress max=(replay.chosen.max(1)) value=(replay.moved + replay.skipped) aria-label="moved" {}
                p.soft {
                    (grouped(replay.moved)) " of " (grouped(replay.chosen)) " are on their way again"
                    @if replay.skipped > 0 { ", " (grouped(replay.skipped)) " cannot be sent" }
                    ". Ordered by " (replay.operator) " " (span(now.since(replay.begun_at))) " ago, at " (replay.share_thousandths / 10) " % of the limit."
                }
                @if may_act && replay.state == ReplayState::Running { (cancel_form(replay)) }
            }
        }
    };
    page(&session.operator, Place::Replays, "Replays", content)
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

/// The order to cancel a replay.
fn cancel_form(replay: &Replay) -> Markup {
    html! {
        form method="post" action=(format!("/console/replays/{}/cancel", replay.id)) data-confirm="Cancel the replay? What was moved goes on." {
            button.danger { "Cancel" }
        }
    }
}

/// What a replay chose, in words.
fn chosen(choice: &Choice) -> String {
    let mut words = vec![match choice.of {
        Of::Dead => "dead letters".to_owned(),
        Of::Parked => "parked events".to_owned(),
    }];
    words.extend(choice.reason.map(|reason| format!("{} ", reason.as_str())));
    words.extend(choice.source_id.as_ref().map(|source| format!("of {}", source.as_str())));
    words.extend(choice.event_id.as_ref().map(|event| format!("with the id {}", event.as_str())));
    words.extend(choice.name.as_ref().map(|name| format!("named {name}")));
    words.join(", ")
}
