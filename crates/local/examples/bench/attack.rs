//! What attackers cost those who behave: the latency of sources that send at their pace and the product's memory, on one core,
//! in calm and while strangers send what is no event as fast as they can and hold connections open.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::load::{self, Seen, Until};
use crate::process::Product;

/// Who attacks at once.
const ATTACKERS: usize = 8;
/// How many half requests each of them holds open.
const HELD: usize = 250;
/// How long an attacker waits for an answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// Sources that behave, and how often each sends.
const SOURCES: (u16, Duration) = (8, Duration::from_millis(40));
/// How long each turn is.
const TURN: Duration = Duration::from_secs(8);

/// Measures it and prints it.
pub(crate) fn measure(out: &mut io::StdoutLock<'_>, directory: &Path) -> anyhow::Result<()> {
    let product = Product::start(&directory.join("attacked"))?;
    let token = product.log_in()?;
    hold_to_one_core(product.id())?;
    let behave = |name| load::run(product.address, &token, SOURCES.0, (name, Until::Paced(SOURCES.1, TURN)));
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let calm = behave("calm")?;
    let attacked = thread::scope(|scope| {
        for _ in 0..ATTACKERS {
            scope.spawn(|| attack(product.address, &over, &sent));
        }
        // What they hold open has filled by then.
        thread::sleep(Duration::from_secs(2));
        let attacked = behave("attacked");
        over.store(true, Ordering::Relaxed);
        attacked
    })?;
    let resident = product.used()?.resident_mib;
    let told = |seen: &Seen| format!("p50 {:.1} ms, p99 {:.1} ms, {} refused", seen.quantile(500), seen.quantile(990), seen.other);
    writeln!(
        out,
        "\nattack   on one core, {:.0} events/s of sources that behave: {}; while {:.0} requests/s are none and {} connections are held \
         open: {}; {resident:.1} MiB resident",
        calm.rate(),
        told(&calm),
        f64::from(u32::try_from(sent.load(Ordering::Relaxed))?) / (TURN + Duration::from_secs(2)).as_secs_f64(),
        ATTACKERS * HELD,
        told(&attacked)
    )?;
    Ok(())
}

/// Lets a process and all its threads run on the first core alone.
fn hold_to_one_core(process: u32) -> anyhow::Result<()> {
    let mut command = Command::new("taskset");
    command.args(["--all-tasks", "--cpu-list", "--pid", "0", &process.to_string()]).stdout(Stdio::null());
    ensure!(command.status().context("run taskset (Debian: util-linux)")?.success(), "taskset could not hold the product to one core");
    Ok(())
}

/// What is sent, whole or as far as it goes: none of it is an event.
fn shapes() -> Vec<Vec<u8>> {
    let posted = |head: &str, body: &[u8]| {
        let head = format!("POST /api/events HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{head}\r\n");
        [head.as_bytes(), body].concat()
    };
    let declared = |head: &str, body: &[u8]| posted(&format!("{head}Content-Length: {}\r\n", body.len()), body);
    let many: String = (0..90).map(|number| format!("X-{number}: {}\r\n", "x".repeat(700))).collect();
    vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        posted("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\nGET /x HTTP/1.1\r\n\r\n"),
        declared(&many, b"{}"),
        posted("Content-Length: 99999999999\r\nExpect: 100-continue\r\n", b""),
        declared("Authorization: Bearer e30.e30.e30\r\n", &[b'['; 60_000]),
        declared(&format!("Authorization: Bearer {}\r\n", "a.b".repeat(2_000)), b"{}"),
        declared("Content-Encoding: gzip\r\n", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0]),
        declared("", b"{\"id\":\"\xff\xfe\",\"name\":1e999999}"),
        b"POST /api/user-sessions/refresh HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n{\"refreshToken\":\"none\"}".to_vec(),
        b"GET /api/events/none HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer none\r\n\r\n".to_vec(),
    ]
}

/// Sends one after the other until it is over, each on a connection of its own, and holds half requests open.
fn attack(address: SocketAddr, over: &AtomicBool, sent: &AtomicU64) {
    let (shapes, mut held) = (shapes(), VecDeque::new());
    for shape in shapes.iter().cycle() {
        if over.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(half) = send(address, b"POST /api/events HTTP/1.1\r\nHost: be") {
            held.push_back(half);
        }
        if held.len() > HELD {
            held.pop_front();
        }
        let answered = send(address, shape).and_then(|mut stream| stream.read(&mut [0; 512]));
        // Whatever came of it: an attacker does not care.
        drop(answered);
        sent.fetch_add(1, Ordering::Relaxed);
    }
}

/// Opens a connection and sends bytes on it.
fn send(address: SocketAddr, bytes: &[u8]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(bytes)?;
    Ok(stream)
}
