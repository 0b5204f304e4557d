//! One event is one trace, from the source's `traceparent` to the target's request, as an OTLP receiver sees it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpResponse, HttpServer, web};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AttributeValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value::{IntValue, StringValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use tokio::task::JoinSet;

use crate::support::{Source, Target, accounts, busy, embedded, free_port, listener, until};

/// The trace that the source began.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// An OTLP receiver; it ends when it is dropped.
pub(crate) struct Collector {
    /// What came.
    received: Arc<Mutex<Received>>,
    /// Where it listens.
    pub(crate) endpoint: String,
    /// Serves.
    _serving: JoinSet<std::io::Result<()>>,
}

/// What exporters sent.
#[derive(Default)]
struct Received {
    /// The spans.
    spans: Vec<Span>,
    /// All bytes, as they came.
    bytes: Vec<u8>,
}

impl Collector {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let (received, (listener, address)) = (Arc::<Mutex<Received>>::default(), listener());
        let data = web::Data::from(Arc::clone(&received));
        let server = HttpServer::new(move || App::new().app_data(data.clone()).route("/v1/traces", web::post().to(receive)));
        let mut serving = JoinSet::new();
        serving.spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());
        Self { received, endpoint: format!("http://{address}"), _serving: serving }
    }

    /// All bytes so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.received.lock().unwrap().bytes.clone()
    }

    /// The spans of a trace so far.
    fn of(&self, trace: &str) -> Vec<Span> {
        self.received.lock().unwrap().spans.iter().filter(|span| hex(&span.trace_id) == trace).cloned().collect()
    }
}

/// Takes what an exporter sends.
async fn receive(received: web::Data<Mutex<Received>>, body: web::Bytes) -> HttpResponse {
    let mut received = received.lock().unwrap();
    received.bytes.extend_from_slice(&body);
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let spans = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans);
    received.spans.extend(spans);
    HttpResponse::Ok().finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_is_one_trace_from_the_source_to_the_target() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start();
    let target = Target::start(directory.path(), 1000);
    let port = free_port();
    let settings = [
        ("PORT", port.to_string()),
        ("ADMIN_PORT", free_port().to_string()),
        ("PROXY_SERVICE_TEST_USERS_DATA", accounts()),
        ("TARGET_SERVICE_GRAPHQL_URL", target.url()),
        ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "100".to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.clone()),
    ];
    let proxy = embedded(directory.path(), &settings);
    let source = Source::log_in(port).await;
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    assert_eq!(source.send("traced", Some(&parent)).await, Some(202));

    let expected =
        BTreeSet::from(["receive", "accept", "publish", "queue", "consume", "enrich", "pace", "deliver", "settle"].map(str::to_owned));
    let named = || collector.of(TRACE).into_iter().map(|span| span.name).collect();
    until("every stage's span has arrived", async || expected.is_subset(&named())).await;
    let recorded = target.records();
    let traced = recorded.iter().find(|record| record["id"] == "traced").unwrap();
    assert_eq!(traced["traceId"], TRACE, "the target was called in another trace: {traced}");

    let of_trace = collector.of(TRACE);
    let one = |name: &str| of_trace.iter().find(|span| span.name == name).unwrap();
    let (receive, queue, consume, deliver) = (one("receive"), one("queue"), one("consume"), one("deliver"));
    assert!(receive.start_time_unix_nano < queue.start_time_unix_nano && queue.start_time_unix_nano < queue.end_time_unix_nano);
    assert!(queue.end_time_unix_nano < consume.end_time_unix_nano, "{queue:?} {consume:?}");
    assert_eq!(receive.kind(), SpanKind::Server);
    assert_eq!((deliver.kind(), attribute(deliver, "http.response.status_code")), (SpanKind::Client, Some(IntValue(200))));
    assert_eq!(attribute(consume, "event.id"), Some(StringValue("traced".to_owned())));
    let ids: BTreeSet<&[u8]> = of_trace.iter().map(|span| span.span_id.as_slice()).collect();
    for span in &of_trace {
        let known = ids.contains(span.parent_span_id.as_slice()) || hex(&span.parent_span_id) == "00f067aa0ba902b7";
        assert!(known, "the span `{}` hangs on a parent that nobody sent", span.name);
    }
    drop(proxy);
    drop(machine);
}

/// An attribute of a span.
fn attribute(span: &Span, key: &str) -> Option<AttributeValue> {
    span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value
}

/// Bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
