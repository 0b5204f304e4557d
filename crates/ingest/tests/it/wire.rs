//! What is wrong below a request: its head, its length, its end. Whoever stands in front of us may read it otherwise, so nothing of it
//! may become a request of its own.

use std::time::Duration;

use reqwest::Method;
use tokio::io::AsyncWriteExt;

use crate::raw::{answer, head, heard, said};
use crate::support::{Answer, Ingest, event};

/// A whole request with an event, to hide behind another one.
fn hidden(token: &str) -> String {
    let body = event("hidden").to_string();
    head(token, &format!("Content-Length: {}\r\n", body.len())) + &body
}

#[tokio::test]
async fn a_request_whose_length_can_be_read_in_two_ways_is_refused_and_hides_no_other() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let hidden = hidden(&token);
    let chunked = format!("0\r\n\r\n{hidden}");
    for (lines, rest) in [
        ("Content-Length: 0\r\nContent-Length: 5\r\n", hidden.as_str()),
        ("Content-Length: 5\r\nContent-Length: 0\r\n", hidden.as_str()),
        ("Content-Length: 0, 5\r\n", hidden.as_str()),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunked.as_str()),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunked.as_str()),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", chunked.as_str()),
        ("Transfer-Encoding: identity, chunked, identity\r\n", chunked.as_str()),
        ("Transfer-Encoding: xchunked\r\n", chunked.as_str()),
        ("Content-Length: -5\r\n", hidden.as_str()),
        ("Content-Length: +5\r\n", hidden.as_str()),
        ("Content-Length: 0x5\r\n", hidden.as_str()),
        ("Content-Length: 99999999999999999999\r\n", hidden.as_str()),
        ("Content-Length : 0\r\n", hidden.as_str()),
        ("Content-Length: 0\r\n folded: 5\r\n", hidden.as_str()),
        ("Content-\0Length: 0\r\n", hidden.as_str()),
    ] {
        let answer = answer(&ingest, head(&token, lines) + rest).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{lines:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{lines:?} hides a request: {answer}");
    }
    assert!(ingest.stored().await.is_empty());
}

#[tokio::test]
async fn more_headers_than_96_are_refused_and_as_many_are_taken() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    // Five are in this head anyway.
    for (more, status) in [(91, "HTTP/1.1 202 "), (92, "HTTP/1.1 431 ")] {
        let body = event(&format!("with {more}")).to_string();
        let fillers: String = (0..more).map(|number| format!("X-Filler-{number}: x\r\n")).collect();
        let answer = answer(&ingest, head(&token, &format!("{fillers}Content-Length: {}\r\n", body.len())) + &body).await;
        assert!(answer.starts_with(status), "{more}: {answer}");
    }
    assert_eq!(ingest.stored().await, ["with 91"]);
}

#[tokio::test]
async fn http_2_without_tls_is_refused() {
    let ingest = Ingest::start(&[]).await;
    // The preface of RFC 9113, and an empty SETTINGS frame.
    let answer = answer(&ingest, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_breaks_off_or_whose_chunks_are_none_is_malformed() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let body = event("broken").to_string();
    let short = head(&token, &format!("Content-Length: {}\r\n", body.len() + 1)) + &body;
    let mut stream = said(&ingest, short.as_bytes()).await;
    stream.shutdown().await.unwrap();
    let broken = heard(stream, Duration::from_secs(10)).await;
    assert!(broken.is_empty() || broken.starts_with("HTTP/1.1 4"), "{broken}");
    let chunked = head(&token, "Transfer-Encoding: chunked\r\n");
    for chunk in ["zz\r\n", "-1\r\n", "ffffffffffffffffff\r\n", "2\r\n{}}\r\n0\r\n\r\n"] {
        let answer = answer(&ingest, format!("{chunked}{chunk}")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{chunk:?}: {answer}");
    }
    assert!(ingest.stored().await.is_empty());
}

/// A good event, packed by gzip.
const PACKED: [u8; 84] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0xca, 0x4c, 0x51, 0xb2, 0x52, 0x2a, 0x48, 0x4c, 0xce, 0x4e,
    0x4d, 0x51, 0xd2, 0x51, 0xca, 0x4b, 0xcc, 0x4d, 0x05, 0xf2, 0xf3, 0x8b, 0x52, 0x52, 0x8b, 0x14, 0x0a, 0x72, 0x12, 0x93, 0xc1, 0xa2,
    0x49, 0xf9, 0x29, 0x95, 0x40, 0xd1, 0x92, 0xf2, 0x7c, 0x85, 0xc4, 0x82, 0x82, 0x9c, 0xd4, 0x62, 0xa0, 0x58, 0x49, 0x66, 0x6e, 0x6a,
    0x71, 0x49, 0x62, 0x6e, 0x81, 0x92, 0x95, 0x41, 0x2d, 0x00, 0x77, 0xf6, 0xf6, 0x2a, 0x47, 0x00, 0x00, 0x00,
];

#[tokio::test]
async fn a_compressed_body_is_not_unpacked_however_good_it_is_inside() {
    let ingest = Ingest::start(&[]).await;
    let token = ingest.token().await;
    let request = ingest.request(Method::POST, "/api/events").bearer_auth(&token).header("content-type", "application/json");
    Answer::of(request.header("content-encoding", "gzip").body(PACKED.to_vec())).await.is_problem(400, "malformed_body");
    assert!(ingest.stored().await.is_empty());
}
