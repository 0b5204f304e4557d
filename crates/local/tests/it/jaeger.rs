//! What an engineer finds in Jaeger: separate processes on Kafka and PostgreSQL, spans by OTLP, one trace per event read back by
//! Jaeger's query API.

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::console::browser::{Browser, Scheme};
use crate::console::scene;
use crate::support::{PATIENCE, Process, Source, busy, free_port, services, simulator, told, until};

/// The trace that the source begins for an event of its own.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// The span of that source's request.
const SOURCE_SPAN: &str = "00f067aa0ba902b7";
/// The operator's secret.
const OPERATOR: &str = "the secret of an operator";

/// Jaeger, as `make test` brings it up.
struct Jaeger {
    /// Its query API.
    query: String,
    /// Its receiver.
    receiver: String,
    /// Asks.
    client: Client,
}

/// A span as Jaeger tells it.
#[derive(Debug)]
struct Span {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// The process that made it.
    service: String,
    /// The span that it is a part of.
    parent: Option<String>,
    /// Traces that it leads to.
    links: Vec<String>,
    /// From when to when, in microseconds.
    times: (u64, u64),
    /// Its attributes.
    tags: BTreeMap<String, Value>,
}

impl Jaeger {
    /// Finds it; a test that needs it fails without it.
    fn find() -> Self {
        chassis::tls::install();
        Self {
            query: told("TEST_JAEGER_URL"),
            receiver: told("TEST_OTLP_URL"),
            client: Client::builder().timeout(PATIENCE).build().unwrap(),
        }
    }

    /// The spans of a trace, the first one first.
    async fn trace(&self, id: &str) -> Vec<Span> {
        let answer = self.client.get(format!("{}/api/traces/{id}", self.query)).send().await.unwrap().json::<Value>().await.unwrap();
        let trace = &answer["data"][0];
        let mut spans: Vec<Span> =
            trace["spans"].as_array().into_iter().flatten().map(|span| Span::read(span, &trace["processes"], id)).collect();
        spans.sort_by_key(|span| span.times);
        spans
    }

    /// The spans of a trace, once all of these are there.
    async fn whole(&self, id: &str, names: &[(&str, &str)]) -> Vec<Span> {
        let mut spans = Vec::new();
        until(&format!("Jaeger has {names:?} of {id}"), async || {
            spans = self.trace(id).await;
            names.iter().all(|(service, name)| spans.iter().any(|span| span.service == *service && span.name == *name))
        })
        .await;
        spans
    }
}

impl Span {
    /// Reads a span; it must be of that trace.
    fn read(span: &Value, processes: &Value, trace: &str) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert_eq!(span["traceID"], trace);
        let references = span["references"].as_array().into_iter().flatten();
        let (parents, others): (Vec<&Value>, Vec<&Value>) = references.partition(|to| to["refType"] == "CHILD_OF");
        let start = span["startTime"].as_u64().unwrap();
        Self {
            id: text(&span["spanID"]),
            name: text(&span["operationName"]),
            service: text(&processes[span["processID"].as_str().unwrap()]["serviceName"]),
            parent: parents.first().map(|parent| text(&parent["spanID"])),
            links: others.iter().map(|to| text(&to["traceID"])).collect(),
            times: (start, start + span["duration"].as_u64().unwrap()),
            tags: span["tags"].as_array().into_iter().flatten().map(|tag| (text(&tag["key"]), tag["value"].clone())).collect(),
        }
    }
}

/// The one span of that name.
fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("there is no span `{name}` in {spans:#?}"));
    assert!(found.next().is_none(), "there are several spans `{name}` in {spans:#?}");
    span
}

/// The processes of the whole system on real services.
struct System {
    /// The settings of ingest and dispatcher.
    settings: Vec<(&'static str, String)>,
    /// The target's port.
    target_port: u16,
    /// The dispatcher's private port.
    operators: u16,
    /// Ingest's public port.
    port: u16,
    /// What runs.
    running: Vec<Process>,
}

impl System {
    /// Starts ingest and dispatcher, which record no trace unless its source does.
    async fn start(directory: &Path, jaeger: &Jaeger) -> Self {
        let (target_port, operators, port) = (free_port(), free_port(), free_port());
        let mut settings = services().await.shared();
        let operator = json!([{ "name": "ada", "secret": bcrypt::hash(OPERATOR, 4).unwrap(), "role": "operator" }]);
        settings.extend([
            ("OPERATOR_ACCOUNTS", operator.to_string()),
            ("TARGET_SERVICE_GRAPHQL_URL", format!("http://127.0.0.1:{target_port}/graphql")),
            ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "100".to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", jaeger.receiver.clone()),
            ("OTEL_TRACES_SAMPLER_ARG", "0".to_owned()),
        ]);
        let mut system = Self { settings, target_port, operators, port, running: Vec::new() };
        for (name, admin_port) in [("ingest", free_port()), ("dispatcher", operators)] {
            let mut own = system.settings.clone();
            own.extend([("ADMIN_PORT", admin_port.to_string()), ("PORT", port.to_string())]);
            own.push(("SPOOL_DIR", directory.join("spool").display().to_string()));
            system.running.push(Process::start(name, directory, &own, &[]));
        }
        system
    }

    /// Starts the target, which refuses every event or takes it.
    fn target(&self, directory: &Path, jaeger: &Jaeger, refuses: bool) -> Process {
        let settings = [
            ("PORT", self.target_port.to_string()),
            ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "1000".to_owned()),
            ("TARGET_FAILURE_SHARE", if refuses { "1" } else { "0" }.to_owned()),
            ("TARGET_FAILURES", "refused".to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", jaeger.receiver.clone()),
        ];
        simulator("target", directory, &settings)
    }

    /// Has the simulated source send one event, and waits for its end.
    async fn send_as_source(&self, directory: &Path, jaeger: &Jaeger) -> String {
        let record = directory.join("source.jsonl");
        let settings = [
            ("API_URL", format!("http://127.0.0.1:{}/api", self.port)),
            (
                "SOURCE_SERVICE_TEST_USER_CREDENTIALS",
                json!({ "authId": chaos::source::AUTH_ID, "secret": chaos::source::SECRET }).to_string(),
            ),
            ("SOURCE_SERVICE_SEND_EVENTS_INTERVAL_MS", "10".to_owned()),
            ("SOURCE_COUNT", "1".to_owned()),
            ("SOURCE_RECORD_FILE", record.display().to_string()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", jaeger.receiver.clone()),
        ];
        let _source = simulator("source", directory, &settings);
        let mut line = None;
        until("the source has sent its event", async || {
            let written = std::fs::read_to_string(&record).unwrap_or_default();
            line = written.lines().next().and_then(|line| serde_json::from_str::<Value>(line).ok());
            // What the source exports is sent as it ends.
            line.is_some()
                && !jaeger.trace(line.as_ref().unwrap()["traceId"].as_str().unwrap()).await.iter().all(|span| span.service != "source")
        })
        .await;
        line.unwrap()["traceId"].as_str().unwrap().to_owned()
    }

    /// Replays an event, as the operator.
    async fn replay(&self, client: &Client, id: &str) -> Value {
        let url = format!("http://127.0.0.1:{}/operator", self.operators);
        let session = client.post(format!("{url}/sessions")).json(&json!({ "name": "ada", "secret": OPERATOR })).send().await.unwrap();
        let token = session.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
        let order = client.request(Method::POST, format!("{url}/replays")).bearer_auth(token).json(&json!({ "eventId": id }));
        order.send().await.unwrap().json().await.unwrap()
    }
}

/// Waits until the journal has an event in a state; tells its trace.
async fn ended(source: &Source, id: &str, state: &str) -> String {
    let mut trace = None;
    until(&format!("{id} is {state}"), async || {
        let found = source.look_up(id).await.filter(|found| found["state"] == state);
        trace = found.map(|found| found["traceId"].as_str().unwrap().to_owned());
        trace.is_some()
    })
    .await;
    trace.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engineer_finds_each_event_in_jaeger_and_each_failure_whatever_is_recorded() {
    let _machine = busy().await;
    let (directory, jaeger) = (tempfile::tempdir().unwrap(), Jaeger::find());
    let system = System::start(directory.path(), &jaeger).await;
    let mut refusing = system.target(directory.path(), &jaeger, true);
    let source = Source::log_in(system.port).await;
    let parent = format!("00-{TRACE}-{SOURCE_SPAN}-01");
    assert_eq!((source.send("unseen", None).await, source.send("replayed", Some(&parent)).await), (Some(202), Some(202)));
    let unseen = ended(&source, "unseen", "dead").await;
    assert_eq!(ended(&source, "replayed", "dead").await, TRACE);
    refusing.end("TERM").await;
    let _taking = system.target(directory.path(), &jaeger, false);
    let order = system.replay(&jaeger.client, "replayed").await;
    ended(&source, "replayed", "delivered").await;

    // A death is told although nobody recorded its trace.
    let spans = jaeger.whole(&unseen, &[("dispatcher", "settle")]).await;
    for name in ["receive", "queue", "deliver", "settle"] {
        one(&spans, name);
    }
    assert_eq!((&one(&spans, "deliver").tags["error"], &one(&spans, "settle").tags["event.state"]), (&json!(true), &json!("dead")));

    // Both rounds of the replayed event are one trace, which leads to the order.
    let spans = jaeger.whole(TRACE, &[("dispatcher", "dead"), ("ingest", "receive"), ("ingest", "publish")]).await;
    let rounds: Vec<&Span> = spans.iter().filter(|span| span.name == "consume").collect();
    let [first, second] = rounds.as_slice() else { panic!("two rounds were expected: {spans:#?}") };
    let dead = one(&spans, "dead");
    assert!(first.times.0 < dead.times.0 && dead.times.0 < dead.times.1 && dead.times.1 <= second.times.1, "{spans:#?}");
    assert_eq!((first.links.as_slice(), second.links.as_slice()), (&[][..], &[order["traceId"].as_str().unwrap().to_owned()][..]));
    assert_eq!(
        one(&jaeger.whole(order["traceId"].as_str().unwrap(), &[("dispatcher", "replay")]).await, "replay").tags["operator.name"],
        "ada"
    );
    assert_eq!(one(&spans, "receive").parent.as_deref(), Some(SOURCE_SPAN));

    the_simulated_sources_event_is_one_trace_of_four_processes(&system, &jaeger, directory.path()).await;
}

/// From the source's own span to the target's, with every stage under the right parent.
async fn the_simulated_sources_event_is_one_trace_of_four_processes(system: &System, jaeger: &Jaeger, directory: &Path) {
    let trace = system.send_as_source(directory, jaeger).await;
    let spans = jaeger
        .whole(&trace, &[("source", "send event"), ("ingest", "publish"), ("dispatcher", "settle"), ("target", "processEvent")])
        .await;
    let parent = |name: &str| spans.iter().find(|span| Some(&span.id) == one(&spans, name).parent.as_ref()).map(|span| span.name.as_str());
    for (name, expected) in [
        ("send event", None),
        ("receive", Some("send event")),
        ("authenticate", Some("receive")),
        ("validate", Some("receive")),
        ("accept", Some("receive")),
        ("publish", Some("receive")),
        ("queue", Some("receive")),
        ("consume", Some("receive")),
        ("enrich", Some("consume")),
        ("pace", Some("consume")),
        ("deliver", Some("consume")),
        ("processEvent", Some("deliver")),
        ("settle", Some("consume")),
    ] {
        assert_eq!(parent(name), expected, "the parent of {name}");
    }
    assert_eq!(one(&spans, "receive").tags["http.response.status_code"], 202);
    assert_eq!(one(&spans, "deliver").tags["http.response.status_code"], 200);
    pictured(jaeger, &trace, spans.len()).await;
}

/// The trace as Jaeger shows it, for `target/screenshots`.
async fn pictured(jaeger: &Jaeger, trace: &str, spans: usize) {
    let browser = Browser::start().await;
    browser.look(1_280, Scheme::Light).await;
    browser.open(&format!("{}/trace/{trace}", jaeger.query)).await;
    until("Jaeger shows every span", async || browser.run("return document.querySelectorAll('.span-row').length").await == spans).await;
    browser.picture(&scene::pictures().join("jaeger-trace.png")).await;
    browser.close().await;
}
