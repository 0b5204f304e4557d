//! What can go wrong between us and Kafka.

use std::error::Error as _;
use std::sync::Arc;

/// Why Kafka did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer came before the deadline.
    #[error("no answer came in time")]
    Late,
    /// There is no connection, and it is too early to try again or somebody else has just tried.
    #[error("the link to the broker is down")]
    Down(#[source] Arc<Error>),
    /// No broker could be connected to.
    #[error("connect to the broker")]
    Connect(#[source] Box<rskafka::client::error::Error>),
    /// TLS cannot be spoken on this machine.
    #[error("prepare TLS")]
    Tls(#[source] rustls::Error),
    /// The topic is not there.
    #[error("topic `{topic}` does not exist, or may not be seen")]
    NoTopic {
        /// The topic.
        topic: String,
    },
    /// The topic is another one than was configured.
    #[error("topic `{topic}` has {found} partitions where {configured} are configured")]
    Partitions {
        /// The topic.
        topic: String,
        /// What the broker has.
        found: u32,
        /// What we were told.
        configured: u32,
    },
    /// The caller asks for a partition that the topic does not have.
    #[error("the topic has no such partition")]
    NoPartition,
    /// The broker, or the connection to it, failed the call.
    #[error("call the broker")]
    Broker(#[source] Box<rskafka::client::error::Error>),
    /// An offset below the end brings no record: a transaction's marker, or a batch that breaks off.
    #[error("there is no record at this offset")]
    NoRecord,
}

impl Error {
    /// A call failed.
    pub(super) fn broker(cause: rskafka::client::error::Error) -> Self {
        Self::Broker(Box::new(cause))
    }

    /// The error and its causes in one line, for the log; rskafka's errors already tell their causes, so none is told twice.
    pub(super) fn line(&self) -> String {
        let causes = std::iter::successors(self.source(), |&cause| cause.source()).map(ToString::to_string);
        causes.fold(self.to_string(), |line, cause| if line.contains(&cause) { line } else { line + ": " + &cause })
    }
}
