//! Dead letters by reason, each with what it would take to replay them.

use actix_web::{HttpRequest, HttpResponse, web};
use chassis::figures::grouped;
use events_proxy_core::DeadReason;
use maud::{Markup, html};
use storage::DeadGroup;

use super::page::{Place, page, trouble};
use super::sign_in::turn_away;
use super::timeline::span;
use crate::operator::{Office, signed_in};

/// `GET /console/dead`.
pub(super) async fn dead(request: HttpRequest, office: web::Data<Office>) -> HttpResponse {
    let Ok(session) = signed_in(&request, &office) else { return turn_away() };
    let groups = match office.store.dead_groups().await {
        Ok(groups) => groups,
        Err(error) => return trouble(&session.operator, Place::Dead, &error),
    };
    let now = office.clock.now();
    let may_act = session.operator.role == auth::operator::Role::Operator;
    let content = html! {
        h1 { "Dead letters" }
        @if groups.is_empty() { div.card { p.soft { "None: every event that has ended was delivered." } } }
        @for group in &groups {
            section.card id=(group.reason.as_str()) {
                h2 { span.tag.dead { (group.reason.as_str()) } " " (grouped(group.count)) " events" }
                p { (meaning(group.reason)) }
                p.soft { "The first died " (span(now.since(group.first_at))) " ago, the last " (span(now.since(group.last_at))) " ago." }
                p { a href=(format!("/console/events?state=dead&reason={}", group.reason.as_str())) { "Look at them" } }
                @if may_act && group.reason != DeadReason::Undecodable { (replay(group)) }
            }
        }
    };
    page(&session.operator, Place::Dead, "Dead letters", content)
}

/// The order to replay a group.
fn replay(group: &DeadGroup) -> Markup {
    let ask = format!("Replay {} events? They are sent to the target again.", grouped(group.count));
    html! {
        form.filter method="post" action="/console/replays" data-confirm=(ask) {
            input type="hidden" name="reason" value=(group.reason.as_str());
            label { "Only of this source" input name="sourceId" maxlength="128"; }
            label { "Only of this name" input name="name" maxlength="1000"; }
            label { "Share of the limit, %" input name="sharePercent" type="number" min="1" max="90" value="20"; }
            button { "Replay" }
        }
    }
}

/// What a reason means, and what helps.
const fn meaning(reason: DeadReason) -> &'static str {
    match reason {
        DeadReason::Refused => "The target judged these events and said no. Replay them once the target takes them.",
        DeadReason::AttemptsExhausted => {
            "Every allowed attempt failed for reasons that might have passed. Replay them once the target works."
        }
        DeadReason::Undecodable => {
            "These records on the topic are no events of ours: a foreign writer, or a version that this one does not know."
        }
        DeadReason::Unpublishable => {
            "The topic refuses these records for good, most likely for their size. A replay sends them past the topic."
        }
    }
}
