//! The record on the topic: the contract between ingest and dispatcher.
//!
//! ```text
//! key      source id, a NUL, event id          the same event always meets the same partition
//! payload  the event as JSON                   {"id","name","body","timestamp"}
//! headers  schema-version event-id source-id received-at accepted-at traceparent [tracestate]
//! ```
//! A record that cannot be read is never an error that stops a partition: it becomes a dead row with its raw bytes. Others may
//! write to the topic, so what is read is held to the same bounds as what ingest accepts.

mod headers;
mod raw;

use serde::{Deserialize, Serialize};

use crate::event::Invalid;
use crate::{Event, Moment, SourceId, TraceContext};

pub use headers::Headers;

/// The version of this contract that is written. Readers accept it and the one before.
pub const SCHEMA_VERSION: u16 = 1;

/// The header that says when the record was handed to the disk or the broker, in microseconds; a reader can do without it.
pub const ACCEPTED_AT: &str = "accepted-at";

/// The header that leads to the replay that brought an event back; a record on the topic never has it.
const REPLAYED_IN: &str = "replayed-in";

/// What a broker carries: opaque bytes with headers.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Record {
    /// Decides the partition and the identity.
    #[serde(with = "raw")]
    pub key: Vec<u8>,
    /// The event as JSON.
    #[serde(with = "raw")]
    pub payload: Vec<u8>,
    /// What the pipeline needs to know besides the event.
    pub headers: Headers,
}

impl Record {
    /// A header that is text; none where it is missing, or is none.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.headers.get(name)?).ok()
    }

    /// When it was handed to the disk or the broker, if it says so.
    #[must_use]
    pub fn accepted_at(&self) -> Option<Moment> {
        self.text(ACCEPTED_AT)?.parse().ok().map(Moment::from_micros)
    }

    /// The span of the replay that brought it back last, if one did and is recorded.
    #[must_use]
    pub fn replayed_in(&self) -> Option<TraceContext> {
        TraceContext::parse(self.text(REPLAYED_IN)?, None)
    }

    /// Notes the span of the replay that brings it back; none takes the place of an earlier one.
    pub fn note_replay(&mut self, replay: Option<&TraceContext>) {
        self.headers.remove(REPLAYED_IN);
        if let Some(replay) = replay {
            self.headers.set(REPLAYED_IN, replay.traceparent().as_bytes());
        }
    }

    /// The trace that its event belongs to, if that is recorded.
    #[must_use]
    pub fn recorded_trace(&self) -> Option<TraceContext> {
        // Most are not, and cost no more than this look.
        let parent = self.text("traceparent").filter(|parent| !parent.ends_with("-00"))?;
        TraceContext::parse(parent, self.text("tracestate")).filter(TraceContext::is_sampled)
    }

    /// The record's size as bounds count it: key, payload and headers, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.key.len() + self.payload.len() + self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// An event on its way: who sent it, when it came, and the trace it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The account that sent it.
    pub source_id: SourceId,
    /// What it sent.
    pub event: Event,
    /// When ingest received it.
    pub received_at: Moment,
    /// The span of ingest that accepted it.
    pub trace: TraceContext,
}

/// Why a record is not an envelope.
#[derive(Debug, thiserror::Error)]
pub enum Undecodable {
    /// A header is missing or is no text of its kind.
    #[error("header `{0}` is missing or malformed")]
    Header(&'static str),
    /// The writer is of a version this reader does not know.
    #[error("schema version {0} is not known here")]
    SchemaVersion(String),
    /// The payload is no event, or one out of bounds.
    #[error("the payload is not an event")]
    Payload(#[source] Invalid),
}

impl Envelope {
    /// The record's key for an event: source id, NUL, event id.
    #[must_use]
    pub fn key(source_id: &SourceId, event_id: &str) -> Vec<u8> {
        [source_id.as_str().as_bytes(), b"\0", event_id.as_bytes()].concat()
    }

    /// Writes the envelope as a record.
    ///
    /// # Errors
    /// When the event cannot be written as JSON; no event that passed [`Event::judge`] is such.
    pub fn encode(&self) -> Result<Record, serde_json::Error> {
        let mut headers = Headers::with_room(headers::HEADERS_BYTES);
        // In the order of their names, so that each goes behind the last.
        let mut put = |name: &str, value: &str| headers.set(name, value.as_bytes());
        put("event-id", self.event.id.as_str());
        put("received-at", &self.received_at.as_micros().to_string());
        put("schema-version", &SCHEMA_VERSION.to_string());
        put("source-id", self.source_id.as_str());
        put("traceparent", self.trace.traceparent());
        if let Some(state) = self.trace.tracestate() {
            put("tracestate", state);
        }
        let payload = serde_json::to_vec(&self.event)?;
        Ok(Record { key: Self::key(&self.source_id, self.event.id.as_str()), payload, headers })
    }

    /// Reads an envelope from a record.
    ///
    /// # Errors
    /// [`Undecodable`] says which part is wrong; the record itself is still the caller's to keep.
    pub fn decode(record: &Record) -> Result<Self, Undecodable> {
        let text = |name: &'static str| record.text(name).ok_or(Undecodable::Header(name));
        let version = text("schema-version")?;
        if version.parse() != Ok(SCHEMA_VERSION) {
            return Err(Undecodable::SchemaVersion(version.chars().take(16).collect()));
        }
        let received_at = text("received-at")?.parse().map_err(|_| Undecodable::Header("received-at"))?;
        let trace = TraceContext::parse(text("traceparent")?, text("tracestate").ok()).ok_or(Undecodable::Header("traceparent"))?;
        let source_id = SourceId::new(text("source-id")?);
        if !source_id.is_in_bounds() {
            return Err(Undecodable::Header("source-id"));
        }
        Ok(Self {
            source_id,
            event: Event::judge(&record.payload).map_err(Undecodable::Payload)?,
            received_at: Moment::from_micros(received_at),
            trace,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Envelope, Record, Undecodable};
    use crate::event::Timestamp;
    use crate::{Event, EventId, Moment, SourceId, TraceContext};

    fn envelope(id: &str, name: &str, body: &str, millis: i64) -> Envelope {
        let timestamp = Timestamp::from_epoch_millis(millis).unwrap();
        Envelope {
            source_id: SourceId::new("shop"),
            event: Event { id: EventId::new(id), name: name.to_owned(), body: body.to_owned(), timestamp },
            received_at: Moment::from_micros(1_700_000_000_000_001),
            trace: TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Some("v=1")).unwrap(),
        }
    }

    /// A record with these headers and nothing else.
    fn headed(headers: &[(&str, &[u8])]) -> Record {
        Record { headers: headers.iter().copied().collect(), ..Record::default() }
    }

    #[test]
    fn the_key_is_source_and_event_with_a_nul_between() {
        assert_eq!(envelope("a-1", "nn", "b", 1).encode().unwrap().key, b"shop\0a-1");
    }

    #[test]
    fn a_header_that_is_missing_or_says_nothing_is_none() {
        assert_eq!(headed(&[("a", b"b")]).text("a"), Some("b"));
        assert_eq!((headed(&[("a", b"\xff")]).text("a"), headed(&[]).text("a")), (None, None));
        assert_eq!(headed(&[("accepted-at", b"17")]).accepted_at(), Some(Moment::from_micros(17)));
        assert_eq!((headed(&[("accepted-at", b"soon")]).accepted_at(), headed(&[]).accepted_at()), (None, None));
    }

    #[test]
    fn a_replay_takes_the_place_of_the_one_before_and_leaves_the_rest() {
        let trace = |digit: &str| TraceContext::parse(&format!("00-{}-{}-01", digit.repeat(32), digit.repeat(16)), None);
        let good = envelope("a", "nn", "b", 1).encode().unwrap();
        let mut record = good.clone();
        assert_eq!(record.replayed_in(), None);
        for replay in [trace("1"), trace("2"), None] {
            record.note_replay(replay.as_ref());
            assert_eq!(record.replayed_in(), replay);
        }
        assert!(record == good);
    }

    #[test]
    fn the_trace_of_a_record_is_told_only_where_somebody_records_it() {
        let sent = envelope("a", "nn", "b", 1);
        let mut record = sent.encode().unwrap();
        assert_eq!(record.recorded_trace(), Some(sent.trace));
        for flags in ["00", "02"] {
            let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            record.headers.set("traceparent", parent.as_bytes());
            assert_eq!(record.recorded_trace(), None, "{flags}");
        }
    }

    #[test]
    fn a_record_counts_by_all_its_bytes_and_shows_none_of_them() {
        let record = Record { key: b"shop".to_vec(), payload: b"s3cret".to_vec(), ..headed(&[("a", b"bcd"), ("ef", b"g")]) };
        assert_eq!(record.bytes(), 4 + 6 + 1 + 3 + 2 + 1);
        let told = format!("{record:?}");
        assert!(told.contains("17") && !told.contains("s3cret"), "{told}");
    }

    #[test]
    fn each_broken_part_is_named() {
        let good = envelope("a", "nn", "b", 1).encode().unwrap();
        let long = "s".repeat(129);
        let sources = [b"\xff".as_slice(), b"", b"a\0b", long.as_bytes()].map(|source| ("source-id", source));
        for (header, value) in [("received-at", b"soon".as_slice()), ("traceparent", b"00-0")].into_iter().chain(sources) {
            let mut record = good.clone();
            record.headers.set(header, value);
            assert!(matches!(Envelope::decode(&record), Err(Undecodable::Header(name)) if name == header));
        }
        let mut record = good.clone();
        record.headers.set("schema-version", b"9");
        assert!(matches!(Envelope::decode(&record), Err(Undecodable::SchemaVersion(_))));
        let record = Record { payload: b"<html>".to_vec(), ..good };
        assert!(matches!(Envelope::decode(&record), Err(Undecodable::Payload(_))));
    }

    #[test]
    fn an_event_out_of_its_bounds_is_none_whoever_wrote_it() {
        for (id, name, body, field) in [
            ("x".repeat(4_000), "nn", "b", "id"),
            ("nul\0".to_owned(), "nn", "b", "id"),
            ("i".to_owned(), "n", "b", "name"),
            ("i".to_owned(), "nn", "", "body"),
        ] {
            let error = Envelope::decode(&envelope(&id, name, body, 1).encode().unwrap()).unwrap_err();
            let Undecodable::Payload(invalid) = error else { panic!("{error}") };
            assert!(invalid.to_string().starts_with(&format!("`{field}` ")), "{invalid}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_survives_the_topic(
            id in "\\PC{1,130}", name in ".{1,50}", body in ".{0,200}",
            time in prop_oneof![Just(-62_167_219_200_000), Just(253_402_300_799_999), -62_167_219_200_000i64..253_402_300_799_999],
        ) {
            let asked = serde_json::json!({ "id": id, "name": name, "body": body, "timestamp": time });
            if let Ok(event) = Event::judge(asked.to_string().as_bytes()) {
                let sent = Envelope { event, ..envelope("i", "nn", "b", 1) };
                prop_assert_eq!(Envelope::decode(&sent.encode().unwrap()).unwrap(), sent);
            }
        }

        #[test]
        fn decoding_never_fails_to_answer(payload in proptest::collection::vec(any::<u8>(), 0..256), value in proptest::collection::vec(any::<u8>(), 0..64)) {
            let names = ["schema-version", "event-id", "source-id", "received-at", "traceparent"];
            let headers = names.map(|name| (name.to_owned(), value.clone())).into_iter().collect();
            drop(Envelope::decode(&Record { key: Vec::new(), payload, headers }));
        }
    }
}
