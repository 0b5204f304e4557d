//! The two handlers that the product is compared with: as little as a server can do, and that plus one fsync.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::Context;
use auth::access::Keys;
use broker::log::{Log, Options};
use chassis::clock::{Clock, SystemClock};
use events_proxy_core::Event;
use events_proxy_core::envelope::Record;
use secrecy::SecretString;
use serde_json::json;

use crate::process::SECRET;

/// What a handler has.
struct Parts {
    /// Verifies tokens.
    keys: Keys,
    /// Keeps events, if it does.
    log: Option<Log>,
}

/// Serves until it is killed; prints its address first.
pub(crate) fn serve(log: Option<&Path>) -> anyhow::Result<()> {
    let log = log.map(|directory| Log::open(directory, &Options::default())).transpose().context("open the log")?;
    let keys = Keys::new(&SecretString::from(SECRET), "events-proxy".to_owned(), "events-proxy".to_owned(), Duration::from_secs(60));
    let parts = web::Data::new(Parts { keys, log });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
    writeln!(std::io::stdout(), "{}", listener.local_addr().context("ask where it listens")?)?;
    let app = move || App::new().app_data(parts.clone()).route("/api/events", web::post().to(accept));
    let server = HttpServer::new(app).listen(listener).context("serve")?;
    actix_rt::System::new().block_on(server.run()).context("serve")
}

/// Parses, verifies, appends where there is a log, answers.
async fn accept(request: HttpRequest, body: web::Bytes, parts: web::Data<Parts>) -> HttpResponse {
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if parts.keys.verify(token, SystemClock.now()).is_err() {
        return HttpResponse::Unauthorized().finish();
    }
    let Ok(event) = serde_json::from_slice::<Event>(&body) else { return HttpResponse::BadRequest().finish() };
    if let Some(log) = &parts.log {
        let record = Record { key: event.id.as_str().as_bytes().to_vec(), payload: body.to_vec(), ..Record::default() };
        if log.append([record]).await.is_err() {
            return HttpResponse::ServiceUnavailable().finish();
        }
    }
    HttpResponse::Accepted().json(json!({ "id": event.id, "status": "accepted" }))
}
