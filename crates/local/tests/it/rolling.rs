//! Both workloads are rolled under load, as the chart rolls them: no valid event is refused, none is lost, and none is delivered twice.

mod chart;
mod pod;
mod service;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chaos::source::Source;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, Process, Services, Target, alone, services, until};
use chart::Workload;
use pod::Pod;
use service::{Endpoints, Service};

/// How many sources send, each over a connection of its own that it keeps.
const SOURCES: u64 = 16;
/// How long a source waits for an answer.
const GIVE_UP: Duration = Duration::from_secs(5);
/// How an event was answered; nothing when it was not.
type Sent = (String, Option<u16>);

/// A release of the chart.
struct Release {
    /// Where its pods keep what they have.
    directory: PathBuf,
    /// What its pods are told.
    told: Vec<(&'static str, String)>,
    /// How ingest rolls.
    ingest: Workload,
    /// How dispatchers roll.
    dispatcher: Workload,
    /// The ingest pods that the Service knows.
    endpoints: Endpoints,
}

impl Release {
    /// What is rolled, on these services.
    fn of(directory: &Path, services: &Services, target: &Target) -> Self {
        let mut told = services.shared();
        told.extend([
            ("ENVIRONMENT_PROFILE", "production".to_owned()),
            ("QUEUE_COPIES", "1".to_owned()),
            ("QUEUE_ALLOW_PLAINTEXT", "true".to_owned()),
            ("TARGET_SERVICE_GRAPHQL_URL", target.url()),
            ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "1000".to_owned()),
            ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "20000".to_owned()),
            // How fast events are accepted is not what is judged here.
            ("ACCEPT_TIMEOUT_MS", "4000".to_owned()),
        ]);
        let (ingest, dispatcher) = (chart::ingest(), chart::dispatcher());
        Self { directory: directory.to_owned(), told, ingest, dispatcher, endpoints: Endpoints::default() }
    }

    /// Runs what the Jobs before an installation run.
    async fn prepare(&self) {
        for command in ["migrate", "topic"] {
            let mut job = Process::start("ingest", &self.directory, &self.told, &[command]);
            assert!(job.ended().await.success(), "{command}: {}", job.written());
        }
    }

    /// Starts the ingest pod of that number, on its own volume.
    async fn ingest(&self, ordinal: usize) -> Pod {
        // The Service hears of it late, but before the hook has ended: that is what the hook is for.
        let late = self.ingest.pre_stop * 3 / 4;
        let volume = self.directory.join(format!("ingest-{ordinal}"));
        Pod::start("ingest", &volume, &self.told, &self.ingest, (&self.endpoints, late)).await
    }

    /// Starts a dispatcher; no Service leads to it.
    async fn dispatcher(&self, name: &str) -> Pod {
        let nowhere = (&Endpoints::default(), Duration::ZERO);
        Pod::start("dispatcher", &self.directory.join(name), &self.told, &self.dispatcher, nowhere).await
    }

    /// Rolls ingest as a StatefulSet: from its last pod to its first, each gone before it comes back.
    async fn roll_ingest(&self, [first, second]: [Pod; 2]) -> [Pod; 2] {
        second.end().await;
        let second = self.ingest(1).await;
        first.end().await;
        [self.ingest(0).await, second]
    }

    /// Rolls dispatchers as a Deployment: as soon as a new pod is ready an old one is told to end, and its end is not waited for.
    async fn roll_dispatchers(&self, [first, second]: [Pod; 2]) -> [Pod; 2] {
        let mut ending = JoinSet::new();
        let third = self.dispatcher("dispatcher-2").await;
        ending.spawn(first.end());
        let fourth = self.dispatcher("dispatcher-3").await;
        ending.spawn(second.end());
        ending.join_all().await;
        [third, fourth]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_both_workloads_under_load_refuses_loses_and_repeats_nothing() {
    let machine = alone().await;
    chassis::tls::install();
    let directory = tempfile::tempdir().unwrap();
    let target = Target::start(directory.path(), 20_000);
    let release = Release::of(directory.path(), &services().await, &target);
    release.prepare().await;
    let service = Service::start(release.endpoints.clone()).await;
    let (zero, one, two, three) =
        tokio::join!(release.ingest(0), release.ingest(1), release.dispatcher("dispatcher-0"), release.dispatcher("dispatcher-1"));
    until("the Service knows both pods", async || release.endpoints.count() == 2).await;

    let stop = CancellationToken::new();
    let mut sources = JoinSet::new();
    for number in 0..SOURCES {
        let source = Source::log_in(service.port, PATIENCE, GIVE_UP).await.unwrap();
        sources.spawn(send(source, number, stop.clone()));
    }
    let pods = tokio::join!(release.roll_ingest([zero, one]), release.roll_dispatchers([two, three]));
    stop.cancel();
    let sent: Vec<Sent> = sources.join_all().await.into_iter().flatten().collect();
    eprintln!("{} events were sent while the pods were rolled", sent.len());
    let refused: Vec<&Sent> = sent.iter().filter(|(_, status)| *status != Some(202)).collect();
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
    drop((pods, machine));
}

/// Sends events until it is told to stop, each once; tells how each was answered. Every second source leaves its connection quiet for up
/// to a second and a half, the others hardly pause.
async fn send(source: Source, number: u64, stop: CancellationToken) -> Vec<Sent> {
    // Sources come to the pods in turn, so each pod has some of both kinds.
    let pause = Duration::from_millis(if number % 4 < 2 { number } else { 100 * number });
    let mut sent = Vec::new();
    while !stop.is_cancelled() {
        let id = format!("rolled-{number}-{}", sent.len());
        let status = source.send(&id, None).await;
        sent.push((id, status));
        tokio::time::sleep(pause).await;
    }
    sent
}
