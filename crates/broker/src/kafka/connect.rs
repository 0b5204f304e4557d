//! Makes a client of the topic that was configured, or the topic itself.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rskafka::BackoffConfig;
use rskafka::client::error::{Error as Cause, ProtocolError};
use rskafka::client::partition::UnknownTopicHandling;
use rskafka::client::{Client, ClientBuilder, Credentials, SaslConfig};
use rustls_platform_verifier::BuilderVerifierExt;
use secrecy::ExposeSecret;
use tokio::time::timeout;

use super::{Error, Mechanism, Options, Sasl};

/// The largest answer that is read; a fetch asks for a small part of it.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// How rskafka itself retries, within our deadline: it gives up after a second, so that the cause is seen and not only our timeout.
fn retries() -> BackoffConfig {
    BackoffConfig {
        init_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(1),
        base: 2.0,
        deadline: Some(Duration::from_secs(1)),
    }
}

/// Connects, and makes sure that the topic is the one that was configured. Has no bound of its own.
pub(super) async fn open(options: &Options) -> Result<Client, Error> {
    let client = client(options).await?;
    match partitions(&client, &options.topic).await? {
        None => Err(Error::NoTopic { topic: options.topic.clone() }),
        Some(found) => as_configured(options, found).map(|()| client),
    }
}

/// Creates the topic unless it is there, waits until each partition has a leader, and tells whether it was created.
///
/// Settings of the topic besides partitions and copies are the brokers' defaults: an operator who wants others makes it himself.
/// On the heap, so that the client behind it is compiled here and not where it is awaited.
///
/// # Errors
/// When the broker does not answer within `connect_timeout` and `request_timeout` together, refuses, or has the topic with another number of partitions.
pub fn ensure_topic(options: &Options) -> Pin<Box<dyn Future<Output = Result<bool, Error>> + Send + '_>> {
    Box::pin(async {
        let bound = options.connect_timeout + options.request_timeout;
        timeout(bound, create(options)).await.unwrap_or(Err(Error::Late))
    })
}

/// Does what [`ensure_topic`] says, without a bound.
async fn create(options: &Options) -> Result<bool, Error> {
    let client = client(options).await?;
    if let Some(found) = partitions(&client, &options.topic).await? {
        return as_configured(options, found).map(|()| false);
    }
    let count = i32::try_from(options.partitions).unwrap_or(i32::MAX);
    let copies = i16::try_from(options.copies).unwrap_or(i16::MAX);
    let patience = i32::try_from(options.request_timeout.as_millis()).unwrap_or(i32::MAX);
    let created = client.controller_client().map_err(Error::broker)?.create_topic(&options.topic, count, copies, patience).await;
    let is_ours = match created {
        Ok(()) => true,
        Err(Cause::ServerError { protocol_error: ProtocolError::TopicAlreadyExists, .. }) => false,
        Err(cause) => return Err(Error::broker(cause)),
    };
    for partition in 0..count {
        client.partition_client(&options.topic, partition, UnknownTopicHandling::Retry).await.map_err(Error::broker)?;
    }
    match partitions(&client, &options.topic).await? {
        None => Err(Error::NoTopic { topic: options.topic.clone() }),
        Some(found) => as_configured(options, found).map(|()| is_ours),
    }
}

/// Compares the topic's partitions with those configured.
fn as_configured(options: &Options, found: u32) -> Result<(), Error> {
    if found == options.partitions {
        return Ok(());
    }
    Err(Error::Partitions { topic: options.topic.clone(), found, configured: options.partitions })
}

/// Asks how many partitions a topic has; `None` when there is no such topic.
async fn partitions(client: &Client, topic: &str) -> Result<Option<u32>, Error> {
    let topics = client.list_topics().await.map_err(Error::broker)?;
    let found = topics.into_iter().find(|found| found.name == topic);
    Ok(found.map(|found| u32::try_from(found.partitions.len()).unwrap_or(u32::MAX)))
}

/// Connects to any of the brokers.
async fn client(options: &Options) -> Result<Client, Error> {
    let mut builder =
        ClientBuilder::new(options.brokers.clone()).client_id("events-proxy").max_message_size(ANSWER_BYTES_MAX).backoff_config(retries());
    if options.tls {
        builder = builder.tls_config(Arc::new(trust()?));
    }
    if let Some(sasl) = &options.sasl {
        builder = builder.sasl_config(identity(sasl));
    }
    builder.build().await.map_err(|cause| Error::Connect(Box::new(cause)))
}

/// TLS with the machine's trusted roots.
fn trust() -> Result<rustls::ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(Error::Tls)?;
    Ok(builder.with_platform_verifier().map_err(Error::Tls)?.with_no_client_auth())
}

/// Who we are, as rskafka wants it told.
fn identity(sasl: &Sasl) -> SaslConfig {
    let credentials = Credentials::new(sasl.username.clone(), sasl.password.expose_secret().to_owned());
    match sasl.mechanism {
        Mechanism::Plain => SaslConfig::Plain(credentials),
        Mechanism::ScramSha256 => SaslConfig::ScramSha256(credentials),
        Mechanism::ScramSha512 => SaslConfig::ScramSha512(credentials),
    }
}
