//! Sends finished spans to an OTLP/HTTP receiver, in batches, from a thread of its own.
//!
//! The SDK keeps failures to itself; here the log hears of the first one, and of the end of the trouble. It does not tell
//! what it drops either, so the queue's bound is held here, and what finds no place is counted. So is what exporting may
//! take of the machine: under a load with more spans than that, traces are left out whole, before they begin.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_otlp::{ExporterBuildError, Protocol, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};
use tokio::time::Instant;

/// Where a receiver takes traces, under its base URL.
const PATH: &str = "/v1/traces";
/// How many finished spans may wait; more are dropped. Some 1 KiB each.
const QUEUE_MAX: usize = 16_384;
/// How many spans are sent at once.
const BATCH_MAX: usize = 2_048;
/// From how many waiting spans on no further trace begins: those that have begun find a place.
const CROWDED: usize = QUEUE_MAX / 2;
/// How many spans leave in a second at most: what exporting takes of the machine is bounded.
const PER_SECOND: u32 = 12_000;
/// How long a batch waits for more spans.
const DELAY: Duration = Duration::from_secs(1);
/// How long the receiver may take.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Takes finished spans for the receiver at `endpoint`, its base URL.
pub(super) fn processor(endpoint: &str, spans: Spans) -> Result<impl SpanProcessor + use<>, ExporterBuildError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(url(endpoint))
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(TIMEOUT)
        .build()?;
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_MAX)
        .with_max_export_batch_size(BATCH_MAX)
        .with_scheduled_delay(DELAY)
        .build();
    let told = Told { exporter, failed: AtomicU64::new(0), spans: spans.clone() };
    Ok(Bounded { inner: BatchSpanProcessor::builder(told).with_batch_config(config).build(), spans })
}

/// What became of a finished span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The receiver took it.
    Exported,
    /// The receiver did not take it.
    Failed,
    /// The queue was full.
    Dropped,
}

impl Ended {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Exported, Self::Failed, Self::Dropped];

    /// Its word in labels.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// Counts what becomes of finished spans; clones count the same.
#[derive(Debug, Clone, Default)]
pub struct Spans(Arc<Counts>);

/// What clones share.
#[derive(Debug, Default)]
struct Counts {
    /// See [`Ended`].
    exported: AtomicU64,
    /// See [`Ended`].
    failed: AtomicU64,
    /// See [`Ended`].
    dropped: AtomicU64,
    /// Those in the queue.
    waiting: AtomicUsize,
}

impl Spans {
    /// As many waiting as let no trace begin.
    #[cfg(test)]
    pub(crate) fn crowded() -> Self {
        let spans = Self::default();
        spans.0.waiting.store(CROWDED, Ordering::Relaxed);
        spans
    }

    /// How many ended so.
    pub(crate) fn count(&self, ended: Ended) -> u64 {
        self.counter(ended).load(Ordering::Relaxed)
    }

    /// Where those are counted that end so.
    fn counter(&self, ended: Ended) -> &AtomicU64 {
        match ended {
            Ended::Exported => &self.0.exported,
            Ended::Failed => &self.0.failed,
            Ended::Dropped => &self.0.dropped,
        }
    }

    /// Takes a place in the queue, or counts a span that has none.
    fn place(&self) -> bool {
        let free = self.0.waiting.fetch_add(1, Ordering::AcqRel) < QUEUE_MAX;
        if !free {
            self.0.waiting.fetch_sub(1, Ordering::AcqRel);
            self.counter(Ended::Dropped).fetch_add(1, Ordering::Relaxed);
        }
        free
    }

    /// Whether a trace may begin; one that may not counts as a span that was dropped.
    pub(crate) fn admit(&self) -> bool {
        let admitted = self.0.waiting.load(Ordering::Relaxed) < CROWDED;
        if !admitted {
            self.counter(Ended::Dropped).fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// So many spans leave the queue.
    fn leave(&self, spans: usize) {
        self.0.waiting.fetch_sub(spans, Ordering::AcqRel);
    }
}

/// Lets into the queue what has a place there.
#[derive(Debug)]
struct Bounded {
    /// The queue, and what empties it.
    inner: BatchSpanProcessor,
    /// Counts.
    spans: Spans,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.spans.place() {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// The URL that takes traces; one that names it already stays.
fn url(endpoint: &str) -> String {
    let base = endpoint.trim_end_matches('/');
    if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") }
}

/// Tells the log when exporting begins and ceases to fail.
#[derive(Debug)]
struct Told<E> {
    /// What exports.
    exporter: E,
    /// How many batches failed in a row.
    failed: AtomicU64,
    /// Counts.
    spans: Spans,
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let (spans, began) = (batch.len(), Instant::now());
        self.spans.leave(spans);
        let result = self.exporter.export(batch).await;
        let ended = if result.is_ok() { Ended::Exported } else { Ended::Failed };
        self.spans.counter(ended).fetch_add(u64::try_from(spans).unwrap_or(u64::MAX), Ordering::Relaxed);
        match &result {
            Ok(()) => {
                let batches = self.failed.swap(0, Ordering::Relaxed);
                if batches > 0 {
                    tracing::info!(batches, "traces are exported again");
                }
            }
            Err(error) => {
                if self.failed.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!(%error, spans, "cannot export traces; spans are lost until it works again");
                }
            }
        }
        // The thread is the exporter's own, so nobody else waits here.
        let takes = Duration::from_secs(1) * u32::try_from(spans).unwrap_or(u32::MAX) / PER_SECOND;
        std::thread::sleep(takes.saturating_sub(began.elapsed()));
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
    use opentelemetry_sdk::trace::{SpanData, SpanExporter};

    use super::super::tests::{Kept, options};
    use super::super::{LogOutput, assemble};
    use super::{Ended, QUEUE_MAX, Spans, Told, url};

    #[test]
    fn traces_go_to_their_path_under_the_base_url() {
        for endpoint in ["http://jaeger:4318", "http://jaeger:4318/", "http://jaeger:4318/v1/traces"] {
            assert_eq!(url(endpoint), "http://jaeger:4318/v1/traces");
        }
        assert_eq!(url("https://host/otlp"), "https://host/otlp/v1/traces");
    }

    #[test]
    fn a_span_without_a_place_in_the_queue_is_counted_and_takes_none() {
        let spans = Spans::default();
        assert!((0..QUEUE_MAX).all(|_| spans.place()));
        assert!(!spans.place() && !spans.place());
        spans.leave(1);
        assert!(spans.place() && !spans.place());
        assert_eq!(spans.count(Ended::Dropped), 3);
    }

    /// A receiver that is away as long as it is told to be.
    #[derive(Debug)]
    struct Receiver(AtomicBool);

    impl SpanExporter for Receiver {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            let away = self.0.load(Ordering::SeqCst);
            if away { Err(OTelSdkError::InternalFailure("nobody answers".to_owned())) } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn the_log_hears_of_the_first_failure_and_of_the_end_of_the_trouble() {
        let kept = Kept::default();
        let (dispatch, guard) = assemble(&options(LogOutput::Json, "info"), Box::new(kept.clone())).unwrap();
        let scope = tracing::dispatcher::set_default(&dispatch);
        let told = Told { exporter: Receiver(AtomicBool::new(true)), failed: AtomicU64::new(0), spans: Spans::default() };
        for _ in 0..3 {
            assert!(told.export(Vec::new()).await.is_err());
        }
        told.exporter.0.store(false, Ordering::SeqCst);
        for _ in 0..2 {
            assert!(told.export(Vec::new()).await.is_ok());
        }
        drop(scope);
        guard.stop();
        let lines = kept.lines();
        let [first, last] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((first["level"].as_str(), last["level"].as_str()), (Some("WARN"), Some("INFO")));
        assert!(first["error"].as_str().unwrap().contains("nobody answers") && last["batches"] == 3, "{lines:?}");
    }
}
