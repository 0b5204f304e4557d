//! Commits of all partitions, in one transaction where they come together.

use std::sync::Arc;
use std::time::Duration;

use chassis::lifecycle::Tasks;
use storage::{Commit, Error, Store};
use tokio::time::Instant;

use crate::metrics::Metrics;
use crate::together::{Answerer, Terms, Together};

/// How long after one transaction began the next one does at the soonest: fewer of them cost the database and us less. A crash
/// repeats what was delivered since, and while the last one was under way.
const BEAT: Duration = Duration::from_millis(20);

/// Writes commits.
#[derive(Debug)]
pub(crate) struct Commits {
    /// Where.
    store: Store,
    /// Counts.
    metrics: Metrics,
}

impl Commits {
    /// Commits that go together, so many rows at most.
    pub(crate) fn together(store: Store, metrics: Metrics, rows_max: usize, tasks: &Tasks) -> Together<Self> {
        Together::new(Self { store, metrics }, Terms { name: "commit what is settled", beat: BEAT, weight_max: rows_max }, tasks)
    }
}

impl Answerer for Commits {
    type Question = Arc<Commit>;
    /// Whether it is written; not where another owns the partition. All that went together failed together.
    type Answer = Result<bool, Arc<Error>>;

    fn weight(commit: &Arc<Commit>) -> usize {
        (commit.settled.len() + commit.undecodable.len()).max(1)
    }

    async fn answer(&self, commits: Vec<Arc<Commit>>) -> Vec<Self::Answer> {
        let began = Instant::now();
        let together: Vec<&Commit> = commits.iter().map(AsRef::as_ref).collect();
        match self.store.commit_together(&together).await {
            Ok(written) => {
                self.metrics.committed(began.elapsed());
                written.into_iter().map(Ok).collect()
            }
            Err(error) => {
                let error = Arc::new(error);
                commits.iter().map(|_| Err(Arc::clone(&error))).collect()
            }
        }
    }
}
