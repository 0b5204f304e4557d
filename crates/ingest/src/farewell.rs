//! Lets sources go before the listener closes: every answer asks its source for another connection from then on.
//!
//! A Service of Kubernetes, like any load balancer that moves new connections only, leaves kept ones with a pod that is about to end. A
//! request that is on its way when such a connection is closed gets no answer, and a source never sends again. A connection that was told
//! `Connection: close` carries no further request, so none is on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// How long connections are waited for. One that is quiet for so long is closed with the listener, as any server closes quiet ones.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// The connections of a listener; clones are the same ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Arc<Shared>);

/// What clones share.
#[derive(Debug, Default)]
struct Shared {
    /// How many are open.
    open: watch::Sender<usize>,
    /// Whether they should end.
    parting: AtomicBool,
}

/// An open connection, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Open(Arc<Shared>);

impl Connections {
    /// Counts a new one.
    pub(crate) fn opened(&self) -> Open {
        self.0.open.send_modify(|open| *open += 1);
        Open(Arc::clone(&self.0))
    }

    /// Whether an answer should be the last one of its connection.
    pub(crate) fn is_parting(&self) -> bool {
        self.0.parting.load(Ordering::Relaxed)
    }

    /// Lets each end with its next answer; returns when none is left, or after [`FAREWELL_MAX`], if `grace` lasts as long.
    pub(crate) async fn part(&self, grace: Duration) {
        self.0.parting.store(true, Ordering::Relaxed);
        let mut open = self.0.open.subscribe();
        let none = open.wait_for(|open| *open == 0);
        // Whether it was in time or not, the listener closes next.
        drop(tokio::time::timeout(FAREWELL_MAX.min(grace), none).await);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open = open.saturating_sub(1));
    }
}
