//! The simulators' own spans: the source's request and the target's answer, at both ends of an event's trace.
//!
//! They go to the tracer of the process: the one of [`export`] in the programs, the proxy's in its own process. Where there
//! is none, nothing is recorded, and traces are begun all the same.

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span, SpanKind, Status, Tracer};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_otlp::{ExporterBuildError, Protocol, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::client::install_cryptography;
use crate::environment::Environment;

/// Whose spans these are.
const SCOPE: &str = "simulators";

/// Exports spans until it is dropped, which sends what is left.
#[derive(Debug)]
#[must_use = "dropping it ends the export"]
pub(crate) struct Export(SdkTracerProvider);

impl Drop for Export {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "spans may be lost");
        }
    }
}

/// Exports the spans of this process to the receiver that `OTEL_EXPORTER_OTLP_ENDPOINT` names; without one nothing is recorded.
///
/// # Errors
/// The receiver's URL is wrong, most likely.
pub(crate) fn export(environment: &Environment, service: &'static str) -> Result<Option<Export>, ExporterBuildError> {
    let Some(endpoint) = environment.text("OTEL_EXPORTER_OTLP_ENDPOINT") else { return Ok(None) };
    install_cryptography();
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_protocol(Protocol::HttpBinary)
        .build()?;
    let resource = Resource::builder().with_service_name(service).build();
    let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
    global::set_tracer_provider(provider.clone());
    Ok(Some(Export(provider)))
}

/// A span of the global tracer.
#[derive(Debug)]
pub(crate) struct Recorded(global::BoxedSpan);

impl Recorded {
    /// Begins the span of a request that is sent, and with it a trace.
    pub(crate) fn request(name: &'static str) -> Self {
        let tracer = global::tracer(SCOPE);
        Self(tracer.span_builder(name).with_kind(SpanKind::Client).start_with_context(&tracer, &Context::new()))
    }

    /// Begins the span of a request that is answered, in the trace that its headers name.
    pub(crate) fn answer(name: &'static str, headers: &impl Extractor) -> Self {
        let tracer = global::tracer(SCOPE);
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), headers);
        Self(tracer.span_builder(name).with_kind(SpanKind::Server).start_with_context(&tracer, &context))
    }

    /// The ids of trace and span; none where nothing is recorded.
    pub(crate) fn ids(&self) -> Option<(String, String)> {
        let context = self.0.span_context();
        context.is_valid().then(|| (context.trace_id().to_string(), context.span_id().to_string()))
    }

    /// Ends with the answer's status.
    pub(crate) fn answered(mut self, status: u16) {
        self.0.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        if status >= 400 {
            self.0.set_status(Status::error("the request was not fulfilled"));
        }
    }
}
