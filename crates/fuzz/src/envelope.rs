//! A record on the topic, whoever wrote it: an envelope that survives being written, or a reason why it is none.

use events_proxy_core::Envelope;
use events_proxy_core::envelope::Record;

use crate::event::keeps_bounds;
use crate::message::Message;

/// A record: its key on the first line, its headers, and its payload.
///
/// # Panics
/// When a law is broken.
pub fn envelope(input: &[u8]) {
    let message = Message::read(input);
    let headers = message.headers.iter().copied().collect();
    let mut record = Record { key: message.first.to_vec(), payload: message.body.to_vec(), headers };
    if let Ok(envelope) = Envelope::decode(&record) {
        survives_the_topic(&envelope);
    }
    let replay = record.recorded_trace();
    assert!(replay.as_ref().is_none_or(|trace| trace.is_sampled() && trace.trace_id().len() == 32));
    let accepted_at = record.accepted_at();
    record.note_replay(replay.as_ref());
    let noted = record.replayed_in().map(|noted| noted.traceparent().to_owned());
    assert_eq!(noted, replay.map(|replay| replay.traceparent().to_owned()), "a replay is read differently from how it was noted");
    assert_eq!(record.accepted_at(), accepted_at);
}

/// What is written of an envelope reads as the same envelope, under the key of its event.
fn survives_the_topic(envelope: &Envelope) {
    keeps_bounds(&envelope.event);
    assert!(envelope.source_id.is_in_bounds(), "the source is out of bounds");
    let written = envelope.encode().expect("law: what was read can be written");
    assert_eq!(written.key, Envelope::key(&envelope.source_id, envelope.event.id.as_str()));
    assert_eq!(written.key.iter().filter(|byte| **byte == 0).count(), 1, "a key has one NUL, between source and event");
    let read = Envelope::decode(&written).expect("law: what we write is an envelope");
    assert_eq!(&read, envelope, "an envelope is read differently from how it was written");
}
