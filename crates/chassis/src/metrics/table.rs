//! The families that every process tells, each declared once: instruments and the reference are made of this table.

use super::Passing;
use super::family::{Family, Label};
use super::sources::Event;
use crate::telemetry::Ended;

/// The methods that have a word of their own.
pub(super) const METHODS: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
/// The word of all others.
pub(super) const OTHER_METHOD: &str = "_OTHER";
/// The word for requests that no route took.
pub(super) const UNMATCHED: &str = "unmatched";

/// Which route.
pub(super) const ROUTE: Label = Label::like("http.route", "the pattern of the route, never the path; `unmatched` where there is none");
/// Which method.
pub(super) const METHOD: Label = Label::of("http.request.method", || METHODS.into_iter().chain([OTHER_METHOD]).collect());
/// Which answer.
pub(super) const STATUS: Label = Label::like("http.response.status_code", "the answer's status, 100 to 599");

/// How many sources have their own series.
pub(super) const SOURCES_MAX: usize = 200;
/// Which source.
pub(super) const SOURCE: Label = Label::like("source", "an account's id; `other` for all beyond the first 200 that the process met");
/// What became of an event.
pub(super) const EVENT: Label = Label::of("outcome", || Event::ALL.map(Event::as_str).to_vec());
/// What became of a span.
pub(super) const SPAN: Label = Label::of("outcome", || Ended::ALL.map(Ended::as_str).to_vec());
/// Where an event was passed.
pub(super) const AT: Label = Label::of("at", || Passing::ALL.map(Passing::as_str).to_vec());

/// The families of every process.
pub const FAMILIES: &[Family] = &[
    Family::histogram(
        "http.server.request.duration",
        "From a request's head until its answer's head, on both listeners; a request without an answer is in none",
    )
    .by(&[METHOD, STATUS, ROUTE]),
    Family::counter("source.events", "Events by their source: ingest accepts and refuses them, the dispatcher tells the rest")
        .by(&[SOURCE, EVENT]),
    Family::gauge(
        "events.unaccounted",
        "Events that were passed without a stored end, or whose row is gone; 0, or something is wrong. Ingest judges its spool, \
         each dispatcher all partitions of the topic",
    )
    .by(&[AT]),
    Family::counter("trace.spans", "Finished spans, by whether they were exported; not told where no receiver is set").by(&[SPAN]),
];
