//! A Service of Kubernetes as sources meet it: each new connection goes to one of the pods that are ready, and stays with that pod for as
//! long as it lasts, whatever becomes of the pod. That a pod became ready or is about to go is known late.

use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The pods that get new connections, by their ports; clones are the same ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Endpoints(Arc<Mutex<Vec<u16>>>);

impl Endpoints {
    /// Takes a pod in.
    pub(super) fn add(&self, pod: u16) {
        self.remove(pod);
        self.0.lock().unwrap().push(pod);
    }

    /// Takes a pod out.
    pub(super) fn remove(&self, pod: u16) {
        self.0.lock().unwrap().retain(|other| *other != pod);
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// The pod whose turn it is; none when there is none.
    fn next(&self) -> Option<u16> {
        let mut pods = self.0.lock().unwrap();
        if !pods.is_empty() {
            pods.rotate_left(1);
        }
        pods.first().copied()
    }
}

/// A Service; dropping it closes all connections.
#[derive(Debug)]
pub(super) struct Service {
    /// Where sources come.
    pub(super) port: u16,
    /// Accepts connections and owns theirs.
    _tasks: JoinSet<()>,
}

impl Service {
    /// Begins to serve.
    pub(super) async fn start(endpoints: Endpoints) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let pod = endpoints.next();
                connections.spawn(carry(near, pod));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { port, _tasks: tasks }
    }
}

/// Carries one connection to its pod until an end closes it.
async fn carry(mut near: TcpStream, pod: Option<u16>) {
    let Some(pod) = pod else { return };
    let Ok(mut far) = TcpStream::connect(("127.0.0.1", pod)).await else { return };
    near.set_nodelay(true).ok();
    far.set_nodelay(true).ok();
    copy_bidirectional(&mut near, &mut far).await.ok();
}
