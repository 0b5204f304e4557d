//! A cable between the product and what it stands on, which can be cut, slowed down and silenced.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a cable does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes them on.
    Open,
    /// Passes them on, each way so much later.
    Slow(Duration),
    /// Swallows them, and tells nobody: a black hole. A connection that met it stays dead.
    Silent,
    /// Closes all connections, and each new one at once.
    Cut,
}

/// A cable; dropping it cuts it for good.
#[derive(Debug)]
pub(crate) struct Cable {
    /// Our end.
    port: u16,
    /// What it does.
    mode: watch::Sender<Mode>,
    /// The task that accepts connections and owns theirs.
    _tasks: JoinSet<()>,
}

impl Cable {
    /// Lays a cable from a free port of loopback to an address.
    pub(crate) async fn lay(far: SocketAddr) -> anyhow::Result<Self> {
        Self::lay_from(TcpListener::bind("127.0.0.1:0").await.context("find a port for a cable")?, far)
    }

    /// Lays a cable from a listener to an address.
    pub(crate) fn lay_from(listener: TcpListener, far: SocketAddr) -> anyhow::Result<Self> {
        let port = listener.local_addr().context("ask where the cable begins")?.port();
        let mode = watch::Sender::new(Mode::Open);
        let state = mode.subscribe();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                connections.spawn(carry(near, far, state.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { port, mode, _tasks: tasks })
    }

    /// Our end.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Changes what it does.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

/// Carries the bytes of one connection, both ways, until an end closes it or the cable is cut.
async fn carry(near: TcpStream, far: SocketAddr, mut mode: watch::Receiver<Mode>) {
    if *mode.borrow() == Mode::Cut {
        return;
    }
    let Ok(far) = TcpStream::connect(far).await else { return };
    near.set_nodelay(true).ok();
    far.set_nodelay(true).ok();
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let (there, back) = (pump(near_read, far_write, mode.clone()), pump(far_read, near_write, mode.clone()));
    // Dropping a pump closes its halves, which is what a cut is for.
    tokio::select! {
        () = there => {}
        () = back => {}
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

/// Passes bytes on as the mode says.
async fn pump(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let now = *mode.borrow();
        match now {
            Mode::Open => {}
            Mode::Slow(by) => tokio::time::sleep(by).await,
            Mode::Silent => return std::future::pending().await,
            Mode::Cut => return,
        }
        let Some(bytes) = buffer.get(..count) else { return };
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
