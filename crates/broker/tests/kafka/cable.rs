//! A cable between a client and the broker that a test can cut and silence.
//!
//! A broker tells its clients its own address; the cable writes its own port over it, so that they stay on it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A cable; dropping it cuts it.
#[derive(Debug)]
pub(crate) struct Cable {
    /// The port of our end.
    port: u16,
    /// Which connections may pass bytes.
    passes: watch::Sender<Passes>,
    /// The task that accepts connections and owns theirs.
    _tasks: JoinSet<()>,
}

/// Which connections may pass bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Passes {
    /// Those made before this one may not.
    since: usize,
    /// Whether those made since then may.
    open: bool,
    /// This one may not.
    muted: Option<usize>,
    /// How many were made.
    made: usize,
}

impl Passes {
    /// Whether a connection may.
    fn lets(&self, connection: usize) -> bool {
        self.open && connection >= self.since && self.muted != Some(connection)
    }
}

impl Cable {
    /// Lays a cable to a broker; our end gets the port, or any that is free when it is zero.
    pub(crate) async fn lay(broker: &str, port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("take the port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let passes = watch::Sender::new(Passes { open: true, ..Passes::default() });
        let (broker, state) = (Arc::<str>::from(broker), passes.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let number = state.borrow().made;
                state.send_modify(|passes| passes.made += 1);
                connections.spawn(carry(near, Arc::clone(&broker), port, (number, state.subscribe())));
            }
        });
        Self { port, passes, _tasks: tasks }
    }

    /// Our end, as a client is told it.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on no byte passes, and nobody is told.
    pub(crate) fn silence(&self) {
        self.passes.send_modify(|passes| passes.open = false);
    }

    /// New connections pass bytes again; the old ones never will.
    pub(crate) fn restore(&self) {
        self.passes.send_modify(|passes| (passes.since, passes.open) = (passes.made, true));
    }

    /// How many connections were made.
    pub(crate) fn made(&self) -> usize {
        self.passes.borrow().made
    }

    /// From now on no byte passes on the connection that was made last, and nobody is told.
    pub(crate) fn mute_latest(&self) {
        self.passes.send_modify(|passes| passes.muted = passes.made.checked_sub(1));
    }
}

/// A port of loopback where nobody listens.
pub(crate) async fn unused_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("take any port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// Carries the bytes of one connection, both ways, until an end closes it.
async fn carry(near: TcpStream, broker: Arc<str>, port: u16, passes: (usize, watch::Receiver<Passes>)) {
    let Ok(far) = TcpStream::connect(broker.as_ref()).await else { return };
    let (host, from) = broker.rsplit_once(':').expect("host:port");
    let wire = |port: u16| [host.as_bytes(), &i32::from(port).to_be_bytes()].concat();
    let (theirs, ours) = (wire(from.parse().expect("a port")), wire(port));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let replace = |chunk: &mut [u8]| {
        for at in 0..chunk.len().saturating_sub(theirs.len() - 1) {
            if let Some(place) = chunk.get_mut(at..at + theirs.len()).filter(|place| *place == theirs.as_slice()) {
                place.copy_from_slice(&ours);
            }
        }
    };
    let there = pump(near_read, far_write, passes.clone(), |_| {});
    let back = pump(far_read, near_write, passes, replace);
    tokio::select! { () = there => {}, () = back => {} }
}

/// Passes bytes on while the cable lets this connection.
async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    (number, passes): (usize, watch::Receiver<Passes>),
    edit: impl Fn(&mut [u8]),
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if !passes.borrow().lets(number) {
            return tokio::time::sleep(Duration::from_secs(3_600)).await;
        }
        let chunk = buffer.get_mut(..count).expect("no more was read than fits");
        edit(chunk);
        if to.write_all(chunk).await.is_err() {
            return;
        }
    }
}
