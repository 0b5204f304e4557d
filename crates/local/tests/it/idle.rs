//! Ten thousand connections that say nothing: they cost memory in bounds, and nobody else an answer.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::{Process, Source, accounts, busy, embedded, free_port};

/// How many connections.
const CONNECTIONS: usize = 10_000;
/// What each may cost the process, in bytes.
const BYTES_MAX: u64 = 16_384;
/// How many requests are made beside them.
const REQUESTS: usize = 50;

/// Lets this process, and what it starts, have as many files open as the system allows.
fn open_many_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let enough = limit.maximum.is_none_or(|files| files > 10_500);
    assert!(enough, "this test needs a hard limit of more than 10500 open files (ulimit -Hn): {limit:?}");
}

/// The memory of a process that is not on disk, in bytes.
fn memory(process: &Process) -> u64 {
    let told = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let resident = told.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    resident.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_cost_little_memory_and_no_answer() {
    let machine = busy().await;
    open_many_files();
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let settings = [
        ("PORT", port.to_string()),
        ("ADMIN_PORT", free_port().to_string()),
        ("PROXY_SERVICE_TEST_USERS_DATA", accounts()),
        ("AUTH_ACCESS_TOKEN_EXPIRES_IN_SEC", "600".to_owned()),
        // No deadline is the subject here, and the machine is busy with 10,000 handshakes.
        ("ACCEPT_TIMEOUT_MS", "5000".to_owned()),
    ];
    let proxy = embedded(directory.path(), &settings);
    let source = Source::log_in(port).await;
    assert_eq!(source.send("before", None).await, Some(202));
    let before = memory(&proxy);
    let began = Instant::now();
    let mut idle = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        idle.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    let connected = began.elapsed();
    for number in 0..REQUESTS {
        assert_eq!(source.send(&format!("beside-{number}"), None).await, Some(202), "{number}");
    }
    // After 5 s the first of them are closed.
    assert!(began.elapsed() < Duration::from_secs(5), "not all were open at once: {connected:?}, then {:?}", began.elapsed());
    let cost = memory(&proxy).saturating_sub(before);
    let most = BYTES_MAX * u64::try_from(CONNECTIONS).unwrap();
    assert!(cost < most, "{CONNECTIONS} connections cost {cost} bytes, more than {most}");
    eprintln!("{CONNECTIONS} idle connections cost {} bytes each", cost / 10_000);
    // A new connection is still taken, too.
    assert_eq!(Source::log_in(port).await.send("after", None).await, Some(202));
    drop((idle, proxy, machine));
}
