//! Dead letters by reason, each with what it means and the way to replay them.

use actix_web::{HttpRequest, HttpResponse, web};
use auth::operator::Role;
use events_proxy_core::{DeadReason, State};
use maud::{Markup, html};
use storage::{DeadGroup, JournalRow, Search};

use super::failing;
use super::page::{Place, page, trouble};
use super::sign_in::turn_away;
use super::words::{ago, counted};
use crate::operator::{Office, signed_in};

/// How many events of a reason are shown.
const NEWEST: u32 = 5;

/// `GET /console/dead`.
pub(super) async fn dead(request: HttpRequest, office: web::Data<Office>) -> HttpResponse {
    let Ok(session) = signed_in(&request, &office) else { return turn_away() };
    let groups = match groups(&office).await {
        Ok(groups) => groups,
        Err(error) => return trouble(&session.operator, Place::Dead, &error),
    };
    let now = office.clock.now();
    let may_act = session.operator.role == Role::Operator;
    let content = html! {
        h1 { "Dead letters" }
        @if groups.is_empty() { div.card { p.empty { "None: every event that has ended was delivered." } } }
        @for (group, newest) in &groups {
            section.card id=(group.reason.as_str()) {
                h2 { span.tag.dead { (group.reason.as_str()) } " " (counted(group.count, "event")) }
                p { (meaning(group.reason)) }
                p.soft {
                    "The first died " (ago(group.first_at, now)) ", the last " (ago(group.last_at, now)) ". "
                    a href=(format!("/console/events?state=dead&reason={}", group.reason.as_str())) { "Look at all of them" }
                }
                @if !newest.is_empty() { (failing::table(newest, now)) }
                @if may_act && group.reason != DeadReason::Undecodable { (choose(group)) }
            }
        }
    };
    page(&session.operator, Place::Dead, "Dead letters", content)
}

/// The dead letters by reason, each reason with its newest events, as far as the journal still knows them.
async fn groups(office: &Office) -> Result<Vec<(DeadGroup, Vec<JournalRow>)>, storage::Error> {
    let mut groups = Vec::new();
    for group in office.store.dead_groups().await? {
        let newest = Search { state: Some(State::Dead), reason: Some(group.reason), limit: NEWEST, ..Search::default() };
        groups.push((group, office.store.search(&newest).await?.rows));
    }
    Ok(groups)
}

/// The choice of what to replay of a group; what it comes to is counted before anything is done.
fn choose(group: &DeadGroup) -> Markup {
    html! {
        form.filter action="/console/replays/new" {
            input type="hidden" name="reason" value=(group.reason.as_str());
            label { "Only of this source" input name="sourceId" maxlength="128"; }
            label { "Only of this name" input name="name" maxlength="1000"; }
            label { "Share of the limit, %" input name="sharePercent" type="number" min="1" max="90" value="20" required; }
            button { "Replay …" }
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
