//! Puts ingest together and takes it apart: not ready, then sources are let go, then requests end, then the spool is drained.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web;
use anyhow::Context;
use auth::access::{Keys, Known, LEEWAY};
use auth::lockout::LockOut;
use auth::password::{COST_MIN, Passwords, judge_hash};
use auth::session::Sessions;
use broker::log::Log;
use broker::{Publisher, kafka};
use chassis::admin::{Condition, Readiness};
use chassis::clock::Clock;
use chassis::lifecycle::{OnFailure, Tasks};
use chassis::metrics::Registry;
use chassis::settings::common::{self, Topic};
use storage::Store;
use tokio::time::{Instant, timeout_at};

use crate::accept::{Accept, Overtaken, Straight};
use crate::admission::Admission;
use crate::bridge::Remembered;
use crate::burial::Graveyard;
use crate::farewell::Connections;
use crate::journal::Journal;
use crate::metrics::{Metrics, Numbers};
use crate::outage::Outage;
use crate::publish::{Acks, Courtesy, Drainer, News, Parts as DrainerParts, Progress, Refused, Worker};
use crate::quota::Quota;
use crate::settings::{Durability, Settings};
use crate::shared::Shared;
use crate::{ended, seed, server, spool, topic};

/// How many bcrypt computations run at once, and how many callers may wait for one.
const LOG_INS: (usize, usize) = (1, 64);
/// The cost that a wrong account's time is made to look like, when no account says another one.
const COST_USUAL: u32 = 10;
/// The interval that [`Settings::sessions_per_minute`] counts in.
const MINUTE: Duration = Duration::from_secs(60);
/// How often a stop looks whether the spool is drained.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// What ingest is made of.
#[derive(Debug)]
pub struct Parts {
    /// Its settings.
    pub settings: Settings,
    /// Accounts, sessions, journal.
    pub store: Store,
    /// The topic.
    pub publisher: Arc<dyn Publisher>,
    /// Tells when.
    pub clock: Arc<dyn Clock>,
    /// Keeps its numbers.
    pub registry: Registry,
    /// Tells whether it should get requests.
    pub readiness: Readiness,
}

/// A running ingest; clones are the same one.
#[derive(Debug, Clone)]
pub struct Running {
    /// Where it listens.
    address: SocketAddr,
    /// Stops the listener.
    server: ServerHandle,
    /// What it has open.
    connections: Connections,
    /// Its own tasks.
    tasks: Tasks,
    /// What it counts.
    metrics: Metrics,
    /// Where accepted events wait.
    spool: Log,
    /// How far they are published.
    progress: Progress,
    /// What the topic refused.
    refused: Refused,
    /// Whether it should get requests.
    condition: Condition,
}

/// What a stop leaves behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// Events that the topic does not have yet: they are in the spool, and the next start goes on with them.
    pub unpublished: u64,
    /// Dead events that the database does not have yet: they are beside the spool, and the next start goes on with them, too.
    pub unburied: u64,
}

/// Starts ingest on a [port that was taken](chassis::port::take), which it opens last; its failure is one of `tasks`. Events may
/// be sent when it returns.
///
/// # Errors
/// The spool or the listener cannot be used.
pub fn start(parts: Parts, listener: TcpListener, tasks: &Tasks) -> anyhow::Result<Running> {
    let Parts { settings, store, publisher, clock, registry, readiness } = parts;
    let address = listener.local_addr().context("ask where the listener listens")?;
    let spool = spool::open(&settings)?;
    let (own, metrics) = (Tasks::new(), Metrics::new(&registry));
    let journal = Journal::start(store.clone(), settings.journal_batch_max, metrics.clone(), &own);
    let refused = Refused::open(&settings.spool_dir, metrics.clone())?;
    let graveyard = Graveyard { refused: refused.clone(), store: store.clone(), clock: Arc::clone(&clock), metrics: metrics.clone() };
    let burying = own.stopping();
    own.spawn("bury refused events", OnFailure::StopProcess, async move {
        // Cancel-safe: what is not buried is at the next start.
        tokio::select! {
            () = burying.cancelled() => Ok(()),
            dug = graveyard.dig() => dug,
        }
    });
    let acks = Acks::new(publisher.partitions(), settings.durability != Durability::Volume);
    let news = News { journal, clock: Arc::clone(&clock) };
    let worker = Worker { news: news.clone(), refused: refused.clone(), acks: acks.clone(), metrics: metrics.clone() };
    let overtaken = Overtaken::default();
    let courtesy = if settings.durability == Durability::Volume { Courtesy::new(metrics.clone()) } else { Courtesy::none() };
    let drainer = DrainerParts { spool: spool.clone(), publisher: Arc::clone(&publisher), overtaken: overtaken.clone(), courtesy, worker };
    let progress = Drainer::start(drainer, &own).context("read how far the spool is published")?;
    spool::observe(&spool, &progress, &refused, (&metrics, &registry));
    let straight = Straight::start(&publisher, &news, &own);
    let (making, second, tasks_of_it) = (Arc::clone(&publisher), straight.clone(), own.clone());
    own.spawn("make the topic", OnFailure::Log, async move {
        topic::prepare(making, tasks_of_it.stopping()).await?;
        second.keep_open(&tasks_of_it); // where there is no topic, a look would only make the link pause
        Ok(())
    });
    let (sowing, seeds, stop) = (store.clone(), settings.accounts.clone(), own.stopping());
    own.spawn("put accounts in place", OnFailure::Log, async move { seed::sow(&sowing, &seeds, stop).await });

    let accept = Accept {
        durability: settings.durability,
        spool: spool.clone(),
        straight,
        partitions: publisher.partitions(),
        acks,
        overtaken,
        clock: Arc::clone(&clock),
        metrics: metrics.clone(),
    };
    let settings = Settings { recorder: settings.recorder.clone().watching(registry.spans()), ..settings };
    let outage = Outage::watch(store.clone(), settings.outage_grace, metrics.clone(), &own);
    let shared = web::Data::new(shared(&settings, (store.clone(), outage), accept, (spool.clone(), progress.clone())));
    let good_for = settings.access_lifetime + LEEWAY + settings.outage_grace;
    ended::watch(store, Arc::clone(&shared.keys), (settings.session_check, good_for), Arc::clone(&shared.clock), &own);
    let connections = Connections::default();
    let server = server::server(listener, shared, (connections.clone(), registry.requests())).context("serve")?;
    let handle = server.handle();
    own.spawn("public listener", OnFailure::StopProcess, async move { Ok(server.await?) });
    let (failed, stopping) = (own.failed(), tasks.stopping());
    tasks.spawn("ingest", OnFailure::StopProcess, async move {
        // Both arms are cancel-safe: each only waits.
        tokio::select! {
            failure = failed => Err(failure.into()),
            () = stopping.cancelled() => Ok(()),
        }
    });
    let condition = readiness.condition("ingest");
    condition.ready();
    Ok(Running { address, server: handle, connections, tasks: own, metrics, spool, progress, refused, condition })
}

/// The options of a topic on Kafka, from the settings that all processes share.
#[must_use]
pub fn kafka(topic: Topic) -> kafka::Options {
    let sasl = topic.login.map(|login| {
        let mechanism = match login.mechanism {
            common::Mechanism::Plain => kafka::Mechanism::Plain,
            common::Mechanism::ScramSha256 => kafka::Mechanism::ScramSha256,
            common::Mechanism::ScramSha512 => kafka::Mechanism::ScramSha512,
        };
        kafka::Sasl { mechanism, username: login.username, password: login.password }
    });
    let options = kafka::Options::new(topic.brokers, topic.name, topic.partitions);
    kafka::Options { copies: topic.copies, tls: topic.tls, sasl, ..options }
}

/// What every request needs.
fn shared(settings: &Settings, (store, outage): (Store, Outage), accept: Accept, waiting: (Log, Progress)) -> Shared {
    let (secret, second) = &settings.token_secrets;
    let keys = Keys::new(secret, settings.issuer.clone(), settings.audience.clone(), settings.access_lifetime);
    let keys = keys.accepting(second.as_ref());
    let cost = settings.accounts.iter().filter_map(|seed| judge_hash(&seed.secret).ok()).max();
    let passwords = Passwords::new(LOG_INS.0, LOG_INS.1, cost.unwrap_or(COST_USUAL).max(COST_MIN));
    Shared {
        sessions: Sessions::new(Arc::new(Remembered(store.clone())), passwords, keys.clone(), settings.refresh_lifetime),
        keys: Arc::new(Known::new(keys)),
        outage,
        store,
        events_quota: Quota::new(settings.rate.0, settings.rate.1),
        look_ups_quota: Quota::new(settings.look_ups.0, settings.look_ups.1),
        sessions_quota: Quota::new(settings.sessions_per_minute, MINUTE),
        lock_out: LockOut::new(settings.lock_out.0, settings.lock_out.1),
        trusted: settings.trusted_proxies.clone(),
        admission: Admission::new(settings.in_flight_max, settings.in_flight_bytes_max),
        timeout: settings.timeout,
        body_bytes_max: settings.body_bytes_max,
        clock: Arc::clone(&accept.clock),
        recorder: settings.recorder.clone(),
        metrics: accept.metrics.clone(),
        accept,
        waiting,
    }
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The figures of this moment.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.metrics.numbers(self.unpublished())
    }

    /// How many events wait in the spool.
    fn unpublished(&self) -> u64 {
        self.progress.unpublished(self.spool.bounds().end)
    }

    /// What a stop would leave behind now.
    fn left(&self) -> Left {
        Left { unpublished: self.unpublished(), unburied: self.refused.waiting() }
    }

    /// Lets sources go: not ready, and each answer asks for another connection; for two seconds, and for `grace`, at most. Meanwhile new
    /// connections are served.
    pub async fn part(&self, grace: Duration) {
        self.condition.not_ready("stopping");
        self.connections.part(grace).await;
    }

    /// Stops: not ready, then the requests under way are answered, then the spool, and what is beside it, is drained for as long as
    /// `grace` lasts and the tasks that drain it do.
    pub async fn stop(&self, grace: Duration) -> Left {
        let until = Instant::now() + grace;
        self.condition.not_ready("stopping");
        self.server.stop(true).await;
        let drained = async {
            while self.left() != Left::default() {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        };
        // Both arms are cancel-safe: each only looks.
        tokio::select! {
            _ = timeout_at(until, drained) => {}
            _ = self.tasks.failed() => {}
        }
        let left = self.left();
        let running = self.tasks.stop(Duration::from_secs(2)).await;
        if left != Left::default() {
            tracing::warn!(
                events = left.unpublished,
                dead = left.unburied,
                tasks = running.join(", "),
                "the spool is not drained; the next start goes on with it"
            );
        }
        left
    }
}
