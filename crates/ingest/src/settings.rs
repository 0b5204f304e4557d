//! The settings of ingest, judged once at the start.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use auth::access::{judge_secret, random_secret};
use auth::operator::Operators;
use auth::password::judge_hash;
use chassis::settings::{Reader, common};
use chassis::trace::Recorder;
use events_proxy_core::SourceId;
use secrecy::SecretString;
use serde::Deserialize;

use crate::address::{Proxies, ToldIn};

/// What ingest needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The key that signs access tokens, and one that is accepted too.
    pub token_secrets: (SecretString, Option<SecretString>),
    /// Their `iss`.
    pub issuer: String,
    /// Their `aud`.
    pub audience: String,
    /// How long an access token lives.
    pub access_lifetime: Duration,
    /// How long after its end an access token sends events while the storage is away; none, and it does not.
    pub outage_grace: Duration,
    /// How long a refresh token lives.
    pub refresh_lifetime: Duration,
    /// How often it is read which sessions were ended; never, where it is nothing.
    pub session_check: Duration,
    /// Proxies whose headers tell the client's address.
    pub trusted_proxies: Proxies,
    /// Accounts to put in place.
    pub accounts: Vec<Seed>,
    /// What a source may send: requests per interval.
    pub rate: (u32, Duration),
    /// What a source may look up: requests per interval.
    pub look_ups: (u32, Duration),
    /// The largest body.
    pub body_bytes_max: usize,
    /// Time to an answer.
    pub timeout: Duration,
    /// What a 202 needs.
    pub durability: Durability,
    /// Requests being worked on.
    pub in_flight_max: usize,
    /// Their bodies, in bytes.
    pub in_flight_bytes_max: usize,
    /// What one address may ask of sessions per minute.
    pub sessions_per_minute: u32,
    /// How many failed log-ins are free, and the longest wait after more of them.
    pub lock_out: (u32, Duration),
    /// Where accepted events wait for the topic.
    pub spool_dir: PathBuf,
    /// The spool's bounds.
    pub spool: broker::log::Options,
    /// Whether a spool that does not outlive the machine is refused.
    pub spool_must_last: bool,
    /// Rows of the journal per write.
    pub journal_batch_max: usize,
    /// Which requests are recorded.
    pub recorder: Recorder,
}

/// What a 202 needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The fsync on our own volume.
    Volume,
    /// The fsync; the topic's acknowledgement is waited for softly.
    Both,
    /// The topic's acknowledgement.
    Broker,
}

/// An account to put in place at the start.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// The account's id: the events' source.
    pub id: String,
    /// What it logs in with.
    #[serde(rename = "authId")]
    pub auth_id: String,
    /// The bcrypt hash of its secret.
    pub secret: String,
    /// Its brand, if it has one of its own.
    #[serde(default)]
    pub brand: Option<String>,
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seed").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads them; `None` when something is wrong, which the reader then knows.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let token_secrets = common::token_secrets(reader, true, judge_secret);
        let issuer = reader.text("auth_issuer");
        let audience = audience(reader);
        let access_lifetime = reader.seconds("auth_access_token_expires_in_sec", 1..=86_400);
        let outage_grace = reader.seconds("auth_access_token_outage_grace_sec", 0..=86_400);
        let session_check = reader.seconds("auth_session_check_interval_sec", 0..=3_600);
        let refresh_lifetime = reader.seconds("auth_refresh_token_expires_in_sec", 1..=31_536_000);
        let trusted_proxies = trusted_proxies(reader);
        let accounts = accounts(reader);
        let requests = reader.number("rate_limit_requests_per_interval", 1..=10_000_000);
        let interval = reader.millis("rate_limit_interval_ms", 1..=86_400_000);
        let look_ups = reader.number("look_up_rate_limit_requests_per_interval", 1..=10_000_000);
        let look_up_interval = reader.millis("look_up_rate_limit_interval_ms", 1..=86_400_000);
        let bytes = bytes(reader);
        let timeout = reader.millis("accept_timeout_ms", 50..=60_000);
        let spool_dir = spool_dir(reader);
        let spool = spool(reader);
        let journal_batch_max = reader.number("journal_batch_max", 1..=5_000);
        let durability = durability(reader);
        let in_flight_max = reader.number("accept_in_flight_max", 1..=1_000_000);
        let sessions_per_minute = reader.number("auth_requests_per_minute", 1..=1_000_000);
        let failures_max = reader.number("auth_failures_max", 1..=1_000);
        let lock_out_max = reader.seconds("auth_lock_out_max_sec", 1..=86_400);
        let recorder = common::recorder(reader);
        let production = common::is_production(reader);
        let durability = durability?;
        Some(Self {
            token_secrets: token_secrets.map(|secrets| (secrets.first.unwrap_or_else(random_secret), secrets.second))?,
            issuer: issuer?,
            audience: audience?,
            access_lifetime: access_lifetime?,
            outage_grace: outage_grace?,
            session_check: session_check?,
            refresh_lifetime: refresh_lifetime?,
            trusted_proxies: trusted_proxies?,
            accounts: accounts?,
            rate: (requests?, interval?),
            look_ups: (look_ups?, look_up_interval?),
            body_bytes_max: bytes?.0,
            timeout: timeout?,
            durability,
            in_flight_max: in_flight_max?,
            in_flight_bytes_max: bytes?.1,
            sessions_per_minute: sessions_per_minute?,
            lock_out: (failures_max?, lock_out_max?),
            spool_dir: spool_dir?,
            spool: spool?,
            spool_must_last: production? && durability != Durability::Broker,
            journal_batch_max: journal_batch_max?,
            recorder: recorder?,
        })
    }
}

/// The most bytes of one body, and of all in work.
fn bytes(reader: &mut Reader) -> Option<(usize, usize)> {
    const ALL: &str = "accept_in_flight_bytes_max";
    let one = reader.number("accept_body_bytes_max", 1_024..=16_777_216);
    let all = reader.number(ALL, 1_048_576..=8_589_934_592);
    let (one, all) = (one?, all?);
    if one > all {
        reader.mistake(ALL, "must not be less than ACCEPT_BODY_BYTES_MAX: a body whose length is not declared would never be let in");
        return None;
    }
    Some((one, all))
}

/// What a 202 needs, unless it stands beside something that makes it worthless.
fn durability(reader: &mut Reader) -> Option<Durability> {
    let named = [("volume", Durability::Volume), ("both", Durability::Both), ("broker", Durability::Broker)];
    let durability = reader.one_of("accept_durability", &named);
    let production = common::is_production(reader);
    let forgets = reader.one_of("queue_type", &[("InMemory", true), ("Local", false), ("Kafka", false)]);
    let repository_forgets = reader.one_of("user_repository_type", &[("InMemory", true), ("Sqlite", false), ("Postgres", false)]);
    let copies = reader.optional_number::<u16>("queue_copies", 1..=9);
    let (durability, production) = (durability?, production?);
    let mut safe = true;
    let mut refuse = |key: &str, message: &str| {
        reader.mistake(key, message);
        safe = false;
    };
    if production && forgets? {
        refuse("queue_type", "must not be InMemory in production: what it took from the spool is lost with the process");
    }
    if production && repository_forgets? {
        refuse("user_repository_type", "must not be InMemory in production: dead events, offsets and sessions are lost with the process");
    }
    if durability == Durability::Broker && forgets? {
        refuse("accept_durability", "must not be `broker` with QUEUE_TYPE InMemory: that acknowledgement outlives nothing");
    }
    if production && durability == Durability::Broker && copies? == Some(1) {
        refuse(
            "queue_copies",
            "must be more than 1 with ACCEPT_DURABILITY `broker`: the one copy would be all that is left of an accepted event",
        );
    }
    safe.then_some(durability)
}

/// The audience of sources' tokens: any but the operators', for one key signs both.
fn audience(reader: &mut Reader) -> Option<String> {
    const KEY: &str = "auth_audience";
    let audience = reader.text(KEY)?;
    if audience == Operators::AUDIENCE {
        reader.mistake(KEY, "must not be that of operators' tokens: a source would be the operator of its name");
        return None;
    }
    Some(audience)
}

/// The proxies whose headers are believed.
fn trusted_proxies(reader: &mut Reader) -> Option<Proxies> {
    let text = reader.optional_text("client_ip_trusted_proxies").unwrap_or_default();
    let told_in = reader.one_of("client_ip_header", &[("X-Forwarded-For", ToldIn::XForwardedFor), ("Forwarded", ToldIn::Forwarded)]);
    match text.parse::<Proxies>() {
        Ok(proxies) => Some(proxies.telling_in(told_in?)),
        Err(error) => {
            reader.mistake("client_ip_trusted_proxies", error.to_string());
            None
        }
    }
}

/// The accounts to put in place.
fn accounts(reader: &mut Reader) -> Option<Vec<Seed>> {
    const KEY: &str = "proxy_service_test_users_data";
    let seeds: Vec<Seed> = reader.json(KEY)?.unwrap_or_default();
    let mut good = true;
    let (mut ids, mut log_ins) = (HashMap::new(), HashMap::new());
    for (place, seed) in seeds.iter().enumerate() {
        let mut wrong = |what: &str| {
            reader.mistake(KEY, format!("account {place}: {what}"));
            good = false;
        };
        if !SourceId::new(seed.id.as_str()).names_an_account() {
            wrong("`id` must have 1 to 128 printable characters and no `/`");
        }
        if !(1..=auth::session::AUTH_ID_BYTES_MAX).contains(&seed.auth_id.len()) {
            wrong("`authId` must have 1 to 512 bytes");
        }
        // Of two with one id the later would replace the earlier; of two with one log-in the storage takes the earlier alone.
        if let Some(earlier) = ids.insert(seed.id.as_str(), place) {
            wrong(&format!("`id` is that of account {earlier} too"));
        }
        if let Some(earlier) = log_ins.insert(seed.auth_id.as_str(), place) {
            wrong(&format!("`authId` is that of account {earlier} too"));
        }
        if let Err(unfit) = judge_hash(&seed.secret) {
            wrong(&format!("`secret`: {unfit}"));
        }
    }
    good.then_some(seeds)
}

/// Where accepted events wait: as set, else in the data directory.
fn spool_dir(reader: &mut Reader) -> Option<PathBuf> {
    let set = reader.optional_text("spool_dir").map(PathBuf::from);
    let data = reader.text("data_dir").map(PathBuf::from);
    set.or_else(|| data.map(|data| data.join("spool")))
}

/// The spool's bounds.
fn spool(reader: &mut Reader) -> Option<broker::log::Options> {
    let segment_bytes = reader.number("spool_segment_bytes", 1_048_576..=1_073_741_824);
    let capacity_bytes = reader.number("spool_max_bytes", 4_194_304..=1_099_511_627_776);
    let free_bytes_min = reader.number("spool_free_bytes_min", 0..=1_099_511_627_776);
    let (segment_bytes, capacity_bytes, free_bytes_min) = (segment_bytes?, capacity_bytes?, free_bytes_min?);
    Some(broker::log::Options { segment_bytes, capacity_bytes, free_bytes_min, ..broker::log::Options::default() })
}

impl Seed {
    /// The account as the storage keeps it.
    pub(crate) fn account(&self) -> storage::Account {
        storage::Account {
            id: SourceId::new(self.id.as_str()),
            auth_id: self.auth_id.clone(),
            secret_hash: self.secret.clone(),
            brand: self.brand.clone(),
        }
    }
}
