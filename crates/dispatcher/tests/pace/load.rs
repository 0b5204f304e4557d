//! A backlog: attempts that always wait for the next slot, and what came of them by the target's record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dispatcher::pace::{Pace, Slot};
use rand::Rng;
use simulators::target::Target;
use storage::Limit;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::machine::Watch;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How far behind the sending an arrival may be, beside rare delays.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Network {
    /// Every call is delayed by up to this.
    pub(crate) jitter: Duration,
    /// One call in so many is delayed by [`Self::delay`].
    pub(crate) one_in: Option<u32>,
    /// The rare delay.
    pub(crate) delay: Duration,
}

/// A backlog to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backlog {
    /// Attempts that wait, or are under way, in each process.
    pub(crate) attempts: usize,
    /// How long it lasts.
    pub(crate) time: Duration,
    /// The way to the target.
    pub(crate) network: Network,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// The most arrivals in any rolling window.
    pub(crate) worst: u64,
    /// The used share of the limit.
    pub(crate) used: f64,
    /// The share of the time in which no attempt waited for a slot.
    idle: f64,
    /// The share of the time in which the machine woke nobody.
    lost: f64,
    /// How many times the limit the machine can send at all, without a pace.
    capacity: f64,
}

impl Seen {
    /// Judges the limit, and tells whether enough of it was used. The limit is never loosened. Of its use is asked what the
    /// machine allows: a wake-up that is late costs its lateness and a round trip or two, and a machine that could not send
    /// four times as much without a pace has not the time for everything else that is done here.
    fn uses_enough(&self, requests: u32, told: &str) -> bool {
        assert!(self.worst <= u64::from(requests), "{told}: {} of {requests} in a window: {self:?}", self.worst);
        let asked = (0.98 - self.idle - 3.0 * self.lost).min(self.capacity / 4.0);
        println!("{told}: {self:?}, asked {asked:.4}");
        self.used >= asked
    }
}

/// Judges both laws by backlogs: none goes beyond the limit, and one of five uses enough of it. Whatever else the machine does makes
/// a backlog use less, never more.
pub(crate) async fn judge(requests: u32, told: &str, backlog: impl AsyncFn() -> Seen) {
    for _ in 0..5 {
        if backlog().await.uses_enough(requests, told) {
            return;
        }
    }
    panic!("{told}: none of five backlogs used as much as the machine allowed");
}

/// Sends a backlog through these paces at once, with a look at what the machine can do before and after.
pub(crate) async fn send(paces: &[Arc<dyn Pace>], target: &Target, backlog: Backlog) -> Seen {
    let before = capacity(backlog, paces.len()).await;
    let seen = through(paces, target, backlog).await;
    let after = capacity(backlog, paces.len()).await;
    let limit = paces[0].limit();
    let permitted = f64::from(limit.requests) / limit.interval.as_secs_f64();
    Seen { capacity: before.min(after) / permitted, ..seen }
}

/// Requests per second without a pace.
async fn capacity(backlog: Backlog, processes: usize) -> f64 {
    let interval = Duration::from_secs(1);
    let target = crate::ground::target(simulators::target::RATE_REQUESTS_MAX, interval);
    let paces: Vec<Arc<dyn Pace>> = (0..processes).map(|_| Arc::new(Free) as Arc<dyn Pace>).collect();
    let time = Duration::from_millis(700);
    through(&paces, &target, Backlog { time, ..backlog }).await;
    f64::from(u32::try_from(target.numbers().received).unwrap()) / time.as_secs_f64()
}

/// No pace at all.
#[derive(Debug)]
struct Free;

#[async_trait::async_trait]
impl Pace for Free {
    async fn slot(&self) -> Slot {
        tokio::task::yield_now().await;
        Slot::free()
    }

    async fn pause(&self, _wait: Duration) {}

    fn used(&self) -> f64 {
        1.0
    }

    fn limit(&self) -> Limit {
        Limit { requests: u32::MAX, interval: Duration::from_secs(1), guard: Duration::ZERO }
    }
}

/// Sends a backlog through these paces at once.
async fn through(paces: &[Arc<dyn Pace>], target: &Target, backlog: Backlog) -> Seen {
    let (watch, waiting) = (Watch::start(), Arc::new(AtomicU32::new(0)));
    let barrier = Arc::new(Barrier::new(paces.len() * backlog.attempts));
    let began = Instant::now();
    let mut sending = JoinSet::new();
    for pace in paces {
        for _ in 0..backlog.attempts {
            let attempts = Attempts { pace: Arc::clone(pace), waiting: Arc::clone(&waiting), address: target.address(), backlog };
            let barrier = Arc::clone(&barrier);
            sending.spawn(async move {
                barrier.wait().await;
                attempts.make().await;
            });
        }
    }
    let idle = idle(&waiting, backlog.time).await;
    sending.join_all().await;
    let lost = watch.lost();
    let limit = paces[0].limit();
    let arrivals = target.arrivals();
    let (first, last) = (arrivals[0].at_micros, arrivals[arrivals.len() - 1].at_micros);
    let span = Duration::from_micros(u64::try_from(last - first).unwrap());
    let gaps = f64::from(u32::try_from(arrivals.len() - 1).unwrap());
    Seen {
        worst: target.worst_arrivals(),
        used: gaps / f64::from(limit.requests) * limit.interval.as_secs_f64() / span.as_secs_f64(),
        idle,
        lost: lost.as_secs_f64() / began.elapsed().as_secs_f64(),
        capacity: f64::INFINITY,
    }
}

/// The share of the time in which nobody waited.
async fn idle(waiting: &AtomicU32, time: Duration) -> f64 {
    let (began, mut looks, mut idle) = (Instant::now(), 0_u32, 0_u32);
    while began.elapsed() < time {
        sleep(Duration::from_millis(2)).await;
        looks += 1;
        idle += u32::from(waiting.load(Ordering::Relaxed) == 0);
    }
    f64::from(idle) / f64::from(looks.max(1))
}

/// One attempt after another.
struct Attempts {
    pace: Arc<dyn Pace>,
    waiting: Arc<AtomicU32>,
    address: std::net::SocketAddr,
    backlog: Backlog,
}

impl Attempts {
    /// Makes attempts until the backlog's time is over.
    async fn make(&self) {
        let began = Instant::now();
        // The connections are open before: how long that takes is no matter here.
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        while let Some(left) = self.backlog.time.checked_sub(began.elapsed()) {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let slot = timeout(left, self.pace.slot()).await;
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            let Ok(slot) = slot else { return };
            let delay = self.delay();
            if !delay.is_zero() {
                sleep(delay).await;
            }
            timeout(PATIENCE, call(&mut stream)).await.unwrap();
            slot.answered();
        }
    }

    /// How long this call is delayed.
    fn delay(&self) -> Duration {
        let Network { jitter, one_in, delay } = self.backlog.network;
        let mut rng = rand::rng();
        if one_in.is_some_and(|many| rng.random_range(0..many) == 0) {
            return delay;
        }
        jitter.mul_f64(rng.random_range(0.0..1.0))
    }
}

/// Calls the target with a request that costs it little, and reads the whole answer.
async fn call(stream: &mut TcpStream) {
    // Not GraphQL: what arrives is what counts here.
    const BODY: &str = "-";
    let head = "POST /graphql HTTP/1.1\r\nHost: target\r\nContent-Type: application/json\r\nContent-Length:";
    stream.write_all(format!("{head} {}\r\n\r\n{BODY}", BODY.len()).as_bytes()).await.unwrap();
    let (mut answer, mut part) = (Vec::new(), [0; 2_048]);
    loop {
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0, "the target closed the connection");
        answer.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned)).unwrap();
        if body.len() >= length.parse::<usize>().unwrap() {
            return;
        }
    }
}
