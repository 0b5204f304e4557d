//! Several dispatchers on one topic: one is killed, one is frozen and wakes as a zombie, one is told to stop. Nothing is lost,
//! and what the target sees twice was in flight then and carries the same key.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use simulators::target::{Arrival, Options, Outcome, Target};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::{Process, Source, busy, free_port, services, until};

/// How many events go through.
const EVENTS: usize = 6_000;
/// How many arrivals the target keeps.
const ARRIVALS_KEPT: usize = 10_000;
/// What each dispatcher may have in flight, so that the end of one can be told from the rest.
const IN_FLIGHT: usize = 32;
/// A take-over after a kill: the lease runs out, and somebody looks.
const AFTER_A_KILL: Duration = Duration::from_secs(12);
/// A take-over after a stop as asked.
const AFTER_A_STOP: Duration = Duration::from_secs(2);
/// How long before the end of a process an event may have arrived that nobody could record any more, in microseconds.
const UNRECORDED: i64 = 3_000_000;

/// The topic's owners, as the database knows them.
struct Owners(DatabaseConnection);

impl Owners {
    /// How many partitions each replica owns under a live lease.
    async fn shares(&self) -> HashMap<String, i64> {
        const SHARES: &str = "SELECT split_part(owner, '/', 1), count(*) FROM dispatch_partition
            WHERE expires_at > EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 GROUP BY 1";
        let rows = self.0.query_all_raw(Statement::from_string(DbBackend::Postgres, SHARES)).await.unwrap_or_default();
        rows.iter().map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap())).collect()
    }

    /// Waits until exactly these replicas share all six partitions; tells how long that took.
    async fn become_of(&self, replicas: &[&str]) -> Duration {
        let began = Instant::now();
        let each = i64::try_from(6 / replicas.len()).unwrap();
        let expected: HashMap<String, i64> = replicas.iter().map(|replica| ((*replica).to_owned(), each)).collect();
        until(&format!("{replicas:?} share the partitions"), async || self.shares().await == expected).await;
        began.elapsed()
    }
}

/// The present moment as the target stamps it.
fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "compared with the stamps of a program that knows nothing of ours")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

/// A target that takes its time, so that there is always something in flight.
fn target(directory: &Path) -> Target {
    let options = Options {
        rate_interval: Duration::from_secs(1),
        rate_requests: 20_000,
        latency: Duration::from_millis(60),
        record_file: Some(directory.join("target.jsonl")),
        ..Options::default()
    };
    Target::start(options, TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), CancellationToken::new()).unwrap()
}

/// Starts a dispatcher of that name.
fn dispatcher(name: &'static str, directory: &Path, settings: &[(&'static str, String)]) -> Process {
    let own = directory.join(name);
    std::fs::create_dir_all(&own).unwrap();
    let mut settings = settings.to_vec();
    settings.push(("ADMIN_PORT", free_port().to_string()));
    settings.push(("CONTAINER_APP_REPLICA_NAME", name.to_owned()));
    Process::start("dispatcher", &own, &settings, &[])
}

/// The arrivals of events that arrived more than once, by id; every other request was the only one of its event.
fn repeated(arrivals: &[Arrival]) -> HashMap<&str, Vec<&Arrival>> {
    let mut by_id: HashMap<&str, Vec<&Arrival>> = HashMap::new();
    for arrival in arrivals {
        let id = arrival.id.as_deref().expect("the target refuses nothing in this test");
        by_id.entry(id).or_default().push(arrival);
    }
    by_id.retain(|_, arrivals| arrivals.len() > 1);
    by_id
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_that_die_freeze_or_stop_lose_nothing_and_repeat_only_what_was_in_flight() {
    let machine = busy().await;
    let directory = tempfile::tempdir().unwrap();
    let services = services().await;
    let target = target(directory.path());
    let port = free_port();
    let mut settings = services.shared();
    settings.extend([
        ("PORT", port.to_string()),
        ("SPOOL_DIR", directory.path().join("spool").display().to_string()),
        ("TARGET_SERVICE_GRAPHQL_URL", format!("http://{}/graphql", target.address())),
        ("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", "1000".to_owned()),
        // Of all dispatchers together: slow enough that there is a backlog through every change of owners.
        ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "120".to_owned()),
        // How fast events are accepted is not what is judged here.
        ("ACCEPT_TIMEOUT_MS", "10000".to_owned()),
        ("DELIVERY_IN_FLIGHT_MAX", IN_FLIGHT.to_string()),
    ]);
    let mut ingest_settings = settings.clone();
    ingest_settings.push(("ADMIN_PORT", free_port().to_string()));
    let ingest = Process::start("ingest", directory.path(), &ingest_settings, &[]);
    let accepted: HashSet<String> = Source::log_in(port).await.send_all("owned", 0..EVENTS, 16).await;
    assert_eq!(accepted.len(), EVENTS, "events were refused");

    let mut a = dispatcher("a", directory.path(), &settings);
    let owners = Owners(sea_orm::Database::connect(services.database()).await.unwrap());
    owners.become_of(&["a"]).await;
    let (b, mut c) = (dispatcher("b", directory.path(), &settings), dispatcher("c", directory.path(), &settings));
    owners.become_of(&["a", "b", "c"]).await;

    let killed = now();
    a.kill();
    let gap = owners.become_of(&["b", "c"]).await;
    assert!(gap <= AFTER_A_KILL, "taken over {gap:?} after a kill");
    eprintln!("taken over {gap:?} after a kill");

    let frozen = now();
    b.signal("STOP");
    owners.become_of(&["c"]).await;
    let woken = now();
    b.signal("CONT");
    owners.become_of(&["b", "c"]).await;
    assert!(b.written().contains("belongs to another"), "the zombie did not learn that it was one");

    let status = c.end("TERM").await;
    assert!(status.success(), "stopped with {status}");
    let gap = owners.become_of(&["b"]).await;
    assert!(gap <= AFTER_A_STOP, "taken over {gap:?} after a stop as asked");
    eprintln!("taken over {gap:?} after a stop as asked");

    let more = [dispatcher("d", directory.path(), &settings), dispatcher("e", directory.path(), &settings)];
    // A request whose sender died before its answer is no arrival, and its event comes again.
    let taken = || target.arrivals().into_iter().filter_map(|arrival| arrival.id).collect::<HashSet<String>>();
    until("the target has each accepted event", async || accepted.is_subset(&taken())).await;
    assert_eq!(taken(), accepted);
    let arrivals = target.arrivals();
    assert!(arrivals.len() < ARRIVALS_KEPT, "the target forgot arrivals: send fewer events");
    let repeated = repeated(&arrivals);
    eprintln!("{} events arrived more than once", repeated.len());
    assert!(repeated.len() <= 4 * IN_FLIGHT, "{} events arrived more than once", repeated.len());
    for (id, arrivals) in repeated {
        let first = arrivals.first().unwrap();
        assert!(arrivals.iter().all(|arrival| arrival.key == first.key && arrival.key.is_some()), "{id} came under several keys");
        assert!(arrivals.iter().skip(1).all(|arrival| arrival.outcome == Outcome::Duplicate), "{id} was processed twice");
        let ended = [killed, frozen].iter().any(|end| (end - UNRECORDED..=*end + 1_000_000).contains(&first.at_micros));
        // What the zombie had begun to send when it froze leaves it when it wakes up, whoever sent it meanwhile.
        let belated = arrivals.iter().skip(1).any(|arrival| (woken..=woken + 1_000_000).contains(&arrival.at_micros));
        let told = format_args!("killed {killed}, frozen {frozen}, woken {woken}");
        assert!(ended || belated, "{id} was repeated although nobody ended: {arrivals:?}, {told}");
    }
    drop((ingest, b, more));
    drop(machine);
}
