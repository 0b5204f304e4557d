//! The families of ingest, each declared once: instruments and the reference are made of this table.

use chassis::metrics::{Family, Label, Unit};

use super::{LogIn, Refreshed, SpoolFault, Waited, Way};
use crate::reject;

/// By which durable path.
pub(super) const PATH: Label = Label::of("path", || Way::ALL.map(Way::as_str).to_vec());
/// How a soft wait ended.
pub(super) const WAITED: Label = Label::of("outcome", || Waited::ALL.map(Waited::as_str).to_vec());
/// Why the spool did not take an event.
pub(super) const FAULT: Label = Label::of("kind", || SpoolFault::ALL.map(SpoolFault::as_str).to_vec());
/// Why an event was refused.
pub(super) const REASON: Label = Label::of("reason", reject::codes_of_events);

/// How a log-in ended.
pub(super) const LOGGED_IN: Label = Label::of("outcome", || LogIn::ALL.map(LogIn::as_str).to_vec());
/// How a refresh ended.
pub(super) const REFRESHED: Label = Label::of("outcome", || Refreshed::ALL.map(Refreshed::as_str).to_vec());

/// The families of ingest, in the order of an event's path.
pub const FAMILIES: &[Family] = &[
    Family::counter("events.accepted", "Events answered with 202").by(&[PATH]),
    Family::counter("accepted.late", "Events answered with 202 after the deadline"),
    Family::counter("events.refused", "Requests to send an event that were refused").by(&[REASON]),
    Family::histogram("accept.duration", "From a request's start until its event was durable").by(&[PATH]),
    Family::counter("accept.waits", "Soft waits for the topic before a 202, by their outcome").by(&[WAITED]),
    Family::counter("spool.failures", "Appends to the spool that failed or were late").by(&[FAULT]),
    Family::gauge("spool", "How much the spool holds").in_unit(Unit::Bytes),
    Family::gauge("spool.capacity", "From how much on the spool is full, and events go straight to the topic").in_unit(Unit::Bytes),
    Family::gauge("spool.free", "How much the spool's file system has left").in_unit(Unit::Bytes),
    Family::gauge("spool.unpublished", "Accepted events that the topic does not have yet"),
    Family::counter("spool.read.failures", "Reads of the spool that failed; each is tried again"),
    Family::counter("events.published", "Events that the topic took from the spool"),
    Family::histogram("publish.duration", "From an event's acceptance until the topic had it, by way of the spool"),
    Family::counter("publish.failures", "Batches that the topic did not take; each is sent again"),
    Family::counter("publish.catch.ups", "Backlogs that fresh events passed"),
    Family::counter("publish.gave.way", "How long publishing left the machine to those who wait for an answer").in_unit(Unit::Seconds),
    Family::counter("events.overtaken", "Records of the spool that had gone straight to the topic"),
    Family::counter("events.unpublishable", "Dead events: records that the topic refuses or the spool cannot read"),
    Family::gauge("events.unpublishable.waiting", "Dead events that wait beside the spool until the database has them"),
    Family::counter("events.unpublishable.lost", "Dead events whose record beside the spool does not read any more: their payload is gone"),
    Family::counter("log.ins", "Log-ins of sources, by how they ended").by(&[LOGGED_IN]),
    Family::counter("refreshes", "Refreshes of sessions, by how they ended").by(&[REFRESHED]),
    Family::counter(
        "expired.tokens.taken",
        "Requests to send an event let in by an access token that had expired while the storage was away",
    ),
    Family::counter("journal.dropped", "Rows given up while the storage did not answer"),
];
