//! Turns what happens into lines: one flat JSON object each.
//!
//! ```text
//! {"timestamp":"…","level":"INFO","target":"ingest::accept","service":"ingest","replica":"a1b2c3d4",
//!  "trace_id":"…","span_id":"…","message":"…","event.id":"…"}
//! ```

use std::error::Error;
use std::fmt::Debug;
use std::sync::OnceLock;

use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Value};
use tracing::dispatcher::WeakDispatch;
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::sink::Sink;
use crate::clock::{Clock, SystemClock};

/// The keys that are ours; a field of the same name gets a `field.` before it where the line has its own. One that concerns an event
/// outside of a span names the trace itself.
const OURS: [&str; 7] = ["timestamp", "level", "target", "service", "replica", "trace_id", "span_id"];

/// Writes a line per event.
pub(super) struct Lines {
    /// The binary's name.
    service: &'static str,
    /// This replica's name.
    replica: String,
    /// Where lines go.
    sink: Sink,
    /// The subscriber that this is a layer of; it knows the spans' traces.
    dispatch: OnceLock<WeakDispatch>,
}

impl Lines {
    /// A layer that writes to `sink`.
    pub(super) fn new(service: &'static str, replica: &str, sink: Sink) -> Self {
        Self { service, replica: replica.to_owned(), sink, dispatch: OnceLock::new() }
    }

    /// The trace id and span id of the span that an event belongs to.
    fn ids<S: Subscriber + for<'span> LookupSpan<'span>>(&self, event: &Event<'_>, context: &Context<'_, S>) -> Option<(String, String)> {
        let span = context.event_span(event)?.id();
        let dispatch = self.dispatch.get()?.upgrade()?;
        let traced = tracing_opentelemetry::get_otel_context(&span, &dispatch)?;
        let span = traced.span();
        let ids = span.span_context();
        ids.is_valid().then(|| (ids.trace_id().to_string(), ids.span_id().to_string()))
    }
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for Lines {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // Only the first registration counts; a layer belongs to one subscriber.
        drop(self.dispatch.set(dispatch.downgrade()));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Map::new();
        let mut put = |key: &str, value: String| drop(line.insert(key.to_owned(), Value::String(value)));
        put("timestamp", SystemClock.now().to_string());
        put("level", metadata.level().to_string());
        put("target", metadata.target().to_owned());
        put("service", self.service.to_owned());
        put("replica", self.replica.clone());
        if let Some((trace, span)) = self.ids(event, &context) {
            put("trace_id", trace);
            put("span_id", span);
        }
        event.record(&mut Fields(&mut line));
        if let Ok(mut bytes) = serde_json::to_vec(&line) {
            bytes.push(b'\n');
            self.sink.write(bytes);
        }
    }
}

/// Puts an event's fields into its line.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    /// Puts one field.
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let key = if OURS.contains(&name) && self.0.contains_key(name) { format!("field.{name}") } else { name.to_owned() };
        self.0.insert(key, value);
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::from(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field, Value::from(crate::lifecycle::sentence(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, Value::from(format!("{value:?}")));
    }
}
