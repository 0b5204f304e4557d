//! Connections on which a test says what no HTTP client would.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::Ingest;

/// A connection on which something was said.
pub(crate) async fn said(ingest: &Ingest, text: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(ingest.address()).await.unwrap();
    // The other side may hang up in the middle of it.
    drop(stream.write_all(text).await);
    stream
}

/// Everything that comes until the other side hangs up.
pub(crate) async fn heard(mut stream: TcpStream, patience: Duration) -> String {
    let mut bytes = Vec::new();
    drop(timeout(patience, stream.read_to_end(&mut bytes)).await.expect("nobody hung up"));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Says something on a connection of its own, and hears the answer.
pub(crate) async fn answer(ingest: &Ingest, text: impl AsRef<[u8]>) -> String {
    heard(said(ingest, text.as_ref()).await, Duration::from_secs(10)).await
}

/// The head of a request that sends an event and wants no other after it; further lines end in CRLF each.
pub(crate) fn head(token: &str, lines: &str) -> String {
    format!(
        "POST /api/events HTTP/1.1\r\nHost: raw\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\n{lines}\r\n"
    )
}
