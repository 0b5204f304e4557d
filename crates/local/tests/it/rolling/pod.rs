//! A pod as a node keeps it: started, probed, and ended by its hook, its signal and its grace.

use std::path::Path;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::chart::{Probe, Workload};
use super::service::Endpoints;
use crate::support::{Process, free_port};

/// How often is looked whether a pod got ready, where that is measured.
const LOOK: Duration = Duration::from_millis(5);
/// How long a pod may take from its start until it is ready.
const START_MAX: Duration = Duration::from_secs(2);

/// A pod.
pub(super) struct Pod {
    /// The process in it.
    process: Process,
    /// Where it takes requests.
    port: u16,
    /// How it rolls.
    workload: Workload,
    /// Asks whether it is ready.
    probing: JoinSet<()>,
    /// Where it is known once it is ready.
    endpoints: Endpoints,
    /// How long it takes until that is known.
    propagation: Duration,
}

impl Pod {
    /// Starts a pod in a directory that outlives it, and waits until it is ready and has been for as long as the chart wants.
    pub(super) async fn start(
        (name, binary): (&'static str, &Path),
        directory: &Path,
        settings: &[(&'static str, String)],
        workload: &Workload,
        (endpoints, propagation): (&Endpoints, Duration),
    ) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        let (port, admin_port) = (free_port(), free_port());
        let mut settings = settings.to_vec();
        settings.extend([
            ("PORT", port.to_string()),
            ("ADMIN_PORT", admin_port.to_string()),
            ("DATA_DIR", directory.display().to_string()),
            ("STOP_GRACE_MS", workload.stop_grace.as_millis().to_string()),
            ("CONTAINER_APP_REPLICA_NAME", directory.file_name().unwrap().to_str().unwrap().to_owned()),
        ]);
        let began = Instant::now();
        let process = Process::start_of(binary, name, directory, (&settings, &[]));
        let url = format!("http://127.0.0.1:{admin_port}{}", workload.probe.path);
        while !is_ready(&url, START_MAX).await {
            assert!(began.elapsed() <= START_MAX, "{name} is not ready within {START_MAX:?}");
            tokio::time::sleep(LOOK).await;
        }
        eprintln!("{} was ready {:?} after its start", directory.file_name().unwrap().display(), began.elapsed());
        let mut probing = JoinSet::new();
        probing.spawn(probe(url, workload.probe.clone(), port, (endpoints.clone(), propagation)));
        tokio::time::sleep(workload.min_ready).await;
        Self { process, port, workload: workload.clone(), probing, endpoints: endpoints.clone(), propagation }
    }

    /// Ends it as a node does: the Service hears of it, the hook runs meanwhile, then SIGTERM, and the grace is not used up.
    pub(super) async fn end(mut self) {
        self.probing.abort_all();
        let began = Instant::now();
        let unknown = async {
            tokio::time::sleep(self.propagation).await;
            self.endpoints.remove(self.port);
        };
        let hook = async {
            tokio::time::sleep(self.workload.pre_stop).await;
            self.process.end("TERM").await
        };
        let (status, ()) = tokio::join!(hook, unknown);
        assert!(status.success(), "a pod ended with {status}");
        assert!(began.elapsed() < self.workload.grace, "a pod took {:?} of {:?} to end", began.elapsed(), self.workload.grace);
        eprintln!("a pod ended {:?} after its hook", began.elapsed().saturating_sub(self.workload.pre_stop));
    }
}

/// Probes a pod for as long as it lives, and lets the Service know.
async fn probe(url: String, probe: Probe, port: u16, (endpoints, propagation): (Endpoints, Duration)) {
    let (mut failures, mut known) = (0, false);
    let mut tick = tokio::time::interval(probe.period);
    loop {
        tick.tick().await;
        failures = if is_ready(&url, probe.timeout).await { 0 } else { failures + 1 };
        let ready = if known { failures < probe.failures } else { failures == 0 };
        if ready != known {
            tokio::time::sleep(propagation).await;
            if ready {
                endpoints.add(port)
            } else {
                endpoints.remove(port)
            }
            known = ready;
        }
    }
}

/// Asks once.
async fn is_ready(url: &str, patience: Duration) -> bool {
    timeout(patience, reqwest::get(url)).await.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status() == 200))
}
