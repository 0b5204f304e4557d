//! Both workloads are rolled under load, as the chart rolls them: no valid event is refused, none is lost, and none is delivered twice;
//! neither within one version, nor from another version to this one and back.

mod chart;
mod pod;
mod service;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chaos::source::Source;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, Process, Services, Target, alone, binary, services, until};
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
    /// Where the programs in its pods lie, if they are of another version.
    programs: Option<PathBuf>,
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
        Self { directory: directory.to_owned(), told, ingest, dispatcher, programs: None, endpoints: Endpoints::default() }
    }

    /// The same release in another version, whose programs lie there beside its sources. Its chart tells no settings that it does not know.
    fn in_version_of(&self, programs: &Path) -> Self {
        let defaults = programs.with_file_name("crates").join("chassis/src/defaults.toml");
        let known = std::fs::read_to_string(defaults).unwrap();
        let knows = |name: &str| known.lines().any(|line| line.split(' ').next() == Some(name.to_ascii_lowercase().as_str()));
        let told = self.told.iter().filter(|(name, _)| knows(name)).cloned().collect();
        let Self { directory, ingest, dispatcher, endpoints, .. } = self;
        let (directory, programs, endpoints) = (directory.clone(), Some(programs.to_owned()), endpoints.clone());
        Self { directory, told, ingest: ingest.clone(), dispatcher: dispatcher.clone(), programs, endpoints }
    }

    /// A program of its version.
    fn program(&self, name: &str) -> PathBuf {
        self.programs.as_ref().map_or_else(|| binary(name), |programs| programs.join(name))
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
        Pod::start(("ingest", &self.program("ingest")), &volume, &self.told, &self.ingest, (&self.endpoints, late)).await
    }

    /// Starts a dispatcher; no Service leads to it.
    async fn dispatcher(&self, name: &str) -> Pod {
        let nowhere = (&Endpoints::default(), Duration::ZERO);
        Pod::start(("dispatcher", &self.program("dispatcher")), &self.directory.join(name), &self.told, &self.dispatcher, nowhere).await
    }

    /// Rolls ingest as a StatefulSet: from its last pod to its first, each gone before it comes back.
    async fn roll_ingest(&self, [first, second]: [Pod; 2]) -> [Pod; 2] {
        second.end().await;
        let second = self.ingest(1).await;
        first.end().await;
        [self.ingest(0).await, second]
    }

    /// Rolls dispatchers as a Deployment: as soon as a new pod is ready an old one is told to end, and its end is not waited for.
    async fn roll_dispatchers(&self, [first, second]: [Pod; 2], names: [&str; 2]) -> [Pod; 2] {
        let mut ending = JoinSet::new();
        let third = self.dispatcher(names[0]).await;
        ending.spawn(first.end());
        let fourth = self.dispatcher(names[1]).await;
        ending.spawn(second.end());
        ending.join_all().await;
        [third, fourth]
    }
}

/// What is seen of a roll.
struct Load {
    /// The sources.
    sources: JoinSet<Vec<Sent>>,
    /// Ends them.
    stop: CancellationToken,
}

impl Load {
    /// Begins to send to a Service.
    async fn start(service: &Service) -> Self {
        let (mut sources, stop) = (JoinSet::new(), CancellationToken::new());
        for number in 0..SOURCES {
            let source = Source::log_in(service.port, PATIENCE, GIVE_UP).await.unwrap();
            sources.spawn(send(source, number, stop.clone()));
        }
        Self { sources, stop }
    }

    /// Ends it: every event was accepted, and the target gets each of them once.
    async fn judge(self, target: &Target) {
        self.stop.cancel();
        let sent: Vec<Sent> = self.sources.join_all().await.into_iter().flatten().collect();
        eprintln!("{} events were sent while the pods were rolled", sent.len());
        let refused: Vec<&Sent> = sent.iter().filter(|(_, status)| *status != Some(202)).collect();
        let some: Vec<_> = refused.iter().take(5).collect();
        assert!(refused.is_empty(), "{} of {} events were refused: {some:?}", refused.len(), sent.len());
        let accepted: HashSet<String> = sent.into_iter().map(|(id, _)| id).collect();
        target.receives(&accepted).await;
        assert_eq!(target.received(), target.distinct(), "events were delivered twice");
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

    let load = Load::start(&service).await;
    let names = ["dispatcher-2", "dispatcher-3"];
    let pods = tokio::join!(release.roll_ingest([zero, one]), release.roll_dispatchers([two, three], names));
    load.judge(&target).await;
    drop((pods, machine));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the programs of another version: `make test-upgrade FROM=TAG` builds them and runs it"]
async fn an_upgrade_from_another_version_and_its_rollback_refuse_lose_and_repeat_nothing() {
    let machine = alone().await;
    chassis::tls::install();
    let programs = std::env::var_os("PROGRAMS_OF_ANOTHER_VERSION").expect("PROGRAMS_OF_ANOTHER_VERSION names a directory");
    let directory = tempfile::tempdir().unwrap();
    let target = Target::start(directory.path(), 20_000);
    let new = Release::of(directory.path(), &services().await, &target);
    let old = new.in_version_of(Path::new(&programs));
    let service = Service::start(new.endpoints.clone()).await;
    let (zero, one, two, three) =
        tokio::join!(old.ingest(0), old.ingest(1), old.dispatcher("dispatcher-0"), old.dispatcher("dispatcher-1"));
    until("the Service knows both pods", async || new.endpoints.count() == 2).await;

    let load = Load::start(&service).await;
    // As the chart does it: the new version's Jobs, then both workloads. Each pod's volume goes from version to version.
    new.prepare().await;
    let (ingest, dispatchers) =
        tokio::join!(new.roll_ingest([zero, one]), new.roll_dispatchers([two, three], ["dispatcher-2", "dispatcher-3"]));
    let pods = tokio::join!(old.roll_ingest(ingest), old.roll_dispatchers(dispatchers, ["dispatcher-4", "dispatcher-5"]));
    load.judge(&target).await;
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
