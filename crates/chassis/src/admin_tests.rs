//! The private listener over real HTTP on loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::{HttpResponse, web};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Admin, Readiness, Routes, serve};
use crate::lifecycle::{OnFailure, Tasks};
use crate::metrics::{Family, Registry};

const TABLE: &[Family] = &[Family::counter("events.accepted", "Events answered with 202")];

/// Starts a listener as a process does; tells where.
fn start(tasks: &Tasks, admin: &Admin) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (admin, stop) = (admin.clone(), tasks.stopping());
    tasks.spawn("admin", OnFailure::StopProcess, async move { Ok(serve(listener, admin, stop).await?) });
    address
}

/// Asks for a path; tells the whole answer, its head included.
async fn ask(address: SocketAddr, path: &str) -> String {
    ask_for(address, path, "*/*").await
}

/// Asks for a path in some format.
async fn ask_for(address: SocketAddr, path: &str, accept: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\naccept: {accept}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn probes_and_numbers_are_answered_until_the_stop() {
    let tasks = Tasks::new();
    let admin = Admin { registry: Registry::new(), readiness: Readiness::new(), routes: Routes::none() };
    admin.registry.meter(TABLE).counter("events.accepted").add(7, &[]);
    let address = start(&tasks, &admin);
    let (spool, store) = (admin.readiness.condition("spool"), admin.readiness.condition("store"));
    store.ready();

    let live = ask(address, "/health/live").await;
    assert!(live.starts_with("HTTP/1.1 200") && live.ends_with(r#"{"live":true}"#), "{live}");
    let unready = ask(address, "/health/ready").await;
    assert!(unready.starts_with("HTTP/1.1 503"), "{unready}");
    let listed = r#"{"ready":false,"conditions":[{"name":"spool","ready":false,"reason":"starting"},{"name":"store","ready":true}]}"#;
    assert!(unready.ends_with(listed), "{unready}");
    spool.ready();
    let ready = ask(address, "/health/ready").await;
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains(r#"{"ready":true,"#), "{ready}");
    let metrics = ask(address, "/metrics").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4") && metrics.contains("events_accepted_total 7"), "{metrics}");
    assert!(ask(address, "/api/events").await.starts_with("HTTP/1.1 404"));

    assert!(tasks.stop(Duration::from_secs(10)).await.is_empty());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn numbers_come_in_the_format_that_is_asked_for() {
    let tasks = Tasks::new();
    let admin = Admin { registry: Registry::new(), readiness: Readiness::new(), routes: Routes::none() };
    admin.registry.meter(TABLE).counter("events.accepted").add(7, &[]);
    let address = start(&tasks, &admin);
    // What Prometheus 2 and 3 send, and others.
    for (accept, openmetrics) in [
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            true,
        ),
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.4,*/*;q=0.2", true),
        ("application/openmetrics-text", true),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", false),
        ("text/plain;q=0.9,application/openmetrics-text;version=1.0.0;q=0.1", false),
        ("application/openmetrics-text;version=0.0.1", false),
        ("application/openmetrics-text;version=1.0.0;q=0", false),
        ("*/*", false),
        ("nonsense;;", false),
    ] {
        let answer = ask_for(address, "/metrics", accept).await;
        let (kind, family) = if openmetrics {
            ("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8", "# TYPE events_accepted counter")
        } else {
            ("content-type: text/plain; version=0.0.4; charset=utf-8", "# TYPE events_accepted_total counter")
        };
        assert!(answer.contains(kind) && answer.contains(family), "{accept}: {answer}");
        assert_eq!(answer.ends_with("# EOF\n"), openmetrics, "{accept}: {answer}");
    }
    tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_client_that_says_nothing_does_not_hold_up_the_stop() {
    let tasks = Tasks::new();
    let admin = Admin { registry: Registry::new(), readiness: Readiness::new(), routes: Routes::none() };
    let address = start(&tasks, &admin);
    let silent = tokio::net::TcpStream::connect(address).await.unwrap();
    assert!(ask(address, "/health/live").await.starts_with("HTTP/1.1 200"));
    assert!(tasks.stop(Duration::from_secs(10)).await.is_empty());
    drop(silent);
}

#[tokio::test]
async fn a_process_answers_its_own_routes_beside_the_probes() {
    let tasks = Tasks::new();
    let routes = Routes::new(|config| {
        config.route("/own", web::get().to(|| async { HttpResponse::Ok().body("its own") }));
    });
    let admin = Admin { registry: Registry::new(), readiness: Readiness::new(), routes };
    let address = start(&tasks, &admin);
    assert!(ask(address, "/own").await.ends_with("its own"));
    assert!(ask(address, "/health/live").await.starts_with("HTTP/1.1 200"));
    tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn probes_are_answered_beside_many_who_say_nothing_and_a_body_that_does_not_come_ends_in_time() {
    let tasks = Tasks::new();
    let routes = Routes::new(|config| {
        config.route(
            "/own",
            web::post().to(|body: Result<String, actix_web::Error>| async move {
                if body.is_ok() { HttpResponse::Ok().finish() } else { HttpResponse::BadRequest().finish() }
            }),
        );
    });
    let admin = Admin { registry: Registry::new(), readiness: Readiness::new(), routes };
    let address = start(&tasks, &admin);
    let mut held = Vec::new();
    for number in 0..300 {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"POST /own HTTP/1.1\r\nhost: admin\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
        }
        held.push(stream);
    }
    for _ in 0..10 {
        let probe = tokio::time::timeout(Duration::from_secs(2), ask(address, "/health/live")).await;
        assert!(probe.expect("the probe waits for others").starts_with("HTTP/1.1 200"));
    }
    // A whole body is read as before.
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /own HTTP/1.1\r\nhost: admin\r\nconnection: close\r\ncontent-length: 4\r\n\r\nhalf").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for mut stream in held {
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "a connection is held");
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    tasks.stop(Duration::from_secs(5)).await;
}
