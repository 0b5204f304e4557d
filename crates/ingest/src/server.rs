//! The public listener: routes, security headers, and the bounds that every connection has.

use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use actix_web::dev::{Server, Service};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, KeepAlive};
use actix_web::{App, HttpServer, ResponseError, web};
use chassis::metrics::Requests;
use chassis::port;

use crate::farewell::Connections;
use crate::reject::Reject;
use crate::shared::Shared;
use crate::{events, openapi, receive, sessions};

/// Connections of one worker at the same time.
const CONNECTIONS_MAX: usize = 10_000;
/// How long a client may take for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a quiet connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a stop waits for requests under way; each is answered well before.
const STOP_SECONDS: u64 = 5;

/// The headers of every answer. The API's page needs its own styles and images, nothing needs anything from elsewhere.
const SECURITY: [(&str, &str); 11] = [
    (
        "content-security-policy",
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("origin-agent-cluster", "?1"),
    ("referrer-policy", "no-referrer"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("x-dns-prefetch-control", "off"),
    ("x-frame-options", "DENY"),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-xss-protection", "0"),
];

/// Makes the server; it serves once it is polled. What it answers is measured.
pub(crate) fn server(
    listener: TcpListener,
    shared: web::Data<Shared>,
    (connections, requests): (Connections, Requests),
) -> std::io::Result<Server> {
    let counted = connections.clone();
    let app = move || {
        // Each worker has its own handle: a request counts it without a word to the others.
        let connections = Rc::new(connections.clone());
        let security: Rc<[(HeaderName, HeaderValue)]> =
            SECURITY.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        let only = |methods: &'static str| web::to(move || async move { Reject::Method(methods).error_response() });
        App::new()
            .app_data(shared.clone())
            .wrap_fn(move |request, service| {
                let (answer, connections, security) = (service.call(request), Rc::clone(&connections), Rc::clone(&security));
                async move {
                    let mut answer = answer.await?;
                    let head = answer.response_mut().head_mut();
                    for (name, value) in &*security {
                        head.headers_mut().insert(name.clone(), value.clone());
                    }
                    if connections.is_parting() {
                        head.set_connection_type(ConnectionType::Close);
                    }
                    Ok(answer)
                }
            })
            .wrap(requests.clone())
            .service(
                web::resource("/api/events")
                    .route(web::post().to(receive::receive))
                    .route(web::get().to(events::page))
                    .default_service(only("GET, POST")),
            )
            .service(web::resource("/api/events/{id}").route(web::get().to(events::one)).default_service(only("GET")))
            .service(web::resource("/api/user-sessions").route(web::post().to(sessions::create)).default_service(only("POST")))
            .service(web::resource("/api/user-sessions/refresh").route(web::post().to(sessions::refresh)).default_service(only("POST")))
            .service(web::resource("/api/user-sessions/current").route(web::delete().to(sessions::end)).default_service(only("DELETE")))
            .service(web::redirect("/api-docs", "/api-docs/"))
            .service(openapi::page())
            .default_service(web::to(|| async { Reject::NoRoute.error_response() }))
    };
    port::open(&listener)?;
    let server = HttpServer::new(app)
        .max_connections(CONNECTIONS_MAX)
        .client_request_timeout(HEAD_TIMEOUT)
        .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
        .shutdown_timeout(STOP_SECONDS)
        .disable_signals()
        .on_connect(move |_, kept| {
            kept.insert(counted.opened());
        })
        .listen(listener)?;
    Ok(server.run())
}
