//! Parts of pages that change while one looks: rendered anew with each new set of figures, sent as server-sent events for as
//! long as the token of whoever looks is good.

use std::sync::Arc;

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{Stream, StreamExt, stream};
use maud::Markup;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OwnedSemaphorePermit;

use crate::operator::{Office, token};

/// Answers with one rendering after another, for as long as the page is looked at and the rendering can be made.
pub(super) fn follow(
    request: &HttpRequest,
    office: web::Data<Office>,
    render: impl AsyncFn(&Office) -> Option<Markup> + 'static,
) -> HttpResponse {
    // Each viewer holds a connection and a rendering each second, so they have a number.
    let Ok(place) = Arc::clone(&office.viewers).try_acquire_owned() else {
        return HttpResponse::ServiceUnavailable().insert_header(("retry-after", "5")).finish();
    };
    let Some(token) = token(request).map(SecretString::from) else { return HttpResponse::Unauthorized().finish() };
    let renderings = renderings(office, (place, token), render);
    HttpResponse::Ok().content_type("text/event-stream").insert_header(("cache-control", "no-store")).streaming(renderings)
}

/// A rendering for each new set of figures.
fn renderings(
    office: web::Data<Office>,
    viewer: (OwnedSemaphorePermit, SecretString),
    render: impl AsyncFn(&Office) -> Option<Markup>,
) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    let figures = office.figures.follow();
    stream::unfold((figures, office, viewer, render), async |(mut figures, office, viewer, render)| {
        figures.changed().await.ok()?;
        figures.mark_unchanged();
        office.operators.verify(viewer.1.expose_secret(), office.clock.now()).ok()?;
        let markup = render(&office).await?.into_string();
        Some((Bytes::from(format!("data: {}\n\n", markup.replace(['\n', '\r'], " "))), (figures, office, viewer, render)))
    })
    .map(Ok)
}
