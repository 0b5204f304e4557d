//! The step before a replay: how many events it would take and how long, counted without doing anything.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use auth::operator::Role;
use maud::{Markup, html};
use storage::{Choice, Of};

use super::page::{Mood, Place, page, refused, trouble, verdict};
use super::sign_in::turn_away;
use super::words::{clock, counted, plain, span};
use crate::operator::replays::{Order, Understood, described as worded};
use crate::operator::{Office, signed_in};

/// `GET /console/replays/new`.
pub(super) async fn count(request: HttpRequest, order: web::Query<Order>, office: web::Data<Office>) -> HttpResponse {
    let Ok(session) = signed_in(&request, &office) else { return turn_away() };
    let understood = match order.into_inner().understood() {
        Ok(understood) => understood,
        Err(problem) => return refused(&session.operator, Place::Replays, &problem),
    };
    let chosen = match office.store.count_chosen(&office.topic, &understood.choice).await {
        Ok(chosen) => chosen,
        Err(error) => return trouble(&session.operator, Place::Replays, &error),
    };
    let full = office.permitted().drain_time(chosen);
    let share = u32::from(understood.share_thousandths);
    let content = html! {
        h1 { "Replay " (described(&understood.choice)) "?" }
        @if chosen == 0 {
            (verdict(Mood::Plain, "No event matches", html! { "There is nothing to replay. " a href="/console/dead" { "Back to the dead letters" } }))
        } @else {
            (verdict(Mood::Plain, &format!("{} would be sent again", counted(chosen, "event")), html! { "Nothing was done yet." }))
            @if session.operator.role == Role::Operator { (confirm(&understood, chosen, full.saturating_mul(1_000) / share.max(1))) }
        }
    };
    page(&session.operator, Place::Replays, "Replay", content)
}

/// The order itself, as it was counted.
fn confirm(understood: &Understood, chosen: u64, takes: Duration) -> Markup {
    html! {
        div.card {
            p {
                "At " (understood.share_thousandths / 10) " % of the target's limit this takes about " b { (span(takes)) } ". "
                "New events keep the rest of the limit; the replay can be cancelled at any time."
            }
            form.filter method="post" action="/console/replays" {
                @for (name, value) in fields(understood) { input type="hidden" name=(name) value=(value); }
                button { "Replay " (counted(chosen, "event")) }
                a href="/console/dead" { "Back" }
            }
        }
    }
}

/// What the form sends: the order in the words that the API takes.
fn fields(Understood { choice, share_thousandths, .. }: &Understood) -> Vec<(String, String)> {
    let words = worded(choice);
    let said = words.as_object().into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    said.chain([("sharePercent".to_owned(), (share_thousandths / 10).to_string())]).collect()
}

/// What is chosen, in words.
pub(super) fn described(choice: &Choice) -> Markup {
    let kind = match choice.of {
        Of::Dead => "dead letters",
        Of::Parked => "parked events",
    };
    html! {
        @if let Some(reason) = choice.reason { (reason.as_str()) " " }
        (kind)
        @if let Some(source) = &choice.source_id { " of " bdi { (plain(source.as_str())) } }
        @if let Some(event) = &choice.event_id { " with the id " bdi.mono { (plain(event.as_str())) } }
        @if let Some(name) = &choice.name { " named “" bdi { (plain(name)) } "”" }
        @if let Some(from) = choice.from { " from " (clock(from)) }
        @if let Some(to) = choice.to { " until " (clock(to)) }
    }
}

#[cfg(test)]
mod tests {
    use super::{described, fields};
    use crate::operator::replays::Order;

    /// An order as a form writes it.
    fn order(text: &str) -> Order {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_ordered_is_what_was_counted() {
        let text =
            r#"{"of":"parked","sourceId":"shop","eventId":"order-1","name":"<b>","from":"2026-01-31T12:00:00Z","sharePercent":"30"}"#;
        let understood = order(text).understood().unwrap();
        let written = fields(&understood).into_iter().map(|(name, value)| (name, value.into()));
        let again = serde_json::Value::Object(written.collect());
        assert_eq!(order(&again.to_string()).understood().unwrap(), understood);
    }

    #[test]
    fn a_choice_reads_as_one_sentence_and_its_texts_stay_text() {
        let choice = order(r#"{"reason":"refused","sourceId":"shop","name":"<b>"}"#).understood().unwrap().choice;
        let words = "refused dead letters of <bdi>shop</bdi> named “<bdi>&lt;b&gt;</bdi>”";
        assert_eq!(described(&choice).into_string(), words);
    }
}
