//! Calls of servers that answer in every bad way, over real sockets.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use events_proxy_core::{Event, Outcome, SourceId, TraceContext};
use reqwest::header::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Deliver, Graphql, Order, Target, Testing, Verdict, encoded};

/// What a server does with each request.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers this.
    Says(&'static str),
    /// Answers this, and ten megabytes after it.
    SaysMuch(&'static str),
    /// Answers this, and goes on with a byte now and then, for ever.
    NeverEnds(&'static str),
    /// Reads and says nothing.
    Silent,
    /// Closes the connection.
    Closes,
}

/// Serves in this manner.
async fn serve(manner: Manner) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(answer(stream, manner));
        }
    });
    (address, serving)
}

/// Answers one connection; a client that goes away ends it.
async fn answer(mut stream: TcpStream, manner: Manner) -> Option<()> {
    let mut request = [0; 4_096];
    stream.read(&mut request).await.ok().filter(|read| *read > 0)?;
    match manner {
        Manner::Says(answer) => stream.write_all(answer.as_bytes()).await.ok()?,
        Manner::SaysMuch(head) => {
            stream.write_all(head.as_bytes()).await.ok()?;
            for _ in 0..160 {
                stream.write_all(&[b'x'; 65_536]).await.ok()?;
            }
        }
        Manner::NeverEnds(head) => {
            stream.write_all(head.as_bytes()).await.ok()?;
            loop {
                stream.write_all(b"x").await.ok()?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Manner::Silent => std::future::pending().await,
        Manner::Closes => {}
    }
    Some(())
}

/// A target at an address that has half a second for each call, in testing mode.
fn target(address: SocketAddr) -> Testing<Graphql> {
    Testing(calling(format!("http://{address}/graphql"), None))
}

/// Calls a URL, within half a second, with this `Authorization`.
fn calling(url: String, authorization: Option<&'static str>) -> Graphql {
    let mut authorization = authorization.map(HeaderValue::from_static);
    authorization.iter_mut().for_each(|value| value.set_sensitive(true));
    Graphql::new(Target { url: url.parse().unwrap(), authorization, timeout: Duration::from_millis(500) }).unwrap()
}

/// Answers one call with this, and tells the head of the request.
async fn heard(listener: TcpListener, answer: impl AsRef<[u8]>) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = [0; 4_096];
    let read = stream.read(&mut request).await.unwrap();
    stream.write_all(answer.as_ref()).await.unwrap();
    String::from_utf8_lossy(&request[..read]).to_lowercase()
}

/// Delivers an event of this id.
async fn order(target: &impl Deliver, id: &str, first: bool) -> Verdict {
    let event = Event::judge(format!(r#"{{"id":"{id}","name":"order","body":"two","timestamp":1767225600000}}"#).as_bytes()).unwrap();
    let trace = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None).unwrap();
    let source = SourceId::new("a");
    target.deliver(Order { source: &source, event: &event, brand: "acme", trace: &trace, first }).await
}

/// Delivers to a server of this manner.
async fn deliver(manner: Manner) -> Verdict {
    let (address, serving) = serve(manner).await;
    let began = Instant::now();
    let verdict = order(&target(address), "e-1", false).await;
    assert!(began.elapsed() < Duration::from_secs(10), "the call did not end in time");
    drop(serving);
    verdict
}

#[tokio::test]
async fn an_answer_about_another_event_is_no_delivery() {
    let mine = "HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n{\"data\":{\"processEvent\":{\"id\":\"e-1\"}}}";
    let other = "HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n{\"data\":{\"processEvent\":{\"id\":\"e-2\"}}}";
    assert_eq!(deliver(Manner::Says(mine)).await.outcome, Outcome::Delivered);
    let verdict = deliver(Manner::Says(other)).await;
    assert_eq!((verdict.outcome, verdict.status), (Outcome::Unknown, Some(200)));
    assert!(verdict.detail.contains("another event: \"e-2\""), "{}", verdict.detail);
}

#[tokio::test]
async fn an_answer_that_is_html_is_no_success() {
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>hi</html>";
    let verdict = deliver(Manner::Says(page)).await;
    assert_eq!((verdict.outcome, verdict.status), (Outcome::Unknown, Some(200)));
    assert!(verdict.detail.contains("<html>"), "{}", verdict.detail);
}

#[tokio::test]
async fn an_answer_of_ten_megabytes_is_not_read() {
    let verdict = deliver(Manner::SaysMuch("HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n")).await;
    assert_eq!((verdict.outcome, verdict.status), (Outcome::Unknown, Some(200)));
    assert!(verdict.detail.contains("longer than"), "{}", verdict.detail);
    let refused = deliver(Manner::SaysMuch("HTTP/1.1 422 No\r\nContent-Length: 10485760\r\n\r\n")).await;
    assert_eq!(refused.outcome, Outcome::Refused);
}

#[tokio::test]
async fn an_answer_that_never_ends_is_judged_by_its_status() {
    for (head, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", Outcome::Unknown),
        ("HTTP/1.1 503 No\r\nContent-Length: 100000\r\n\r\n", Outcome::Unavailable),
        ("HTTP/1.1 429 No\r\nRetry-After: 3\r\nContent-Length: 100000\r\n\r\n", Outcome::Throttled),
    ] {
        let verdict = deliver(Manner::NeverEnds(head)).await;
        assert_eq!(verdict.outcome, expected, "{head}");
        assert_eq!(verdict.retry_after.is_some(), expected == Outcome::Throttled);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_makes_no_sense_says_nothing() {
    for manner in [
        Manner::Says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\":"),
        Manner::Says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a length\r\n"),
        Manner::Says("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        Manner::Closes,
        Manner::Silent,
    ] {
        let verdict = deliver(manner).await;
        assert_eq!(verdict.outcome, Outcome::Unknown, "{}", verdict.detail);
    }
}

#[tokio::test]
async fn a_target_that_nobody_is_at_was_surely_not_reached() {
    let (address, mut serving) = serve(Manner::Closes).await;
    serving.shutdown().await;
    let verdict = order(&target(address), "e-1", false).await;
    assert_eq!((verdict.outcome, verdict.status), (Outcome::Unavailable, None));
}

/// A certificate that no authority has signed, and its key: of nobody, made for this test.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBkDCCATagAwIBAgIUBn0FRxTSRDqhrvjbDiNND/DbvkswCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyNzAwNDU1NloYDzIxMjYxMTAz
MDA0NTU2WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAS1kX5Omp9Xr4X7+kHqVeC61nnwhQiijQ0KYnkrRdj4nYNgHwU2sw0S
+m/UhcXrMPV/mmkOUQC38VDLN23NWPG5o2QwYjAdBgNVHQ4EFgQUnPJlZ+zCWpQ2
cGlGEEudNy0tirAwHwYDVR0jBBgwFoAUnPJlZ+zCWpQ2cGlGEEudNy0tirAwDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUC
IQCrTQ8u/sdnmHTDqVYls1C7uUVj8lw6fww/AB7zoSUl7wIgX4jv7Auv3ZzrcrMD
W0w/y+GHwhRz42o0VmDvSoalywQ=
-----END CERTIFICATE-----
";
/// The key.
const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgUrd6bSRkAvkOdmoF
1+msb7QYx3GkVlktn9KtYyO1UJ6hRANCAAS1kX5Omp9Xr4X7+kHqVeC61nnwhQii
jQ0KYnkrRdj4nYNgHwU2sw0S+m/UhcXrMPV/mmkOUQC38VDLN23NWPG5
-----END PRIVATE KEY-----
";

/// Serves one connection by TLS with that certificate, and would say this; tells where.
fn serve_untrusted(answer: &'static str) -> SocketAddr {
    chassis::tls::install();
    let (chain, key) = (CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()), PrivateKeyDer::from_pem_slice(KEY.as_bytes()));
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![chain.unwrap()], key.unwrap()).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), listener.accept().unwrap().0);
        // Whoever trusts it is answered; the other way it ends here.
        if stream.read(&mut [0; 4_096]).is_ok_and(|read| read > 0) {
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_not_trusted_and_nothing_is_told_to_it() {
    let address = serve_untrusted("HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n{\"data\":{\"processEvent\":{\"id\":\"e-1\"}}}");
    let verdict = order(&calling(format!("https://{address}/graphql"), None), "e-1", false).await;
    assert_eq!((verdict.outcome, verdict.status), (Outcome::Unavailable, None), "{}", verdict.detail);
    assert!(verdict.detail.contains("certificate"), "{}", verdict.detail);
}

#[tokio::test]
async fn a_packed_answer_that_nobody_asked_for_is_not_unpacked() {
    /// `{"data":{"processEvent":{"id":"e-1"}}}` by gzip.
    const PACKED: [u8; 55] = [
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0x4a, 0x49, 0x2c, 0x49, 0x54, 0xb2, 0xaa, 0x56, 0x2a, 0x28,
        0xca, 0x4f, 0x4e, 0x2d, 0x2e, 0x76, 0x2d, 0x4b, 0xcd, 0x2b, 0x01, 0xf1, 0x33, 0x53, 0x94, 0xac, 0x94, 0x52, 0x75, 0x0d, 0x95, 0x6a,
        0x6b, 0x6b, 0x01, 0x6c, 0x8c, 0x21, 0x93, 0x26, 0x00, 0x00, 0x00,
    ];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target(listener.local_addr().unwrap());
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", PACKED.len());
    let answer = [head.as_bytes(), &PACKED].concat();
    let (request, verdict) = tokio::join!(heard(listener, answer), order(&target, "e-1", false));
    assert!(!request.contains("accept-encoding"), "{request}");
    assert_eq!((verdict.outcome, verdict.status), (Outcome::Unknown, Some(200)), "{}", verdict.detail);
}

#[tokio::test]
async fn testing_mode_fails_about_a_tenth_of_first_attempts_and_turns_no_failure_into_a_success() {
    let (address, serving) = serve(Manner::Says("HTTP/1.1 422 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")).await;
    let (target, mut failed) = (target(address), 0);
    for number in 0..200 {
        let outcome = order(&target, &format!("event-{number}"), true).await.outcome;
        assert!(matches!(outcome, Outcome::Unavailable | Outcome::Refused), "{outcome:?}");
        failed += u32::from(outcome == Outcome::Unavailable);
        if number < 20 {
            assert_eq!(order(&target, &format!("event-{number}"), false).await.outcome, Outcome::Refused, "a later attempt failed");
        }
    }
    assert!((10..=30).contains(&failed), "{failed} of 200");
    drop(serving);
}

#[tokio::test]
async fn each_call_says_who_we_are_and_nothing_shows_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = calling(format!("http://{}/graphql", listener.local_addr().unwrap()), Some("Bearer a-word-that-opens"));
    let answer = "HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned();
    let (request, verdict) = tokio::join!(heard(listener, answer), order(&target, "e-1", false));
    assert!(request.contains("\r\nauthorization: bearer a-word-that-opens\r\n"), "{request}");
    let shown = format!("{target:?} {verdict:?}");
    assert!(!shown.contains("a-word-that-opens"), "{shown}");
    // Nobody is there any more: what the network says of it names neither.
    let away = order(&target, "e-1", false).await;
    assert_eq!(away.outcome, Outcome::Unavailable);
    assert!(!away.detail.contains("a-word-that-opens"), "{}", away.detail);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_whom_it_names_hears_nothing() {
    for status in [301, 302, 303, 307, 308] {
        let (listener, elsewhere) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let target = calling(format!("http://{}/graphql", listener.local_addr().unwrap()), Some("Bearer a-word-that-opens"));
        let place = elsewhere.local_addr().unwrap();
        let answer = format!("HTTP/1.1 {status} There\r\nLocation: http://{place}/graphql\r\nContent-Length: 0\r\n\r\n");
        let (_, verdict) = tokio::join!(heard(listener, answer), order(&target, "e-1", false));
        assert_eq!((verdict.outcome, verdict.status), (Outcome::Unavailable, Some(status)));
        let called = tokio::time::timeout(Duration::from_millis(50), elsewhere.accept()).await;
        assert!(called.is_err(), "{status} was followed");
    }
}

#[tokio::test]
async fn what_the_network_says_does_not_name_the_password_of_the_url() {
    let (address, mut serving) = serve(Manner::Closes).await;
    let target = calling(format!("http://me:hidden@{address}/graphql?key=hidden"), None);
    let closed = order(&target, "e-1", false).await;
    serving.shutdown().await;
    let away = order(&target, "e-1", false).await;
    assert_eq!((closed.outcome, away.outcome), (Outcome::Unknown, Outcome::Unavailable));
    assert!(!closed.detail.is_empty() && !away.detail.is_empty());
    assert!(!format!("{closed:?} {away:?}").contains("hidden"), "{closed:?} {away:?}");
}

#[test]
fn no_two_events_share_an_idempotency_key() {
    assert_eq!(encoded("a/b%c d\u{e9}"), "a%2Fb%25c%20d%C3%A9");
}
