//! Parts of pages that change while one looks: rendered anew with each new set of figures, sent as server-sent events.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{self, Bytes};
use futures_util::{Stream, StreamExt, stream};
use maud::Markup;
use tokio::sync::OwnedSemaphorePermit;

use crate::operator::Office;

/// Answers with one rendering after another, for as long as the page is looked at and the rendering can be made.
pub(super) fn follow(office: web::Data<Office>, render: impl AsyncFn(&Office) -> Option<Markup> + 'static) -> HttpResponse {
    // Each viewer holds a connection and a rendering each second, so they have a number.
    let Ok(place) = Arc::clone(&office.viewers).try_acquire_owned() else {
        return HttpResponse::ServiceUnavailable().insert_header(("retry-after", "5")).finish();
    };
    let renderings = renderings(office, place, render);
    HttpResponse::Ok().content_type("text/event-stream").insert_header(("cache-control", "no-store")).streaming(renderings)
}

/// A rendering for each new set of figures.
fn renderings(
    office: web::Data<Office>,
    place: OwnedSemaphorePermit,
    render: impl AsyncFn(&Office) -> Option<Markup>,
) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    let figures = office.figures.follow();
    stream::unfold((figures, office, place, render), async |(mut figures, office, place, render)| {
        figures.changed().await.ok()?;
        figures.mark_unchanged();
        let markup = render(&office).await?.into_string();
        Some((Bytes::from(format!("data: {}\n\n", markup.replace(['\n', '\r'], " "))), (figures, office, place, render)))
    })
    .map(Ok)
}
