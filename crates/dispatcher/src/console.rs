//! The console: the operator's pages, rendered here, light, with nothing from elsewhere.
//!
//! Pages are HTML that works without script; one small script keeps figures live and asks before it acts. What
//! events hold is text to us: the template escapes all of it, and the policy lets nothing run that we did not write.

mod chart;
mod dead;
mod event;
mod failing;
mod live;
mod order;
mod overview;
mod page;
mod replays;
mod replicas;
mod search;
mod sign_in;
mod timeline;
mod words;

use actix_web::{HttpResponse, web};

/// The pages, for the private listener.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::redirect("/", "/console/"))
        .service(web::redirect("/console", "/console/"))
        .route("/console/", web::get().to(overview::overview))
        .route("/console/live", web::get().to(overview::events))
        .route("/console/events", web::get().to(search::search))
        .route("/console/events/{source}/{id}", web::get().to(event::event))
        .route("/console/dead", web::get().to(dead::dead))
        .route("/console/replays", web::get().to(replays::list))
        .route("/console/replays", web::post().to(replays::begin))
        .route("/console/replays/new", web::get().to(order::count))
        .route("/console/replays/live", web::get().to(replays::events))
        .route("/console/replays/{id}/cancel", web::post().to(replays::cancel))
        .route("/console/replicas", web::get().to(replicas::replicas))
        .route("/console/sign-in", web::get().to(sign_in::form))
        .route("/console/sign-in", web::post().to(sign_in::enter))
        .route("/console/sign-out", web::post().to(sign_in::leave))
        .route("/console/assets/{name}", web::get().to(asset));
}

/// A file that is compiled in.
async fn asset(name: web::Path<String>) -> HttpResponse {
    let (kind, bytes) = match name.as_str() {
        "console.css" => ("text/css; charset=utf-8", include_str!("../assets/console.css")),
        "console.js" => ("text/javascript; charset=utf-8", include_str!("../assets/console.js")),
        "icon.svg" => ("image/svg+xml", include_str!("../assets/icon.svg")),
        _ => return HttpResponse::NotFound().finish(),
    };
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header(("cache-control", "max-age=300"))
        .insert_header(("x-content-type-options", "nosniff"))
        .body(bytes)
}
