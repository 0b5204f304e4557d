//! What delivering an event costs: the product with its limit open, beside a bare loop of calls.
//!
//! Both send the same mutation to the same simulated target with as many calls in flight. The product reads its topic, checks
//! for repeats, paces, judges each answer, and settles; the loop does nothing but call. Against a target that answers at once
//! all is bound by CPU time, which both share; against one that takes its time, as APIs do, by what waits for what. Here topic
//! and database are embedded.

use std::fs;
use std::io::{Read, StdoutLock, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use chaos::process::used;
use simulators::target::{Options, RATE_REQUESTS_MAX, Target};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::load::{self, Until};
use crate::process::{Peer, Product};
use crate::{micros_each, middle};

/// Calls in flight.
pub(crate) const IN_FLIGHT: usize = 64;
/// How long the target takes for an answer.
const LATENCIES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(20)];
/// Events of one turn of the product.
const EVENTS: u64 = 64_000;
/// Connections that fill the backlog.
const CONNECTIONS: u16 = 32;
/// How long one turn of the bare loop is.
const TURN: Duration = Duration::from_secs(4);
/// How often each has its turn.
const ROUNDS: usize = 3;
/// How long a turn of the product may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Serves as a target that takes so many milliseconds for an answer, until it is killed; prints its address first.
pub(crate) fn serve_target(latency: &str) -> anyhow::Result<()> {
    let latency = Duration::from_millis(latency.parse().context("read the latency")?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
    let options = Options { rate_requests: RATE_REQUESTS_MAX, rate_interval: Duration::from_secs(1), latency, ..Options::default() };
    actix_rt::System::new().block_on(async {
        let target = Target::start(options, listener, CancellationToken::new())?;
        writeln!(std::io::stdout(), "{}", target.address())?;
        Ok(target.stopped().await?)
    })
}

/// Measures both in turn and prints the medians.
pub(crate) fn measure(out: &mut StdoutLock<'_>, directory: &Path) -> anyhow::Result<()> {
    compare(out, "embedded", |target, round| {
        let data = directory.join(format!("deliver-{}-{round}", target.port()));
        fill(&data, round)?;
        let bare = call(target, round)?;
        let proxy = Proxy::start(&data, target)?;
        Ok((bare, deliver(proxy.0.id(), target)?))
    })
}

/// Rates in events per second with the CPU time that each event cost, in microseconds: of the bare loop, and of the product.
type Turn = ((f64, f64), (f64, f64));

/// Lets each have its turns against targets of several latencies and prints the medians.
pub(crate) fn compare(
    out: &mut StdoutLock<'_>,
    name: &str,
    mut turn: impl FnMut(SocketAddr, usize) -> anyhow::Result<Turn>,
) -> anyhow::Result<()> {
    writeln!(out, "\ndeliver  {IN_FLIGHT} in flight, {name}, limit open, medians of {ROUNDS} turns")?;
    writeln!(out, "         {:<16}{:<14}{:>12}{:>9}{:>14}", "target answers", "", "events/s", "of bare", "CPU µs/event")?;
    for latency in LATENCIES {
        let (bare, product) = medians(latency, &mut turn)?;
        let told = if latency.is_zero() { "at once".to_owned() } else { format!("after {} ms", latency.as_millis()) };
        for (answers, who, (rate, cost)) in [(told.as_str(), "bare loop", bare), ("", "events-proxy", product)] {
            writeln!(out, "         {answers:<16}{who:<14}{rate:>12.0}{:>9.2}{cost:>14.1}", rate / bare.0)?;
        }
    }
    Ok(())
}

/// The medians of turns against a target; the first turn of both only warms up.
fn medians(latency: Duration, turn: &mut impl FnMut(SocketAddr, usize) -> anyhow::Result<Turn>) -> anyhow::Result<Turn> {
    let target = Peer::start(&["serve-target", &latency.as_millis().to_string()])?;
    turn(target.address, 0)?;
    let turns = (1..=ROUNDS).map(|round| turn(target.address, round)).collect::<anyhow::Result<Vec<Turn>>>()?;
    let medians = |turns: Vec<(f64, f64)>| {
        let (rates, costs) = turns.into_iter().unzip();
        (middle(rates), middle(costs))
    };
    let (bare, product) = turns.into_iter().unzip();
    Ok((medians(bare), medians(product)))
}

/// Accepts events while the target is away.
fn fill(data: &Path, round: usize) -> anyhow::Result<()> {
    let product = Product::start(data)?;
    send(product.address, &product.log_in()?, round)
}

/// Sends the events of one turn.
pub(crate) fn send(address: SocketAddr, token: &str, round: usize) -> anyhow::Result<()> {
    let until = Until::Sent(EVENTS / u64::from(CONNECTIONS));
    let seen = load::run(address, token, CONNECTIONS, (&format!("d{round}"), until))?;
    anyhow::ensure!(seen.accepted == EVENTS, "{} of {EVENTS} events were accepted", seen.accepted);
    Ok(())
}

/// How many events the target gets per second of a process that has just started, between the first and the last twentieth, and
/// what CPU time each costs that process, in microseconds.
pub(crate) fn deliver(process: u32, target: SocketAddr) -> anyhow::Result<(f64, f64)> {
    let first = received(target)?;
    let began = reach(process, target, first + EVENTS / 20)?;
    let before = used(process)?.cpu;
    let ended = reach(process, target, first + EVENTS - EVENTS / 20)?;
    let cpu = used(process)?.cpu - before;
    let events = ended.0 - began.0;
    let rate = f64::from(u32::try_from(events)?) / ended.1.duration_since(began.1).as_secs_f64();
    Ok((rate, micros_each(cpu, events)))
}

/// Waits until the target has got so many requests, of which a process sends the next; tells how many it has then, and when that was.
fn reach(process: u32, target: SocketAddr, requests: u64) -> anyhow::Result<(u64, Instant)> {
    let began = Instant::now();
    loop {
        let (seen, now) = (received(target)?, Instant::now());
        if seen >= requests {
            return Ok((seen, now));
        }
        anyhow::ensure!(now.duration_since(began) < PATIENCE, "the product delivered {seen} of {requests} events");
        used(process).context("the product ended")?;
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many requests the target got so far.
fn received(target: SocketAddr) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(target).context("connect to the target")?;
    stream.write_all(b"GET /numbers HTTP/1.1\r\nHost: target\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("ask the target")?;
    let (_, body) = answer.split_once("\r\n\r\n").context("read the target's answer")?;
    let numbers: serde_json::Value = serde_json::from_str(body).context("read the target's numbers")?;
    numbers.get("received").and_then(serde_json::Value::as_u64).context("find the number of requests")
}

/// The product, delivering.
struct Proxy(Child);

impl Proxy {
    /// Starts it with an open limit.
    fn start(data: &Path, target: SocketAddr) -> anyhow::Result<Self> {
        let this = std::env::current_exe().context("find this program")?;
        let program = this.parent().and_then(Path::parent).context("find the build's directory")?.join("events-proxy");
        let log = fs::File::create(data.join("log")).context("make a log file")?;
        let child = Command::new(program)
            .args(["--no-source", "--no-target", "--log", "--data-dir"])
            .arg(data)
            .env_clear()
            .envs([("PORT", "0"), ("ADMIN_PORT", "0"), ("LOG_FILTER", "warn")])
            .envs([("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "10000000"), ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "1000")])
            .env("DELIVERY_IN_FLIGHT_MAX", IN_FLIGHT.to_string())
            .env("TARGET_SERVICE_GRAPHQL_URL", format!("http://{target}/graphql"))
            .stdin(Stdio::null())
            .stdout(log)
            .spawn()
            .context("start events-proxy")?;
        Ok(Self(child))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Calls the target in a loop, and tells how often per second, and what CPU time each call cost, in microseconds.
pub(crate) fn call(target: SocketAddr, round: usize) -> anyhow::Result<(f64, f64)> {
    let time = if round == 0 { Duration::from_secs(1) } else { TURN };
    let before = used(std::process::id())?.cpu;
    chassis::tls::install();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("make a runtime")?.block_on(async {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).tcp_nodelay(true).build().context("make a client")?;
        let (answered, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..IN_FLIGHT {
            let (client, answered) = (client.clone(), Arc::clone(&answered));
            calls.spawn(async move {
                while began.elapsed() < time {
                    let number = answered.fetch_add(1, Ordering::Relaxed);
                    let request = client.post(format!("http://{target}/graphql")).header("content-type", "application/json");
                    let response = request.body(mutation(began, number)).send().await?.error_for_status()?;
                    response.bytes().await?;
                }
                Ok::<(), reqwest::Error>(())
            });
        }
        for ended in calls.join_all().await {
            ended.context("call the target")?;
        }
        let calls = answered.load(Ordering::Relaxed);
        let rate = f64::from(u32::try_from(calls)?) / began.elapsed().as_secs_f64();
        Ok((rate, micros_each(used(std::process::id())?.cpu - before, calls)))
    })
}

/// The mutation with an event of about 300 bytes, as the product sends it.
fn mutation(began: Instant, number: u64) -> String {
    const QUERY: &str = "mutation ProcessEvent($input: ProcessEventInput!) { processEvent(input: $input) { id } }";
    let filler = "a customer placed an order and pays by invoice; ".repeat(4);
    let id = format!("bare-{:?}-{number}", began);
    serde_json::json!({
        "query": QUERY,
        "variables": { "input": {
            "id": id, "name": "order placed", "body": filler, "timestamp": "2026-01-31T12:00:00Z", "brand": "testBrand",
        } },
        "operationName": "ProcessEvent",
    })
    .to_string()
}
