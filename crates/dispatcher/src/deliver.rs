//! Stage 9 of 10 — deliver: calls the target once and judges its answer.
//!
//! Law: every call ends within its timeout, and its outcome is [`classify`]'s. The mutation's type is checked against
//! the target's schema when this is built.
//! Next: `crates/dispatcher/src/settle.rs`.

mod mutation;
mod wait;

use std::time::Duration;

use async_trait::async_trait;
use events_proxy_core::{Event, SourceId, TraceContext};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::classify::{Answer, Body, Verdict, classify};
use mutation::Mutation;

/// How much of an answer is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the target is, and how it is called.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its GraphQL endpoint.
    pub url: reqwest::Url,
    /// What each call says in its `Authorization` header; marked as sensitive, so that nothing shows it.
    pub authorization: Option<HeaderValue>,
    /// How long one call may take.
    pub timeout: Duration,
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The account that sent the event.
    pub source: &'a SourceId,
    /// The event.
    pub event: &'a Event,
    /// Its brand.
    pub brand: &'a str,
    /// The span of this attempt.
    pub trace: &'a TraceContext,
    /// Whether it is the event's first attempt.
    pub first: bool,
}

/// Calls a target once.
#[async_trait]
pub trait Deliver: Send + Sync + std::fmt::Debug {
    /// Sends the event and judges the answer; ends within its own timeout.
    async fn deliver(&self, order: Order<'_>) -> Verdict;
}

/// The target behind GraphQL over HTTP.
#[derive(Debug)]
pub struct Graphql {
    /// Keeps connections.
    client: reqwest::Client,
    /// Where the target is.
    url: reqwest::Url,
    /// What it is asked to do.
    mutation: Mutation,
}

impl Graphql {
    /// Prepares calls of a target.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn new(target: Target) -> Result<Self, reqwest::Error> {
        let Target { url, authorization, timeout } = target;
        chassis::tls::install();
        let client = reqwest::Client::builder()
            .default_headers(authorization.into_iter().map(|value| (AUTHORIZATION, value)).collect())
            .timeout(timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { client, url, mutation: Mutation::new() })
    }

    /// Sends the event and reads what comes back.
    async fn call(&self, order: Order<'_>) -> Answer {
        let body = match self.mutation.body(order.event, order.brand) {
            Ok(body) => body,
            Err(error) => return Answer::NotConnected(format!("write the mutation: {error}")),
        };
        let request = self.client.post(self.url.clone()).headers(headers(order)).body(body);
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => return Answer::NotConnected(told(&error)),
            Err(error) => return Answer::NoAnswer(told(&error)),
        };
        let status = response.status().as_u16();
        let (retry_after, reset) = (wait::asked(response.headers()), wait::reset(response.headers()));
        Answer::Http { status, retry_after, reset, body: read(&mut response, order.event.id.as_str()).await }
    }
}

/// Judges an answer to the event of this id of which everything is there, as [`Graphql`] judges those that it reads from a
/// connection.
#[must_use]
pub fn judge(status: u16, headers: &HeaderMap, body: &[u8], id: &str) -> Verdict {
    let (retry_after, reset) = (wait::asked(headers), wait::reset(headers));
    classify(Answer::Http { status, retry_after, reset, body: mutation::read(body, id) })
}

/// Reads the body of an answer to the event of this id. What is too long, or breaks off, is no reason to forget the status.
async fn read(response: &mut reqwest::Response, id: &str) -> Body {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= ANSWER_BYTES_MAX => bytes.extend_from_slice(&chunk),
            Ok(Some(_)) => return Body::Other(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes")),
            Ok(None) => return mutation::read(&bytes, id),
            Err(error) => return Body::Other(told(&error)),
        }
    }
}

#[async_trait]
impl Deliver for Graphql {
    async fn deliver(&self, order: Order<'_>) -> Verdict {
        classify(self.call(order).await)
    }
}

/// Fails about a tenth of the first attempts before they are sent, so that retries can be seen at work.
#[derive(Debug)]
pub struct Testing<D>(pub D);

#[async_trait]
impl<D: Deliver> Deliver for Testing<D> {
    async fn deliver(&self, order: Order<'_>) -> Verdict {
        // The event's own checksum decides, so that a repeated run fails the same events.
        let chosen = order.event.id.as_str().bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % 10 == 0;
        if order.first && chosen {
            return classify(Answer::NotConnected("failed on purpose: GRAPHQL_CLIENT_TESTING_MODE is on".to_owned()));
        }
        self.0.deliver(order).await
    }
}

/// The headers of a call.
fn headers(order: Order<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let key = format!("{}/{}", encoded(order.source.as_str()), encoded(order.event.id.as_str()));
    for (name, value) in [("idempotency-key", key.as_str()), ("traceparent", order.trace.traceparent())] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    if let Some(Ok(value)) = order.trace.tracestate().map(HeaderValue::from_str) {
        headers.insert("tracestate", value);
    }
    headers
}

/// Percent-encodes what is not visible ASCII, and the two characters that would make a key ambiguous.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b'!'..=b'~') && byte != b'%' && byte != b'/' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A transport error with its causes, without the URL, which may hold a secret.
fn told(error: &reqwest::Error) -> String {
    let kind = if error.is_timeout() { "timed out" } else { "failed" };
    let mut text = format!("the call {kind}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;
