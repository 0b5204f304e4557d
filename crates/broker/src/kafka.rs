//! The adapter for Apache Kafka.
//!
//! rskafka retries for ever and knows no timeouts, so nobody but [`Link`] owns one of its clients: every call has a
//! deadline, and a client that failed is thrown away whole and built anew. [`Writer`] and [`Reader`] have a link
//! each, so that a fetch that waits delays no batch. Making them waits for nothing: a broker may be absent.

mod error;
mod judge;
mod connect;
mod resume;
mod live;
mod link;
mod writer;
mod reader;

use std::time::Duration;

use secrecy::SecretString;

pub use connect::ensure_topic;
pub use error::Error;
pub use link::Link;
pub use reader::Reader;
pub use writer::Writer;

/// Which topic to use, and how to get to it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to ask first, each as `host:port`; the brokers themselves say where to go on.
    pub brokers: Vec<String>,
    /// The topic's name.
    pub topic: String,
    /// How many partitions the topic has; another number at the broker is an error.
    pub partitions: u32,
    /// How many copies the brokers keep of the topic, if it is we who make it.
    pub copies: u16,
    /// Whether to speak TLS; the broker's certificate is judged by the machine's trusted roots.
    pub tls: bool,
    /// Who we are, if the broker asks.
    pub sasl: Option<Sasl>,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// How long a call may take, connecting included; a fetch may take its `max_wait` besides.
    pub request_timeout: Duration,
}

impl Options {
    /// One copy, plain text, nobody in particular, 3 s to connect and 5 s for a call.
    #[must_use]
    pub fn new(brokers: Vec<String>, topic: impl Into<String>, partitions: u32) -> Self {
        Self {
            brokers,
            topic: topic.into(),
            partitions,
            copies: 1,
            tls: false,
            sasl: None,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(5),
        }
    }
}

/// Who we are to the broker.
#[derive(Debug, Clone)]
pub struct Sasl {
    /// How we prove it.
    pub mechanism: Mechanism,
    /// The name.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// How a name is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// `PLAIN`: the password itself goes over the wire; only with TLS.
    Plain,
    /// `SCRAM-SHA-256`.
    ScramSha256,
    /// `SCRAM-SHA-512`.
    ScramSha512,
}
