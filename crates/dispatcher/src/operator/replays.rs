//! Replays: count what one would do, begin it, follow it, cancel it.

use actix_web::{HttpRequest, HttpResponse, web};
use events_proxy_core::{DeadReason, EventId, SourceId, TraceContext};
use serde::Deserialize;
use serde_json::{Value, json};
use storage::{Choice, NewReplay, Of, Replay};
use tracing::Instrument;
use uuid::Uuid;

use super::access::may_act;
use super::events::moment;
use super::{Office, Problem, body, signed_in};

/// How much of the target's limit a replay may use when nobody says, in thousandths.
const SHARE_USUAL: u16 = 200;
/// How many replays are listed.
pub(crate) const LISTED: u32 = 100;

/// An order as it is written: by the API as JSON, by the console as a form. Empty text is as good as none.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Order {
    /// `dead` (the default) or `parked`.
    of: Option<String>,
    /// Sent by this source.
    source_id: Option<String>,
    /// With this id.
    event_id: Option<String>,
    /// Of this kind.
    name: Option<String>,
    /// Dead for this reason.
    reason: Option<String>,
    /// Died or parked at this moment or later: RFC 3339.
    from: Option<String>,
    /// Died or parked before this moment.
    to: Option<String>,
    /// Per cent of the target's limit that it may use: 1 to 90.
    share_percent: Option<String>,
    /// Only count.
    dry_run: Option<String>,
}

/// An order that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Understood {
    /// What is chosen.
    pub(crate) choice: Choice,
    /// How much of the limit, in thousandths.
    pub(crate) share_thousandths: u16,
    /// Whether nothing shall be done but counting.
    pub(crate) dry_run: bool,
}

impl Order {
    /// Reads it; the first thing that cannot be understood is told.
    pub(crate) fn understood(self) -> Result<Understood, Problem> {
        let said = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let of = match said(self.of).as_deref() {
            None | Some("dead") => Of::Dead,
            Some("parked") => Of::Parked,
            Some(_) => return Err(Problem::Malformed("`of` must be dead or parked".to_owned())),
        };
        let reason =
            said(self.reason).map(|word| DeadReason::parse(&word).ok_or_else(|| Problem::wrong("reason", "a reason of dead letters")));
        let choice = Choice {
            of,
            source_id: said(self.source_id).map(SourceId::new),
            event_id: said(self.event_id).map(EventId::new),
            name: said(self.name),
            reason: reason.transpose()?,
            from: said(self.from).map(|text| moment("from", &text)).transpose()?,
            to: said(self.to).map(|text| moment("to", &text)).transpose()?,
        };
        let share = said(self.share_percent).map(|text| percent(&text)).transpose()?;
        let dry_run = said(self.dry_run).is_some_and(|word| word != "false");
        Ok(Understood { choice, share_thousandths: share.unwrap_or(SHARE_USUAL), dry_run })
    }
}

/// Reads a share in per cent; answers thousandths.
fn percent(text: &str) -> Result<u16, Problem> {
    let percent: Option<u16> = text.parse().ok().filter(|percent| (1..=90).contains(percent));
    percent.map(|percent| percent * 10).ok_or_else(|| Problem::wrong("sharePercent", "a whole number from 1 to 90"))
}

/// `POST /operator/replays`.
pub(super) async fn begin(request: HttpRequest, payload: web::Payload, office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    let session = may_act(&request, &office)?;
    let understood = body::object::<Order>(&request, payload).await?.understood()?;
    if understood.dry_run {
        let chosen = office.store.count_chosen(&office.topic, &understood.choice).await.map_err(|error| Problem::storage(&error))?;
        return Ok(HttpResponse::Ok().json(json!({ "dryRun": true, "chosen": chosen })));
    }
    let replay = order_replay(&office, session.operator.name, understood).await?;
    Ok(HttpResponse::Created().insert_header(("location", format!("/operator/replays/{}", replay.id))).json(told(&replay)))
}

/// Begins a replay and tells it in the log, as an audit does.
pub(crate) async fn order_replay(office: &Office, operator: String, understood: Understood) -> Result<Replay, Problem> {
    // A trace of its own: it has many events, and each of them leads to it from its own trace.
    let id = Uuid::now_v7().to_string();
    let span = tracing::info_span!(parent: None, "replay", replay.id = id, operator.name = operator);
    let new = NewReplay {
        id,
        trace: Some(chassis::trace::context(&span)).filter(TraceContext::is_sampled),
        topic: office.topic.clone(),
        operator,
        choice: understood.choice,
        share_thousandths: understood.share_thousandths,
        begun_at: office.clock.now(),
    };
    let chosen = office.store.begin_replay(&new).instrument(span).await.map_err(|error| Problem::storage(&error))?;
    tracing::info!(replay.id = new.id, operator = new.operator, chosen, "a replay begins");
    found(office, &new.id).await
}

/// `GET /operator/replays`.
pub(super) async fn list(request: HttpRequest, office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    signed_in(&request, &office)?;
    let replays = office.store.replays(LISTED).await.map_err(|error| Problem::storage(&error))?;
    Ok(HttpResponse::Ok().json(json!({ "items": replays.iter().map(told).collect::<Vec<_>>() })))
}

/// `GET /operator/replays/{id}`.
pub(super) async fn one(request: HttpRequest, id: web::Path<String>, office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    signed_in(&request, &office)?;
    Ok(HttpResponse::Ok().json(told(&found(&office, &id).await?)))
}

/// `DELETE /operator/replays/{id}`: what was moved goes on, the rest stays as it was.
pub(super) async fn cancel(request: HttpRequest, id: web::Path<String>, office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    let session = may_act(&request, &office)?;
    let replay = cancel_replay(&office, &session.operator.name, &id).await?;
    Ok(HttpResponse::Ok().json(told(&replay)))
}

/// Cancels a replay and tells it in the log.
pub(crate) async fn cancel_replay(office: &Office, operator: &str, id: &str) -> Result<Replay, Problem> {
    let cancelled = office.store.cancel_replay(id, office.clock.now()).await.map_err(|error| Problem::storage(&error))?;
    let replay = found(office, id).await?;
    if !cancelled {
        return Err(Problem::Conflict(format!("the replay is {}: there is nothing to cancel", replay.state.as_str())));
    }
    tracing::info!(replay.id = id, operator, moved = replay.moved, "a replay is cancelled");
    Ok(replay)
}

/// A replay that exists.
async fn found(office: &Office, id: &str) -> Result<Replay, Problem> {
    let replay = office.store.replay(id).await.map_err(|error| Problem::storage(&error))?;
    replay.ok_or_else(|| Problem::Missing("there is no such replay".to_owned()))
}

/// A replay as it is answered.
fn told(replay: &Replay) -> Value {
    json!({
        "id": replay.id,
        "operator": replay.operator,
        "begunAt": replay.begun_at.to_string(),
        "endedAt": replay.ended_at.map(|at| at.to_string()),
        "state": replay.state.as_str(),
        "choice": described(&replay.choice),
        "sharePercent": replay.share_thousandths / 10,
        "chosen": replay.chosen,
        "moved": replay.moved,
        "skipped": replay.skipped,
        "traceId": replay.trace_id,
    })
}

/// What was chosen, in words that the API takes back.
pub(crate) fn described(choice: &Choice) -> Value {
    json!({
        "of": match choice.of { Of::Dead => "dead", Of::Parked => "parked" },
        "sourceId": choice.source_id.as_ref().map(SourceId::as_str),
        "eventId": choice.event_id.as_ref().map(EventId::as_str),
        "name": choice.name,
        "reason": choice.reason.map(DeadReason::as_str),
        "from": choice.from.map(|at| at.to_string()),
        "to": choice.to.map(|at| at.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use events_proxy_core::DeadReason;
    use storage::Of;

    use super::{Order, Problem};

    #[test]
    fn empty_fields_of_a_form_are_as_good_as_none() {
        let order = Order { reason: Some("refused".to_owned()), source_id: Some("  ".to_owned()), ..Order::default() };
        let understood = order.understood().unwrap();
        assert_eq!((understood.choice.of, understood.choice.source_id), (Of::Dead, None));
        assert_eq!((understood.choice.reason, understood.share_thousandths), (Some(DeadReason::Refused), 200));
    }

    #[test]
    fn what_cannot_be_understood_is_told() {
        for order in [
            Order { of: Some("living".to_owned()), ..Order::default() },
            Order { reason: Some("bored".to_owned()), ..Order::default() },
            Order { from: Some("noon".to_owned()), ..Order::default() },
            Order { share_percent: Some("100".to_owned()), ..Order::default() },
        ] {
            assert!(matches!(order.understood(), Err(Problem::Malformed(_))));
        }
    }
}
