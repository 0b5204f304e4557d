//! A client for tests, and what they send.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// A listener on any free port of the loopback.
pub(crate) fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// A client whose calls end.
pub(crate) fn client() -> Client {
    // Fails when another test was first, which serves as well.
    rustls::crypto::ring::default_provider().install_default().ok();
    Client::builder().timeout(Duration::from_secs(5)).tls_certs_only([]).build().unwrap()
}

/// The GraphQL request for an event.
pub(crate) fn mutation(id: &str) -> Value {
    json!({
        "query": "mutation ProcessEvent($input: ProcessEventInput!) { processEvent(input: $input) { id } }",
        "operationName": "ProcessEvent",
        "variables": { "input": { "id": id, "name": "order.paid", "body": "{}", "timestamp": "2026-01-31T12:00:00.5Z", "brand": "testBrand" } },
    })
}

/// Posts a GraphQL request, with a key if one is given.
pub(crate) async fn post(client: &Client, address: SocketAddr, body: &Value, key: Option<&str>) -> reqwest::Result<Response> {
    let request = client.post(format!("http://{address}/graphql")).header("content-type", "application/json").body(body.to_string());
    let request = match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    };
    request.header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").send().await
}

/// Reads an answer's body as JSON.
pub(crate) async fn value(answer: Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

/// Waits until `condition` holds, at most ten seconds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for: {what}");
}

/// Wall time, as a foreign system knows it.
#[expect(clippy::disallowed_methods, reason = "the simulators' own clock is what is looked at")]
pub(crate) fn wall() -> OffsetDateTime {
    OffsetDateTime::from(std::time::SystemTime::now())
}
