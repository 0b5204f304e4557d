//! The HTTP client of the source: no retries, no redirects, no proxy, so that one call is one request.

use std::time::Duration;

use reqwest::{Client, redirect, retry};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an unused connection is kept. Shorter than the 5 s after which many servers close theirs: an event
/// written to a connection that the server just closed would be lost, and the source never resends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);

/// Builds a client for `url` whose calls end after `timeout` at the latest.
///
/// The certificates of the machine are only read when `url` needs them: an image without any can still speak plain HTTP.
///
/// # Errors
/// When the certificates of the machine cannot be read.
pub(crate) fn build(url: &str, timeout: Duration, idle_max: usize) -> Result<Client, reqwest::Error> {
    install_cryptography();
    let builder = Client::builder()
        .timeout(timeout)
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(idle_max)
        .tcp_nodelay(true)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy();
    let builder = if url.starts_with("https:") { builder } else { builder.tls_certs_only([]) };
    builder.build()
}

/// Gives rustls its cryptography unless the process already chose one.
pub(crate) fn install_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() && rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("another part of the process installed its cryptography first");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::build;

    #[test]
    fn a_client_builds_for_plain_http_and_for_tls() {
        for url in ["http://127.0.0.1:1/api", "https://127.0.0.1:1/api"] {
            assert!(build(url, Duration::from_secs(1), 1).is_ok(), "{url}");
        }
    }
}
