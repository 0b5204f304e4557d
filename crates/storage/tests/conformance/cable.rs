//! A cable to the database that can be cut: what was sent over it then arrives nowhere, and nobody is told.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The cable. Connections over it end with it.
pub(crate) struct Cable {
    /// Where clients connect to.
    pub(crate) port: u16,
    /// How often it was cut; each cut is for the connections of its time only.
    cuts: watch::Sender<u32>,
    _forwarding: JoinSet<()>,
}

impl Cable {
    /// Lays a cable to that address.
    pub(crate) async fn to(host: String, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = listener.local_addr().unwrap().port();
        let cuts = watch::Sender::new(0);
        let mut forwarding = JoinSet::new();
        forwarding.spawn(accept(listener, (host, port), cuts.subscribe()));
        Self { port: near, cuts, _forwarding: forwarding }
    }

    /// Cuts all connections there are. New ones work.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn accept(listener: TcpListener, far: (String, u16), cuts: watch::Receiver<u32>) {
    let mut connections = JoinSet::new();
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(far.clone()).await.unwrap();
        let mut cuts = cuts.clone();
        cuts.mark_unchanged();
        connections.spawn(async move {
            let cut = tokio::select! {
                // Cancelled mid-copy it loses bytes, which is the point of a cut.
                _ = copy_bidirectional(&mut near, &mut far) => false,
                changed = cuts.changed() => changed.is_ok(),
            };
            if cut {
                // Both sockets stay open, so that neither end learns of it.
                std::future::pending::<()>().await;
            }
        });
    }
}
