//! What the process tells of itself under real traffic: against its reference, and on a live Prometheus that every panel
//! and alert asks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use chassis::metrics::{Family, Kind, Values};
use local::reference;
use serde_json::{Value, json};
use simulators::target::{Failure, Options, Target};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{Process, Source, accounts, busy, embedded, free_port, listener, until};

/// A running `events-proxy` with a target that fails now and then, under traffic of every kind until it is dropped.
struct Scene {
    admin_port: u16,
    _proxy: Process,
    _target: Target,
    _traffic: JoinSet<()>,
    /// The last one to go: a process that is dropped in a failure tells what it wrote there.
    directory: tempfile::TempDir,
}

impl Scene {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut traffic = JoinSet::new();
        let (collector, collector_address) = listener();
        let server = HttpServer::new(|| App::new().default_service(web::to(HttpResponse::Ok)));
        let server = server.workers(1).disable_signals().listen(collector).unwrap().run();
        traffic.spawn(async move { server.await.unwrap() });
        let options = Options {
            rate_interval: Duration::from_millis(100),
            rate_requests: 1_000,
            failure_share: 0.3,
            failures: vec![Failure::ServerError, Failure::Refused],
            ..Options::default()
        };
        let target = Target::start(options, listener().0, CancellationToken::new()).unwrap();
        let (port, admin_port) = (free_port(), free_port());
        let settings = [
            ("PORT", port.to_string()),
            ("ADMIN_PORT", admin_port.to_string()),
            ("PROXY_SERVICE_TEST_USERS_DATA", accounts()),
            ("TARGET_SERVICE_GRAPHQL_URL", format!("http://{}/graphql", target.address())),
            ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "100".to_owned()),
            ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "100".to_owned()),
            ("TARGET_SERVICE_REQUEST_RETRIES", "0".to_owned()),
            ("DELIVERY_PARK_MIN_MS", "500".to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector_address}")),
        ];
        let proxy = embedded(directory.path(), &settings);
        let source = Source::log_in(port).await;
        traffic.spawn(send(source, [port, admin_port]));
        Self { admin_port, _proxy: proxy, _target: target, _traffic: traffic, directory }
    }

    /// What `/metrics` says in a format.
    async fn scrape(&self, accept: &str) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.admin_port);
        client().get(url).header("accept", accept).send().await.unwrap().text().await.unwrap()
    }

    /// Waits until each of these has happened.
    async fn until_counted(&self, counters: &[&str]) {
        until("everything has happened that can be told", async || {
            let text = self.scrape(TEXT).await;
            let happened = |counter: &&str| text.lines().any(|line| line.starts_with(*counter) && !line.ends_with(" 0"));
            counters.iter().all(happened)
        })
        .await;
    }
}

/// The older format.
const TEXT: &str = "text/plain;version=0.0.4";
/// What Prometheus asks for.
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";

/// Sends good events and wrong ones, and asks for what is there and what is not.
async fn send(source: Source, [port, admin_port]: [u16; 2]) {
    let client = client();
    for number in 0_u64.. {
        let trace = format!("00-{:032x}-00f067aa0ba902b7-01", number + 1);
        source.send(&format!("good-{number}"), Some(&trace)).await;
        if number % 10 == 0 {
            source.send_event(&json!({ "id": format!("wrong-{number}") })).await;
            source.look_up(&format!("good-{number}")).await;
            for url in [format!("{port}/nothing"), format!("{admin_port}/health/ready"), format!("{admin_port}/nothing")] {
                drop(client.get(format!("http://127.0.0.1:{url}")).send().await);
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A family as it is told.
#[derive(Debug, Default)]
struct Told {
    kind: String,
    help: String,
    /// The labels of each sample, buckets' bounds aside.
    samples: Vec<BTreeMap<String, String>>,
}

/// Reads the older format.
fn read(text: &str) -> BTreeMap<String, Told> {
    let mut families: BTreeMap<String, Told> = BTreeMap::new();
    for line in text.lines() {
        if let Some(told) = line.strip_prefix("# HELP ") {
            let (name, help) = told.split_once(' ').unwrap();
            families.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some(told) = line.strip_prefix("# TYPE ") {
            let (name, kind) = told.split_once(' ').unwrap();
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let _number: f64 = value.parse().unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let of =
                ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).filter(|name| families.contains_key(*name));
            let labels =
                labels.trim_end_matches('}').split("\",").filter(|pair| !pair.is_empty()).map(|pair| pair.split_once("=\"").unwrap());
            let labels = labels.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()));
            let samples = &mut families.get_mut(of.unwrap_or(name)).unwrap().samples;
            samples.push(labels.filter(|(name, _)| name != "le").collect());
        }
    }
    families
}

/// What is told of a family that its declaration does not say.
fn undeclared(family: &Family, told: &Told) -> Vec<String> {
    let mut wrong = Vec::new();
    if told.kind != family.kind.as_str() || told.help != family.told {
        wrong.push(format!("{}: is told as a {} of {:?}", family.exposed(), told.kind, told.help));
    }
    let declared: BTreeSet<String> = family.labels.iter().map(chassis::metrics::Label::exposed).collect();
    for sample in &told.samples {
        if sample.keys().cloned().collect::<BTreeSet<_>>() != declared {
            wrong.push(format!("{}: has the labels {sample:?}", family.exposed()));
            continue;
        }
        for label in family.labels {
            let value = &sample[&label.exposed()];
            let known = match label.values {
                Values::Words(words) => words().contains(&value.as_str()),
                Values::Like(_) => !value.is_empty(),
            };
            if !known {
                wrong.push(format!("{}: {} is {value}", family.exposed(), label.exposed()));
            }
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_under_traffic_is_what_the_reference_says() {
    let machine = busy().await;
    let scene = Scene::start().await;
    scene
        .until_counted(&[
            "events_settled_total{state=\"delivered\"}",
            "events_settled_total{state=\"parked\"}",
            "events_dead_total{reason=\"refused\"}",
            "events_refused_total{reason=\"invalid_fields\"}",
            "delivery_retries_total",
            "trace_spans_total{outcome=\"exported\"}",
            "dispatch_partitions_owned",
        ])
        .await;
    let families = read(&scene.scrape(TEXT).await);
    let declared: BTreeMap<String, &Family> = reference::families().map(|family| (family.exposed(), family)).collect();
    let (told, named): (BTreeSet<_>, BTreeSet<_>) = (families.keys().collect(), declared.keys().collect());
    assert_eq!(told.symmetric_difference(&named).collect::<Vec<_>>(), Vec::<&&String>::new(), "told or declared alone");
    let wrong: Vec<String> = families.iter().flat_map(|(name, told)| undeclared(declared[name], told)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");

    let routes: BTreeSet<&str> =
        families["http_server_request_duration_seconds"].samples.iter().map(|sample| sample["http_route"].as_str()).collect();
    let expected = ["/api/events", "/api/events/{id}", "/api/user-sessions", "/health/ready", "/metrics", "unmatched"];
    assert_eq!(routes, BTreeSet::from(expected), "a route is the pattern, never the path");
    let by_source: BTreeSet<(&str, &str)> =
        families["source_events_total"].samples.iter().map(|sample| (sample["source"].as_str(), sample["outcome"].as_str())).collect();
    let expected = ["accepted", "refused", "delivered", "parked", "dead"].map(|outcome| ("source-1", outcome));
    assert_eq!(by_source, BTreeSet::from(expected));

    let openmetrics = scene.scrape(OPENMETRICS).await;
    assert!(openmetrics.ends_with("\n# EOF\n"), "{openmetrics}");
    for family in declared.values() {
        let name = family.exposed();
        let name = name.strip_suffix("_total").filter(|_| family.kind == Kind::Counter).unwrap_or(&name);
        let line = format!("# TYPE {name} {}", family.kind.as_str());
        assert!(openmetrics.lines().any(|found| found == line), "`{line}` is missing");
    }
    let with_traces =
        ["accept_duration", "publish_duration", "queue_duration", "pace_wait", "delivery_attempt_duration", "events_duration"];
    for name in with_traces {
        let begin = format!("{name}_seconds_bucket{{");
        let shown = |line: &str| line.starts_with(&begin) && line.contains(" # {trace_id=\"0000000000000000");
        assert!(openmetrics.lines().any(shown), "{name} shows no trace");
    }
    drop(scene);
    drop(machine);
}

/// A live Prometheus.
struct Prometheus {
    port: u16,
    _process: chaos::process::Process,
}

impl Prometheus {
    /// Starts one that reads a process as both jobs, and judges the alerts.
    fn start(directory: &Path, admin_port: u16) -> Self {
        let job = |name: &str| {
            json!({ "job_name": name, "static_configs": [{
                "targets": [format!("127.0.0.1:{admin_port}")],
                "labels": { "namespace": "events", "pod": "events-proxy-0" },
            }] })
        };
        let config = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [observability().join("alerts.yaml")],
            "scrape_configs": [job("ingest"), job("dispatcher")],
        });
        // JSON is YAML.
        let (file, port) = (directory.join("prometheus.yml"), free_port());
        std::fs::write(&file, config.to_string()).unwrap();
        let mut command = std::process::Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", directory.join("prometheus").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.arg("--enable-feature=exemplar-storage");
        let path = std::env::vars_os().find(|(key, _)| key == "PATH").and_then(|(_, value)| value.into_string().ok()).unwrap();
        let process = chaos::process::Process::start(&mut command, &directory.join("prometheus.log"), [("PATH", path.as_str())]);
        let process = process.unwrap_or_else(|error| panic!("prometheus does not start ({error}): install it, as `.ci/run` does"));
        Self { port, _process: process }
    }

    /// What it answers; nothing while it does not.
    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        let url = reqwest::Url::parse_with_params(&format!("http://127.0.0.1:{}/api/v1/{path}", self.port), parameters).unwrap();
        let answer: Value = client().get(url).send().await.ok()?.json().await.ok()?;
        assert_eq!(answer["status"], "success", "{parameters:?}: {answer}");
        Some(answer["data"].clone())
    }

    /// The queries that find nothing.
    async fn empty<'a>(&self, queries: &'a [(String, String)]) -> Vec<&'a (String, String)> {
        let mut empty = Vec::new();
        for query in queries {
            let found = self.ask("query", &[("query", &query.1)]).await;
            if found.is_none_or(|found| found["result"].as_array().is_none_or(Vec::is_empty)) {
                empty.push(query);
            }
        }
        empty
    }
}

/// A client with patience.
fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap()
}

/// Where alerts and dashboards are.
fn observability() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/observability")
}

/// The queries of all panels, each with where it stands.
fn panels() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for file in std::fs::read_dir(observability().join("dashboards")).unwrap() {
        let path = file.unwrap().path();
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let asked = target["expr"].as_str().unwrap();
                let asked = asked.replace("$__rate_interval", "10s").replace("$__range", "1h");
                // What a panel shows instead of nothing would hide that there is nothing.
                let asked = asked.replace("$namespace", ".*").replace("$source", "source-1").replace(" or vector(0)", "");
                assert!(!asked.contains('$'), "nobody knows a variable of {asked}");
                queries.push((format!("{}: {}", path.file_name().unwrap().display(), panel["title"]), asked));
            }
        }
    }
    queries
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_finds_data_and_every_alert_is_judged_by_a_live_prometheus() {
    let machine = busy().await;
    let scene = Scene::start().await;
    let prometheus = Prometheus::start(scene.directory.path(), scene.admin_port);
    let queries = panels();
    assert!(queries.len() > 50, "only {} queries were found", queries.len());
    let mut before = queries.len();
    until("every panel has data", async || {
        let empty = prometheus.empty(&queries).await;
        if empty.len() < before {
            eprintln!("{} of {} queries find nothing: {:#?}", empty.len(), queries.len(), empty.first());
            before = empty.len();
        }
        empty.is_empty()
    })
    .await;

    let mut rules = Vec::new();
    until("every alert was judged", async || {
        let groups = prometheus.ask("rules", &[]).await.unwrap_or_default();
        let of_groups = groups["groups"].as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array().unwrap().clone());
        rules = of_groups.collect::<Vec<Value>>();
        !rules.is_empty() && rules.iter().all(|rule| rule["health"] != "unknown")
    })
    .await;
    let failing: Vec<&Value> = rules.iter().filter(|rule| rule["health"] != "ok").collect();
    assert!(failing.is_empty(), "{failing:#?}");
    assert_eq!(rules.len(), std::fs::read_to_string(observability().join("alerts.yaml")).unwrap().matches("- alert: ").count());

    let range = [("query", "accept_duration_seconds_bucket"), ("start", "0"), ("end", "4102444800")];
    let exemplars = prometheus.ask("query_exemplars", &range).await.unwrap();
    let traces: BTreeSet<&str> =
        exemplars.as_array().unwrap().iter().filter_map(|series| series["exemplars"][0]["labels"]["trace_id"].as_str()).collect();
    assert!(traces.iter().any(|trace| trace.starts_with("0000000000000000")), "{exemplars}");
    drop(scene);
    drop(machine);
}
