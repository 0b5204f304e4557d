//! What every page of the console has: its head, its navigation, and headers that let nothing foreign in.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName};
use actix_web::{HttpResponse, ResponseError};
use auth::operator::Operator;
use maud::{DOCTYPE, Markup, html};

use crate::operator::Problem;

/// What a page may load: only what this listener serves; nothing inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// Further headers of every page.
const HEADERS: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// The pages of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The figures.
    Overview,
    /// Search, and one event.
    Events,
    /// Dead letters.
    Dead,
    /// Replays.
    Replays,
    /// Replicas and partitions.
    Replicas,
}

impl Place {
    /// All of them, in the order they are shown.
    const ALL: [Self; 5] = [Self::Overview, Self::Events, Self::Dead, Self::Replays, Self::Replicas];

    /// Its path and its name.
    const fn link(self) -> (&'static str, &'static str) {
        match self {
            Self::Overview => ("/console/", "Overview"),
            Self::Events => ("/console/events", "Events"),
            Self::Dead => ("/console/dead", "Dead letters"),
            Self::Replays => ("/console/replays", "Replays"),
            Self::Replicas => ("/console/replicas", "Replicas"),
        }
    }
}

/// How good what is told is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Neither good nor bad.
    Plain,
    /// As it shall be.
    Good,
    /// Somebody should look.
    Warn,
    /// Somebody must look.
    Bad,
}

impl Mood {
    /// The class that colours it, and its sign as a path in a square of 24.
    const fn look(self) -> (&'static str, &'static str) {
        match self {
            Self::Plain => ("plain", "M12 11v6M12 7v.5"),
            Self::Good => ("good", "M7 12.5l3.5 3.5L17 9"),
            Self::Warn => ("warn", "M12 7v6M12 16.5v.5"),
            Self::Bad => ("bad", "M8.5 8.5l7 7M15.5 8.5l-7 7"),
        }
    }
}

/// A sentence that is read first, with its sign and its reason.
pub(crate) fn verdict(mood: Mood, said: &str, why: Markup) -> Markup {
    let (class, sign) = mood.look();
    html! {
        div.verdict.(class) role="status" {
            svg.sign viewBox="0 0 24 24" aria-hidden="true" { circle cx="12" cy="12" r="11" {} path d=(sign) {} }
            div { strong { (said) } div { (why) } }
        }
    }
}

/// A page for somebody who is signed in.
pub(crate) fn page(operator: &Operator, place: Place, title: &str, content: Markup) -> HttpResponse {
    paged(StatusCode::OK, operator, place, title, content)
}

/// A page with a status.
fn paged(status: StatusCode, operator: &Operator, place: Place, title: &str, content: Markup) -> HttpResponse {
    let navigation = html! {
        header.top { div.in {
            a.name href="/console/" { img src="/console/assets/icon.svg" width="24" height="24" alt=""; "Events Proxy" }
            nav aria-label="Console" {
                @for other in Place::ALL {
                    @let (path, name) = other.link();
                    a href=(path) aria-current=[(other == place).then_some("page")] { (name) }
                }
            }
            form method="post" action="/console/sign-out" {
                span.who { (operator.name) @if operator.role == auth::operator::Role::Viewer { " (viewer)" } }
                button.plain { "Sign out" }
            }
        } }
    };
    answer(status, title, html! { (navigation) main id="content" { (content) } })
}

/// A whole document.
pub(crate) fn answer(status: StatusCode, title: &str, body: Markup) -> HttpResponse {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Events Proxy" }
                link rel="stylesheet" href="/console/assets/console.css";
                link rel="icon" href="/console/assets/icon.svg" type="image/svg+xml";
                script src="/console/assets/console.js" defer {}
            }
            body { a.skip href="#content" { "Skip to the content" } (body) }
        }
    };
    let mut response = HttpResponse::build(status);
    response.content_type("text/html; charset=utf-8").insert_header((CONTENT_SECURITY_POLICY, POLICY));
    response.insert_header((CACHE_CONTROL, "no-store"));
    for (name, value) in HEADERS {
        response.insert_header((HeaderName::from_static(name), value));
    }
    response.body(document.into_string())
}

/// A page that says what cannot be done, in the operator's words.
pub(crate) fn refused(operator: &Operator, place: Place, problem: &Problem) -> HttpResponse {
    let content = html! { h1 { "Not done" } div.alert role="alert" { (problem) } };
    paged(problem.status_code(), operator, place, "Not done", content)
}

/// A page that says that the storage does not answer.
pub(crate) fn trouble(operator: &Operator, place: Place, error: &storage::Error) -> HttpResponse {
    refused(operator, place, &Problem::storage(error))
}
