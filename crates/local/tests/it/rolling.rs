//! Both workloads are rolled under load, as the chart rolls them: no valid event is refused, none is lost, and none is delivered twice.

mod chart;
mod pod;
mod service;

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use chaos::source::Source;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, Target, accounts, alone, services, until};
use chart::Workload;
use pod::Pod;
use service::{Endpoints, Service};

/// How many pods each workload has.
const REPLICAS: usize = 2;
/// How many sources send, each over a connection of its own that it keeps.
const SOURCES: u64 = 16;
/// How long a source waits for an answer.
const GIVE_UP: Duration = Duration::from_secs(5);
/// The settings of a pod.
type Told = [(&'static str, String)];

#[tokio::test(flavor = "multi_thread")]
async fn rolling_both_workloads_under_load_refuses_loses_and_repeats_nothing() {
    let machine = alone().await;
    chassis::tls::install();
    let directory = tempfile::tempdir().unwrap();
    let services = services().await;
    let target = Target::start(directory.path(), 20_000);
    let mut told = services.settings();
    told.extend([
        ("QUEUE_COPIES", "1".to_owned()),
        ("PROXY_SERVICE_TEST_USERS_DATA", accounts()),
        ("AUTH_ACCESS_TOKEN_SECRET", "b1946ac92492d2347c6235b4d2611184".to_owned()),
        ("AUTH_ACCESS_TOKEN_EXPIRES_IN_SEC", "600".to_owned()),
        ("TARGET_SERVICE_GRAPHQL_URL", target.url()),
        ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "1000".to_owned()),
        ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "20000".to_owned()),
        // How fast events are accepted is not what is judged here.
        ("ACCEPT_TIMEOUT_MS", "4000".to_owned()),
    ]);
    let (ingest, dispatcher) = (chart::ingest(), chart::dispatcher());
    let endpoints = Endpoints::default();
    let service = Service::start(endpoints.clone()).await;
    // Late, but before the hook has ended: that is what the hook is for.
    let known = (&endpoints, ingest.pre_stop * 3 / 4);

    let mut accepting = Vec::new();
    let mut delivering = Vec::new();
    for ordinal in 0..REPLICAS {
        accepting.push(Pod::start("ingest", &volume(directory.path(), ordinal), &told, &ingest, known).await);
        delivering.push(dispatcher_pod(directory.path(), &format!("dispatcher-old-{ordinal}"), &told, &dispatcher).await);
    }
    until("the Service knows both pods", async || endpoints.count() == REPLICAS).await;

    let stop = CancellationToken::new();
    let mut sources = JoinSet::new();
    for number in 0..SOURCES {
        let source = Source::log_in(service.port, PATIENCE, GIVE_UP).await.unwrap();
        sources.spawn(send(source, number, stop.clone()));
    }
    let rolled = async {
        // A StatefulSet goes from its last pod to its first, and each has its volume back.
        for ordinal in (0..REPLICAS).rev() {
            accepting.remove(ordinal).end().await;
            accepting.insert(ordinal, Pod::start("ingest", &volume(directory.path(), ordinal), &told, &ingest, known).await);
        }
    };
    let moved = async {
        // A Deployment goes on as soon as a new pod is ready; it does not wait for the end of the old one.
        let (mut ending, mut fresh) = (JoinSet::new(), Vec::new());
        for (number, old) in delivering.drain(..).enumerate() {
            fresh.push(dispatcher_pod(directory.path(), &format!("dispatcher-new-{number}"), &told, &dispatcher).await);
            ending.spawn(old.end());
        }
        ending.join_all().await;
        fresh
    };
    let ((), fresh) = tokio::join!(rolled, moved);
    stop.cancel();
    let sent: Vec<(String, Option<u16>)> = sources.join_all().await.into_iter().flatten().collect();
    let refused: Vec<_> = sent.iter().filter(|(_, status)| *status != Some(202)).collect();
    eprintln!("{} events were sent while the pods were rolled", sent.len());
    assert!(
        refused.is_empty(),
        "{} of {} events were refused: {:?}",
        refused.len(),
        sent.len(),
        refused.iter().take(5).collect::<Vec<_>>()
    );
    let accepted: HashSet<String> = sent.into_iter().map(|(id, _)| id).collect();
    target.receives(&accepted).await;
    assert_eq!(target.received(), target.distinct(), "events were delivered twice");
    tokio::join!(end_all(accepting), end_all(fresh));
    drop(machine);
}

/// Where an ingest pod of that number keeps its spool.
fn volume(directory: &Path, ordinal: usize) -> std::path::PathBuf {
    directory.join(format!("ingest-{ordinal}"))
}

/// Starts a dispatcher; no Service leads to it.
async fn dispatcher_pod(directory: &Path, name: &str, told: &Told, workload: &Workload) -> Pod {
    Pod::start("dispatcher", &directory.join(name), told, workload, (&Endpoints::default(), Duration::ZERO)).await
}

/// Ends pods, side by side.
async fn end_all(pods: Vec<Pod>) {
    let mut ending = JoinSet::new();
    for pod in pods {
        ending.spawn(pod.end());
    }
    ending.join_all().await;
}

/// Sends events until it is told to stop, each once; tells how each was answered. Some sources hardly pause, others leave their connection
/// quiet for a second.
async fn send(source: Source, number: u64, stop: CancellationToken) -> Vec<(String, Option<u16>)> {
    let pause = Duration::from_millis(if number.is_multiple_of(2) { number } else { 100 * number });
    let mut sent = Vec::new();
    while !stop.is_cancelled() {
        let id = format!("rolled-{number}-{}", sent.len());
        let status = source.send(&id, None).await;
        sent.push((id, status));
        tokio::time::sleep(pause).await;
    }
    sent
}
