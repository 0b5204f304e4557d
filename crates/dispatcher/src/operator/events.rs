//! Any source's event: search, and one event whole with what is kept of its record.

use actix_web::{HttpRequest, HttpResponse, web};
use events_proxy_core::envelope::Record;
use events_proxy_core::{Attempt, DeadReason, EventId, Moment, SourceId, State};
use serde::Deserialize;
use serde_json::{Value, json};
use storage::{Found, JournalRow, NoPlace, Place, Search};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Office, Problem, signed_in};

/// How many events a page has when nobody says.
const PAGE_USUAL: u32 = 50;
/// What stands for a value that is not shown.
const MASK: &str = "•••";

/// What is looked for, as a query or a form spells it; empty text is as good as none.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Asked {
    /// Any of: an event's id, a trace id.
    pub(crate) id: Option<String>,
    /// Sent by this source.
    pub(crate) source: Option<String>,
    /// In this state.
    pub(crate) state: Option<String>,
    /// Of this kind.
    pub(crate) name: Option<String>,
    /// Dead for this reason.
    pub(crate) reason: Option<String>,
    /// Received at this moment or later: RFC 3339.
    pub(crate) from: Option<String>,
    /// Received before this moment.
    pub(crate) to: Option<String>,
    /// Where the page before ended.
    pub(crate) cursor: Option<String>,
    /// How many rows.
    pub(crate) limit: Option<String>,
}

impl Asked {
    /// Reads it; the first thing that cannot be understood is told.
    pub(crate) fn understood(&self) -> Result<Search, Problem> {
        let said = |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let time =
            |field: &str, text: Option<String>| -> Result<Option<Moment>, Problem> { text.map(|text| moment(field, &text)).transpose() };
        let (trace_id, event_id) = match said(&self.id) {
            Some(id) if is_trace(&id) => (Some(id), None),
            other => (None, other.map(EventId::new)),
        };
        let state = said(&self.state).map(|word| State::parse(&word).ok_or_else(|| Problem::wrong("state", "a state of the journal")));
        let reason =
            said(&self.reason).map(|word| DeadReason::parse(&word).ok_or_else(|| Problem::wrong("reason", "a reason of dead letters")));
        let limit = said(&self.limit).map(|text| text.parse().map_err(|_| Problem::wrong("limit", "a whole number")));
        Ok(Search {
            source_id: said(&self.source).map(SourceId::new),
            event_id,
            trace_id,
            name: said(&self.name),
            state: state.transpose()?,
            reason: reason.transpose()?,
            from: time("from", said(&self.from))?,
            to: time("to", said(&self.to))?,
            after: said(&self.cursor)
                .map(|text| text.parse().map_err(|NoPlace| Problem::wrong("cursor", "the `cursor` of a page")))
                .transpose()?,
            limit: limit.transpose()?.unwrap_or(PAGE_USUAL),
        })
    }
}

/// Whether a text is a trace id: 32 hexadecimal digits.
fn is_trace(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Reads a time.
pub(super) fn moment(field: &str, text: &str) -> Result<Moment, Problem> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok();
    let micros = time.and_then(|time| i64::try_from(time.unix_timestamp_nanos() / 1_000).ok());
    micros.map(Moment::from_micros).ok_or_else(|| Problem::wrong(field, "a time as RFC 3339 writes it"))
}

/// `GET /operator/events`.
pub(super) async fn search(request: HttpRequest, asked: web::Query<Asked>, office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    signed_in(&request, &office)?;
    let Found { rows, next } = office.store.search(&asked.understood()?).await.map_err(|error| Problem::storage(&error))?;
    let items: Vec<Value> = rows.iter().map(|row| told(row, &office)).collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items, "cursor": next.as_ref().map(Place::to_string) })))
}

/// `GET /operator/events/{source}/{id}`.
pub(super) async fn one(
    request: HttpRequest,
    key: web::Path<(String, String)>,
    office: web::Data<Office>,
) -> Result<HttpResponse, Problem> {
    signed_in(&request, &office)?;
    let (row, record) = whole(&office, key.into_inner()).await?;
    let mut event = told(&row, &office);
    if let (Some(record), Value::Object(event)) = (record, &mut event) {
        event.insert("payload".to_owned(), payload(&record, &office.masked));
    }
    Ok(HttpResponse::Ok().json(event))
}

/// An event with the record that is kept of it: of a dead or parked one.
pub(crate) async fn whole(office: &Office, (source, id): (String, String)) -> Result<(JournalRow, Option<Record>), Problem> {
    let unanswered = |error: storage::Error| Problem::storage(&error);
    let row = office.store.event(&SourceId::new(source), &EventId::new(id)).await.map_err(unanswered)?;
    let row = row.ok_or_else(|| Problem::Missing("the journal does not know this event (yet)".to_owned()))?;
    let record = office.store.kept(&office.topic, &row).await.map_err(unanswered)?;
    Ok((row, record))
}

/// An event's payload with what must not be seen masked; text where it is no JSON.
pub(crate) fn payload(record: &Record, masked: &[String]) -> Value {
    match serde_json::from_slice(&record.payload) {
        Ok(value) => mask(value, masked),
        Err(_) => Value::String(String::from_utf8_lossy(&record.payload).into_owned()),
    }
}

/// Masks fields of those names wherever they stand, in text that is JSON itself too. Such text is written anew: as it was
/// sent, it may hold a field twice, of which the parser knows one.
fn mask(value: Value, masked: &[String]) -> Value {
    match value {
        Value::Object(fields) => {
            let shown = |(name, value): (String, Value)| {
                let hidden = masked.iter().any(|masked| masked.eq_ignore_ascii_case(&name));
                let value = if hidden { Value::String(MASK.to_owned()) } else { mask(value, masked) };
                (name, value)
            };
            Value::Object(fields.into_iter().map(shown).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(|value| mask(value, masked)).collect()),
        Value::String(text) => match serde_json::from_str::<Value>(&text) {
            Ok(inner @ (Value::Object(_) | Value::Array(_) | Value::String(_))) => Value::String(mask(inner, masked).to_string()),
            Ok(Value::Number(_) | Value::Bool(_) | Value::Null) | Err(_) => Value::String(text),
        },
        Value::Number(_) | Value::Bool(_) | Value::Null => value,
    }
}

/// An event as it is answered.
fn told(row: &JournalRow, office: &Office) -> Value {
    let at = |moment: Option<Moment>| moment.map(|moment| moment.to_string());
    json!({
        "sourceId": row.source_id.as_str(),
        "id": row.event_id.as_str(),
        "name": row.name,
        "state": row.state.as_str(),
        "brand": row.brand,
        "traceId": row.trace_id,
        "traceUrl": office.trace_url(&row.trace_id),
        "partition": row.partition,
        "offset": row.offset,
        "stages": {
            "receive": row.received_at.to_string(),
            "accept": at(row.accepted_at),
            "publish": at(row.published_at),
            "consume": at(row.consumed_at),
            "settle": at(row.settled_at),
        },
        "attempts": row.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "nextAttemptAt": at(row.next_attempt_at),
        "reason": row.dead_reason.map(DeadReason::as_str),
        "detail": row.dead_detail,
    })
}

/// An attempt as it is answered.
fn attempt(attempt: &Attempt) -> Value {
    json!({
        "number": attempt.number,
        "startedAt": attempt.started_at.to_string(),
        "durationUs": attempt.duration_us,
        "outcome": attempt.outcome.as_str(),
        "status": attempt.status,
        "detail": attempt.detail,
    })
}

#[cfg(test)]
mod tests {
    use events_proxy_core::envelope::Record;

    use super::{Asked, payload};

    #[test]
    fn an_id_of_the_form_of_a_trace_is_looked_for_as_one() {
        let asked = |id: &str| Asked { id: Some(id.to_owned()), ..Asked::default() }.understood().unwrap();
        assert!(asked("0af7651916cd43dd8448eb211c80319c").trace_id.is_some());
        assert!(asked("order-1").event_id.is_some());
        assert_eq!(asked(" ").event_id, None);
    }

    #[test]
    fn masked_fields_are_hidden_wherever_they_stand() {
        let text = br#"{"id":"1","body":"{\"card\":\"4111\",\"city\":\"Bern\"}","list":[{"Card":1}]}"#;
        let record = Record { payload: text.to_vec(), ..Record::default() };
        let shown = payload(&record, &["card".to_owned()]).to_string();
        assert!(!shown.contains("4111") && shown.contains("Bern"), "{shown}");
        assert_eq!(shown.matches("•••").count(), 2, "{shown}");
    }

    #[test]
    fn a_body_is_masked_in_whatever_json_it_is_written() {
        let shown = |body: &str| {
            let record = Record { payload: serde_json::json!({ "body": body }).to_string().into_bytes(), ..Record::default() };
            payload(&record, &["card".to_owned()])["body"].as_str().unwrap().to_owned()
        };
        let object = r#"{"card":"4111"}"#;
        let text = serde_json::to_string(object).unwrap();
        for body in [&format!(" \n{object}"), &format!("[{object}]"), &format!("\t[[1, {object}]]"), &text, &format!("[{text}]")] {
            let shown = shown(body);
            assert!(!shown.contains("4111") && shown.contains("•••"), "{body} is shown as {shown}");
        }
        for body in ["", "card 4111", "1e5", " true", r#"{"card":"#] {
            assert_eq!(shown(body), body);
        }
        let twice = format!(r#"{{"a":{object},"a":1}}"#);
        assert_eq!(shown(&twice), r#"{"a":1}"#);
    }
}
