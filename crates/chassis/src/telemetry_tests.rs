//! Lines and traces as they leave the process.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use events_proxy_core::TraceContext;
use serde_json::Value;

use super::{Guard, LogOutput, Options, assemble, judge_filter};
use crate::clock::{Clock, SystemClock};
use crate::trace::{self, Recorder};

/// The context of a caller that samples.
const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// The context of a caller that does not.
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// Keeps what is written.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    /// The lines written, parsed.
    pub(super) fn lines(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap().clone();
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect()
    }
}

/// Options of a process that exports nothing.
pub(super) fn options(log: LogOutput, log_filter: &str) -> Options {
    Options { service: "ingest", replica: "ingest-0".to_owned(), otlp_endpoint: None, log, log_filter: log_filter.to_owned() }
}

/// Runs something under telemetry with these options; tells the lines it wrote.
fn told(options: &Options, what: impl FnOnce()) -> Vec<Value> {
    let kept = Kept::default();
    let (dispatch, guard) = assemble(options, Box::new(kept.clone())).unwrap();
    tracing::dispatcher::with_default(&dispatch, what);
    guard.stop();
    kept.lines()
}

#[test]
fn line_breaks_in_what_is_told_stay_in_their_line() {
    let hostile = "e1\n{\"level\":\"ERROR\"}\r\n\u{2028}\u{1b}[31m\0";
    let lines = told(&options(LogOutput::Json, "info"), || {
        tracing::info!(event.id = hostile, error = &io::Error::other(hostile) as &dyn std::error::Error, "said of {hostile}");
    });
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((line["event.id"].as_str(), line["error"].as_str(), line["level"].as_str()), (Some(hostile), Some(hostile), Some("INFO")));
}

#[test]
fn a_line_is_a_flat_object_that_tells_service_replica_and_trace() {
    let lines = told(&options(LogOutput::Json, "info"), || {
        let span = tracing::info_span!("receive");
        trace::adopt(&span, &TraceContext::parse(SAMPLED, None).unwrap());
        let error = io::Error::other("the disk is full");
        span.in_scope(|| {
            tracing::info!(event.id = "e1", attempt = 3_u64, level = "mine", error = &error as &dyn std::error::Error, "said in a span");
        });
        tracing::warn!(ok = true, "said outside");
        tracing::warn!(trace_id = "of an event", "said of an event outside");
        tracing::debug!("not said");
    });
    let [inside, outside, event] = lines.as_slice() else { panic!("{lines:?}") };
    for (key, value) in [
        ("level", "INFO"),
        ("service", "ingest"),
        ("replica", "ingest-0"),
        ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("message", "said in a span"),
        ("event.id", "e1"),
        ("field.level", "mine"),
        ("error", "the disk is full"),
    ] {
        assert_eq!(inside[key], value, "{key} in {inside}");
    }
    assert_eq!(inside["attempt"], 3);
    assert_eq!(inside["span_id"].as_str().unwrap().len(), 16);
    assert!(inside["timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!((outside["level"].as_str(), outside["trace_id"].as_str()), (Some("WARN"), None));
    assert_eq!(event["trace_id"], "of an event");
}

#[test]
fn a_filter_by_target_shows_more_or_less_of_it() {
    let lines = told(&options(LogOutput::Json, "error,noisy=debug"), || {
        tracing::debug!(target: "noisy::part", "shown");
        tracing::trace!(target: "noisy::part", "hidden");
        tracing::warn!(target: "other", "hidden");
        let span = tracing::info_span!("receive");
        span.in_scope(|| tracing::error!(target: "other", "shown"));
    });
    assert_eq!(lines.iter().map(|line| line["message"].as_str().unwrap()).collect::<Vec<_>>(), ["shown", "shown"]);
    assert!(lines[1]["trace_id"].is_string(), "a filter hides the trace of {}", lines[1]);
    assert!(judge_filter("info,ingest=debug").is_ok() && judge_filter("ingest=loud").is_err());
}

#[test]
fn a_level_alone_is_that_of_every_target() {
    for (filter, expected) in [("trace", 3), ("debug", 2), ("info", 1), ("error", 0)] {
        let lines = told(&options(LogOutput::Json, filter), || {
            tracing::info!(target: "some", "told");
            tracing::debug!(target: "other", "told");
            tracing::trace!(target: "third", "told");
        });
        assert_eq!(lines.len(), expected, "{filter}");
    }
}

#[test]
fn spans_have_their_contexts_even_when_logs_go_nowhere() {
    for (log, filter) in [(LogOutput::None, "info"), (LogOutput::None, "off"), (LogOutput::Json, "off")] {
        let lines = told(&options(log, filter), || {
            let parent = TraceContext::parse(SAMPLED, Some("vendor=a1")).unwrap();
            let receive = tracing::info_span!("receive");
            trace::adopt(&receive, &parent);
            let accept = receive.in_scope(|| tracing::info_span!("accept"));
            let (outer, inner) = (trace::context(&receive), trace::context(&accept));
            for context in [&outer, &inner] {
                assert_eq!(context.trace_id(), parent.trace_id());
                assert_eq!(context.tracestate(), Some("vendor=a1"));
                assert!(context.traceparent().ends_with("-01"));
            }
            assert!(outer.traceparent() != inner.traceparent() && outer != parent);
            tracing::error!("nobody reads this");
        });
        assert!(lines.is_empty(), "{lines:?}");
    }
}

#[test]
fn a_caller_that_does_not_sample_is_followed_and_roots_without_a_receiver_are_not_sampled() {
    told(&options(LogOutput::None, "info"), || {
        let span = tracing::info_span!("receive");
        trace::adopt(&span, &TraceContext::parse(UNSAMPLED, None).unwrap());
        let context = trace::context(&span);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(context.traceparent().ends_with("-00"));
        let root = trace::context(&tracing::info_span!("receive"));
        assert!(root.traceparent().ends_with("-00"));
        assert_ne!(root.trace_id(), trace::context(&tracing::info_span!("receive")).trace_id());
    });
}

#[test]
fn traces_begin_with_their_second_whether_or_not_they_are_recorded() {
    told(&options(LogOutput::None, "info"), || {
        let now = SystemClock.now().as_micros() / 1_000_000;
        let (recorded, _) = Recorder::new(Some(1.0)).begin(None, || tracing::info_span!("receive"));
        for context in [trace::context(&recorded), Recorder::new(None).begin(None, || unreachable!("a span for nobody")).1] {
            let second = i64::from_str_radix(context.trace_id().get(..8).unwrap(), 16).unwrap();
            assert!((now..now + 5).contains(&second), "{context} at {now}");
        }
    });
}

#[test]
fn a_span_that_has_started_keeps_its_trace_and_says_so() {
    let lines = told(&options(LogOutput::Json, "warn"), || {
        let span = tracing::info_span!("receive");
        let before = trace::context(&span);
        trace::adopt(&span, &TraceContext::parse(SAMPLED, None).unwrap());
        assert_eq!(trace::context(&span), before);
    });
    assert_eq!(lines.iter().map(|line| line["message"].as_str().unwrap()).collect::<Vec<_>>(), ["a span keeps its own trace"]);
}

/// Starts telemetry that exports to `endpoint`.
fn exporting(endpoint: String, kept: &Kept) -> (tracing::Dispatch, Guard) {
    crate::tls::install();
    let options = Options { otlp_endpoint: Some(endpoint), ..options(LogOutput::Json, "info") };
    assemble(&options, Box::new(kept.clone())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sampled_spans_reach_the_receiver_before_the_stop_ends() {
    let received = Arc::new(Mutex::new(Vec::<u8>::new()));
    let data = web::Data::new(Arc::clone(&received));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let app = move || App::new().app_data(data.clone()).route("/v1/traces", web::post().to(receive));
    let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
    let handle = server.handle();
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(server);

    let kept = Kept::default();
    let (dispatch, guard) = exporting(endpoint, &kept);
    tracing::dispatcher::with_default(&dispatch, || {
        tracing::info_span!("receive", event.id = "event-one").in_scope(|| {});
        let unsampled = tracing::info_span!("unsampled");
        trace::adopt(&unsampled, &TraceContext::parse(UNSAMPLED, None).unwrap());
        tracing::debug_span!("too fine").in_scope(|| {});
    });
    tokio::task::spawn_blocking(|| guard.stop()).await.unwrap();
    let body = received.lock().unwrap().clone();
    let holds = |text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
    for text in ["receive", "event-one", "service.name", "ingest", "service.instance.id", "ingest-0"] {
        assert!(holds(text), "{text}");
    }
    assert!(!holds("unsampled") && !holds("too fine"));
    assert!(kept.lines().is_empty(), "{:?}", kept.lines());
    handle.stop(false).await;
}

/// Keeps what an exporter sends.
async fn receive(received: web::Data<Arc<Mutex<Vec<u8>>>>, body: web::Bytes) -> HttpResponse {
    received.lock().unwrap().extend_from_slice(&body);
    HttpResponse::Ok().finish()
}

#[test]
fn a_receiver_that_is_away_does_not_hold_up_the_stop() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let kept = Kept::default();
    let (dispatch, guard) = exporting(format!("http://{gone}"), &kept);
    let before = tokio::time::Instant::now();
    tracing::dispatcher::with_default(&dispatch, || {
        tracing::info_span!("receive").in_scope(|| {});
        guard.stop();
    });
    assert!(before.elapsed() < Duration::from_secs(8));
}

#[test]
fn an_endpoint_that_is_no_url_is_an_error() {
    let options = Options { otlp_endpoint: Some("http://not a url".to_owned()), ..options(LogOutput::None, "info") };
    let error = assemble(&options, Box::new(io::sink())).unwrap_err();
    assert_eq!(error.to_string(), "prepare the export of traces");
}
