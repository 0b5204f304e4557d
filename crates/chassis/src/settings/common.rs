//! The settings that every process of the product reads alike: the topic, the shared storage, what is told and where.
//!
//! What is read here names no adapter; `main.rs` of a process makes an adapter's options of it.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

use super::Reader;
use crate::telemetry::{self, LogOutput};
use crate::trace::Recorder;

/// How many partitions a topic has when nobody says.
const PARTITIONS: u32 = 24;
/// How many copies of it the brokers keep when we make it in production and nobody says.
const COPIES: u16 = 3;

/// A topic on Kafka, and how to get to it.
#[derive(Debug, Clone)]
pub struct Topic {
    /// The brokers to ask first, each as `host:port`.
    pub brokers: Vec<String>,
    /// The topic's name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// How many copies the brokers keep of it, if it is we who make it.
    pub copies: u16,
    /// Whether to speak TLS.
    pub tls: bool,
    /// Who we are to the brokers, if they ask.
    pub login: Option<Login>,
}

/// Who we are to the brokers.
#[derive(Debug, Clone)]
pub struct Login {
    /// How we prove it.
    pub mechanism: Mechanism,
    /// The name.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// How a name is proved to the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// `PLAIN`.
    Plain,
    /// `SCRAM-SHA-256`.
    ScramSha256,
    /// `SCRAM-SHA-512`.
    ScramSha512,
}

/// The topic; `None` when something is wrong, which the reader then knows.
pub fn topic(reader: &mut Reader) -> Option<Topic> {
    let url = reader.text("queue_url");
    let name = reader.text("queue_topic");
    let partitions = reader.optional_number("queue_partitions", 1..=1_024);
    let copies = reader.optional_number("queue_copies", 1..=9);
    let production = is_production(reader);
    let tls = reader.flag("queue_tls");
    // Not even brokers on this machine are left out: they name the others, and those may be anywhere.
    let safe = if tls == Some(false) {
        let danger =
            "must be true in production: without TLS events and passwords can be read on the way, and the brokers are not known to be ours";
        accepted(reader, "queue_tls", danger, "queue_allow_plaintext")
    } else {
        Some(())
    };
    let login = login(reader);
    safe?;
    let usual = if production? { COPIES } else { 1 };
    Some(Topic {
        brokers: url?.split(',').map(|broker| broker.trim().to_owned()).filter(|broker| !broker.is_empty()).collect(),
        name: name?,
        partitions: partitions?.unwrap_or(PARTITIONS),
        copies: copies?.unwrap_or(usual),
        tls: tls?,
        login: login?,
    })
}

/// The topic of a process that meets others there: only Kafka can be it.
pub fn shared_topic(reader: &mut Reader) -> Option<Topic> {
    if reader.one_of("queue_type", &[("InMemory", false), ("Local", false), ("Kafka", true)]) == Some(false) {
        reader.mistake("queue_type", "must be Kafka: separate processes meet only there (events-proxy runs all in one process)");
    }
    topic(reader)
}

/// Who we are to the brokers.
fn login(reader: &mut Reader) -> Option<Option<Login>> {
    const KEY: &str = "queue_sasl_mechanism";
    const KNOWN: [(&str, Mechanism); 3] =
        [("PLAIN", Mechanism::Plain), ("SCRAM-SHA-256", Mechanism::ScramSha256), ("SCRAM-SHA-512", Mechanism::ScramSha512)];
    if reader.optional_text(KEY).is_none() {
        return Some(None);
    }
    let mechanism = reader.one_of(KEY, &KNOWN);
    let username = reader.text("queue_sasl_username");
    let password = reader.secret("queue_sasl_password");
    if password.is_none() {
        reader.mistake("queue_sasl_password", "must be set");
    }
    Some(Some(Login { mechanism: mechanism?, username: username?, password: password? }))
}

/// The URL of the storage that all replicas share; `is_guarded` says whether who is on the way to it can neither read nor pose as it.
pub fn shared_storage(reader: &mut Reader, is_guarded: impl Fn(&str) -> bool) -> Option<String> {
    if reader.one_of("user_repository_type", &[("InMemory", false), ("Sqlite", true), ("Postgres", true)]) == Some(false) {
        reader.mistake("user_repository_type", "must be Postgres, or Sqlite on one machine: ingest and dispatcher share it");
    }
    let url = reader.text("user_repository_url")?;
    guarded_storage(reader, &url, is_guarded).map(|()| url)
}

/// Refuses a storage that is not guarded, in production and unless it is accepted.
pub fn guarded_storage(reader: &mut Reader, url: &str, is_guarded: impl Fn(&str) -> bool) -> Option<()> {
    if is_guarded(url) {
        return Some(());
    }
    let danger = "must say sslmode=verify-full in production, with sslrootcert where the authority is not a public one: otherwise whoever \
                  is on the way can pose as the database, and is told its password";
    accepted(reader, "user_repository_url", danger, "user_repository_allow_unverified_tls")
}

/// Refuses in production what is unsafe about `key`, unless the flag `allow` accepts it. `danger` follows the key: what it must be, and why.
pub fn accepted(reader: &mut Reader, key: &str, danger: &str, allow: &str) -> Option<()> {
    let (production, allowed) = (is_production(reader), reader.flag(allow));
    if production? && !allowed? {
        reader.mistake(key, format!("{danger}; or {} has to be true, which accepts that", allow.to_uppercase()));
        return None;
    }
    Some(())
}

/// What is told of the process `service`, and where.
pub fn telemetry(reader: &mut Reader, service: &'static str, log: LogOutput) -> Option<telemetry::Options> {
    let log_filter = reader.text("log_filter");
    if let Some(Err(error)) = log_filter.as_deref().map(telemetry::judge_filter) {
        reader.mistake("log_filter", error.to_string());
    }
    Some(telemetry::Options {
        service,
        replica: crate::replica::name(reader.optional_text("container_app_replica_name")),
        otlp_endpoint: reader.optional_text("otel_exporter_otlp_endpoint"),
        log,
        log_filter: log_filter?,
    })
}

/// Which requests are recorded: none where nobody collects traces.
pub fn recorder(reader: &mut Reader) -> Option<Recorder> {
    let ratio = reader.share("otel_traces_sampler_arg");
    let endpoint = reader.optional_text("otel_exporter_otlp_endpoint");
    ratio.map(|ratio| Recorder::new(endpoint.map(|_| ratio)))
}

/// How long a stop may take.
pub fn stop_grace(reader: &mut Reader) -> Option<Duration> {
    reader.millis("stop_grace_ms", 0..=3_600_000)
}

/// Whether what only a demo may have is refused.
pub fn is_production(reader: &mut Reader) -> Option<bool> {
    reader.one_of("environment_profile", &[("development", false), ("production", true)])
}

/// The keys of access tokens.
#[derive(Debug, Clone)]
pub struct TokenSecrets {
    /// The one that signs; none in a demo that does not set it.
    pub first: Option<SecretString>,
    /// One whose tokens are accepted too.
    pub second: Option<SecretString>,
}

/// The keys of access tokens, which all replicas share; `None` when one is not as `judge` wants it, given whether this is a
/// demo. The first is looked at only where something is signed.
pub fn token_secrets<W: fmt::Display>(
    reader: &mut Reader,
    signs: bool,
    judge: impl Fn(Option<&SecretString>, bool) -> Result<(), W>,
) -> Option<TokenSecrets> {
    let [first, second] = ["auth_access_token_secret", "auth_access_token_second_secret"].map(|key| (key, reader.secret(key)));
    let demo = !is_production(reader)?;
    let mut good = true;
    for (key, secret) in [&first, &second] {
        if (signs && *key == first.0 || secret.is_some())
            && let Err(weak) = judge(secret.as_ref(), demo)
        {
            reader.mistake(key, weak.to_string());
            good = false;
        }
    }
    good.then_some(TokenSecrets { first: first.1, second: second.1 })
}

#[cfg(test)]
#[path = "common_tests.rs"]
mod tests;
