//! How the chart rolls and probes its pods: read from its templates and values, so that the test follows them.
//!
//! The templates are not rendered here, for that needs Helm. Where one says something in another way than is looked for, the reading fails.

use std::path::Path;
use std::time::Duration;

/// A readiness probe.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    /// What is asked.
    pub(super) path: String,
    /// How often.
    pub(super) period: Duration,
    /// How long an answer may take.
    pub(super) timeout: Duration,
    /// How many failures in a row make a pod unready.
    pub(super) failures: u64,
}

/// How one of the two workloads starts and ends.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    /// Whether it should get work.
    pub(super) probe: Probe,
    /// How long a pod goes on before it is told to end.
    pub(super) pre_stop: Duration,
    /// How long it may take from its deletion to its end.
    pub(super) grace: Duration,
    /// What it is told of that: `STOP_GRACE_MS`.
    pub(super) stop_grace: Duration,
    /// How long a new pod has to be ready before the roll goes on.
    pub(super) min_ready: Duration,
}

/// Reads how ingest's StatefulSet rolls: one pod at a time, the old one gone before the new one comes.
pub(super) fn ingest() -> Workload {
    let template = read("templates/ingest/statefulset.yaml");
    assert!(template.contains("kind: StatefulSet") && template.contains("updateStrategy:\n    type: RollingUpdate\n"), "{template}");
    let values = section("ingest");
    let stop = seconds(&values, "stopGraceSeconds:");
    let drain = seconds(&values, "endpointDrainSeconds:");
    assert!(after(&template, "preStop:\n              sleep:\n").contains("seconds: {{ $ingest.endpointDrainSeconds }}"), "{template}");
    let more = seconds(&template, "terminationGracePeriodSeconds: {{ add $ingest.endpointDrainSeconds $ingest.stopGraceSeconds");
    Workload {
        probe: probe(),
        pre_stop: drain,
        grace: drain + stop + more,
        stop_grace: stop,
        min_ready: seconds(&template, "minReadySeconds:"),
    }
}

/// Reads how the dispatchers' Deployment rolls: a new pod is ready before an old one is told to end.
pub(super) fn dispatcher() -> Workload {
    let template = read("templates/dispatcher/deployment.yaml");
    assert!(template.contains("maxSurge: 1\n") && template.contains("maxUnavailable: 0\n"), "{template}");
    assert!(!template.contains("preStop"), "{template}");
    let stop = seconds(&section("dispatcher"), "stopGraceSeconds:");
    let more = seconds(&template, "terminationGracePeriodSeconds: {{ add $dispatcher.stopGraceSeconds");
    let min_ready = seconds(&template, "minReadySeconds:");
    Workload { probe: probe(), pre_stop: Duration::ZERO, grace: stop + more, stop_grace: stop, min_ready }
}

/// The readiness probe of both.
fn probe() -> Probe {
    let template = read("templates/_pod.tpl");
    let told = after(&template, "readinessProbe:\n");
    let path = after(told, "httpGet: {path: ").split(',').next().unwrap().to_owned();
    let (period, timeout) = (seconds(told, "periodSeconds:"), seconds(told, "timeoutSeconds:"));
    Probe { path, period, timeout, failures: number(told, "failureThreshold:") }
}

/// A file of the chart.
fn read(path: &str) -> String {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/events-proxy");
    std::fs::read_to_string(chart.join(path)).unwrap()
}

/// What the values say of a workload.
fn section(name: &str) -> String {
    let values = read("values.yaml");
    let told = after(&values, &format!("\n{name}:\n")).lines();
    told.take_while(|line| line.is_empty() || line.starts_with(' ')).map(|line| format!("{line}\n")).collect()
}

/// What follows a text.
fn after<'a>(text: &'a str, what: &str) -> &'a str {
    text.split_once(what).unwrap_or_else(|| panic!("the chart does not say `{what}`")).1
}

/// The first number that follows a text.
fn number(text: &str, what: &str) -> u64 {
    let digits: String = after(text, what).trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("the chart gives no number for `{what}`"))
}

/// The same in seconds.
fn seconds(text: &str, what: &str) -> Duration {
    Duration::from_secs(number(text, what))
}
