//! Logs and traces of a process, started once, first of all.
//!
//! Spans exist whatever is logged or exported: every event has a trace id, which the journal and the next process
//! need. Nothing here waits on the path of an event: log lines and finished spans go through bounded queues to
//! threads of their own, and what does not fit is dropped and told.
//!
//! ```text
//! events ─▶ filter (LOG_FILTER) ─▶ lines ─▶ queue ─▶ stdout
//! spans  ─▶ sampler ─▶ queue ─▶ OTLP/HTTP
//! ```

mod sink;
mod lines;
mod export;

use std::io::{self, Write};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Level, Metadata};
use tracing_subscriber::filter::{ParseError, Targets, filter_fn};
use tracing_subscriber::prelude::*;

use crate::trace;
pub(crate) use export::Ended;
pub use export::Spans;
use sink::Sink;

/// How long the end waits for spans to be exported.
const EXPORT_PATIENCE: Duration = Duration::from_secs(5);
/// How long the end waits for log lines to be written.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOutput {
    /// One JSON object per line to stdout.
    Json,
    /// Nowhere, for a process that draws on its terminal.
    None,
}

/// What to tell, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The binary's name: `service` in logs, `service.name` in traces.
    pub service: &'static str,
    /// This replica's name: `replica` in logs, `service.instance.id` in traces.
    pub replica: String,
    /// The base URL of an OTLP/HTTP receiver; without one no span is exported.
    pub otlp_endpoint: Option<String>,
    /// Where log lines go.
    pub log: LogOutput,
    /// What is logged: a level, or comma-separated `target=level`.
    pub log_filter: String,
}

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `LOG_FILTER` is not understood.
    #[error("read the log filter `{filter}`")]
    Filter {
        /// The filter as it was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        cause: ParseError,
    },
    /// The receiver of traces cannot be used: its URL is wrong, most likely.
    #[error("prepare the export of traces")]
    Export(#[source] opentelemetry_otlp::ExporterBuildError),
    /// The thread that writes log lines cannot be started.
    #[error("start the writer of log lines")]
    Writer(#[source] io::Error),
    /// Telemetry runs in this process already.
    #[error("telemetry has been started before")]
    AlreadyStarted,
}

/// Keeps telemetry going; dropped or stopped, it writes out what is queued, within a bound.
#[derive(Debug)]
#[must_use = "dropping the guard ends telemetry"]
pub struct Guard {
    /// What makes spans.
    provider: SdkTracerProvider,
    /// What becomes of them, where they are exported.
    spans: Option<Spans>,
    /// What writes log lines.
    sink: Option<Sink>,
}

impl Guard {
    /// Counts what becomes of spans; nothing where none is exported.
    #[must_use]
    pub fn spans(&self) -> Option<Spans> {
        self.spans.clone()
    }

    /// Exports and writes what is queued. It blocks, for at most seven seconds: call it last of all.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(EXPORT_PATIENCE) {
            tracing::warn!(%error, "spans may be lost: the export did not end in time");
        }
        if let Some(sink) = &self.sink {
            sink.flush(WRITE_PATIENCE);
        }
    }
}

/// Says whether a filter is one, so that a wrong one is told with the other settings.
///
/// # Errors
/// [`Error::Filter`] with what is wrong.
pub fn judge_filter(filter: &str) -> Result<(), Error> {
    parse(filter).map(drop)
}

/// Starts telemetry for the whole process.
///
/// # Errors
/// [`Error`] when an option is unusable, or telemetry runs already.
pub fn start(options: &Options) -> Result<Guard, Error> {
    crate::tls::install();
    let (dispatch, guard) = assemble(options, Box::new(io::stdout()))?;
    if options.otlp_endpoint.is_some() {
        opentelemetry::global::set_tracer_provider(guard.provider.clone());
    }
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| Error::AlreadyStarted)?;
    Ok(guard)
}

/// Puts the parts together, with log lines going to `output`.
fn assemble(options: &Options, output: Box<dyn Write + Send>) -> Result<(Dispatch, Guard), Error> {
    let filter = parse(&options.log_filter)?;
    let spans = options.otlp_endpoint.as_ref().map(|_| Spans::default());
    let provider = provider(options, spans.clone().unwrap_or_default())?;
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(trace::SCOPE))
        // Parents are found by spans of `tracing`; activating contexts at each poll would cost and give nothing.
        .with_context_activation(false)
        .with_tracked_inactivity(false)
        .with_location(false)
        .with_threads(false)
        .with_target(false);
    let sink = match options.log {
        LogOutput::Json => Some(Sink::start(output).map_err(Error::Writer)?),
        LogOutput::None => None,
    };
    let traced = filter_fn(|metadata| is_ours_to_trace(metadata) || (metadata.is_event() && *metadata.level() <= Level::WARN));
    let subscriber = tracing_subscriber::registry().with(traces.with_filter(traced.with_max_level_hint(LevelFilter::INFO)));
    // Not an optional layer: that would not be told which subscriber it belongs to.
    let dispatch = match &sink {
        Some(sink) => {
            let widest = filter.clone().into_iter().map(|(_, level)| level).chain(filter.default_level()).chain([LevelFilter::INFO]).max();
            // Spans pass whatever the filter says of them, so that a line can tell its trace.
            let shown = filter_fn(move |metadata| is_ours_to_trace(metadata) || filter.would_enable(metadata.target(), metadata.level()));
            let shown = shown.with_max_level_hint(widest.unwrap_or(LevelFilter::TRACE));
            Dispatch::new(subscriber.with(lines::Lines::new(options.service, &options.replica, sink.clone()).with_filter(shown)))
        }
        None => Dispatch::new(subscriber),
    };
    Ok((dispatch, Guard { provider, spans, sink }))
}

/// Spans of the path have the level INFO; the finer ones of libraries are not worth their cost.
fn is_ours_to_trace(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO
}

/// Makes what makes spans. Which traces that start here are recorded is decided before, by [`Recorder`](crate::trace::Recorder);
/// without a receiver none is.
fn provider(options: &Options, spans: Spans) -> Result<SdkTracerProvider, Error> {
    let resource = Resource::builder()
        .with_service_name(options.service)
        .with_attributes([
            KeyValue::new("service.instance.id", options.replica.clone()),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ])
        .build();
    let root = match options.otlp_endpoint {
        Some(_) => Sampler::AlwaysOn,
        None => Sampler::AlwaysOff,
    };
    let mut builder = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Sampler::ParentBased(Box::new(root)))
        .with_id_generator(trace::Ids);
    if let Some(endpoint) = &options.otlp_endpoint {
        builder = builder.with_span_processor(export::processor(endpoint, spans).map_err(Error::Export)?);
    }
    Ok(builder.build())
}

/// Reads a filter; an empty one shows nothing.
fn parse(filter: &str) -> Result<Targets, Error> {
    filter.parse().map_err(|cause| Error::Filter { filter: filter.to_owned(), cause })
}

#[cfg(test)]
#[path = "telemetry_tests.rs"]
mod tests;
