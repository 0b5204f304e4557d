//! Who sends nonsense is answered, and cannot fill the log with errors.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Process, busy, embedded, free_port, until};

/// What is no request, as anybody may send it.
const NONSENSE: [&str; 5] = [
    "GET / HTTP/9.9\r\n\r\n",
    "\u{0}\u{1}\r\n\r\n",
    "GET / HTTP/1.1\r\nno colon\r\n\r\n",
    "POST /api/events HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

/// Starts `events-proxy` with these settings and sends nonsense to both its ports.
async fn troubled(directory: &Path, settings: &[(&'static str, String)]) -> Process {
    let (port, admin_port) = (free_port(), free_port());
    let usual = [
        ("PORT", port.to_string()),
        ("ADMIN_PORT", admin_port.to_string()),
        ("TARGET_SERVICE_GRAPHQL_URL", format!("http://127.0.0.1:{}/graphql", free_port())),
    ];
    let process = embedded(directory, &[&usual, settings].concat());
    for port in [port, admin_port] {
        until("it listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        for nonsense in NONSENSE {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.write_all(nonsense.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 400 "), "{nonsense:?}: {}", String::from_utf8_lossy(&answer));
        }
    }
    process
}

/// The lines that are logged as errors.
fn errors(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("\"level\":\"ERROR\"")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_refused_and_logged_as_no_error() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let mut process = troubled(directory.path(), &[]).await;
    assert!(process.end("TERM").await.success());
    let log = process.written();
    assert!(log.lines().count() > 0 && errors(&log).is_empty(), "{log}");
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_lets_libraries_speak_shows_that_something_would_have_been_said() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let process = troubled(directory.path(), &[("LOG_FILTER", "info".to_owned())]).await;
    until("the library's error is there", async || errors(&process.written()).iter().any(|line| line.contains("actix_http::h1"))).await;
    drop((process, machine));
}
