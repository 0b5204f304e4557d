//! The console's door: name and secret in, a cookie out.

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};

use super::page::answer;
use crate::operator::access::{Credentials, check, cookie, is_of_this_site};
use crate::operator::{Office, Problem};

/// `GET /console/sign-in`.
pub(super) async fn form() -> HttpResponse {
    answer(StatusCode::OK, "Sign in", door(None))
}

/// `POST /console/sign-in`.
pub(super) async fn enter(request: HttpRequest, credentials: web::Form<Credentials>, office: web::Data<Office>) -> HttpResponse {
    if !is_of_this_site(&request) {
        return answer(StatusCode::FORBIDDEN, "Sign in", door(Some(&Problem::OtherSite)));
    }
    match check(&request, &office, &credentials).await {
        Ok(issued) => HttpResponse::SeeOther().insert_header((LOCATION, "/console/")).cookie(cookie(&issued.token)).finish(),
        Err(problem) => answer(actix_web::ResponseError::status_code(&problem), "Sign in", door(Some(&problem))),
    }
}

/// `POST /console/sign-out`.
pub(super) async fn leave() -> HttpResponse {
    to_the_door(&cookie(""))
}

/// Leads somebody who is not signed in to the door.
pub(super) fn turn_away() -> HttpResponse {
    to_the_door(&cookie(""))
}

/// Leads to the door, without the old cookie.
fn to_the_door(cookie: &actix_web::cookie::Cookie<'_>) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, "/console/sign-in")).cookie(cookie.clone()).finish()
}

/// The form, with what went wrong before.
fn door(problem: Option<&Problem>) -> Markup {
    html! {
        main id="content" { div.sign-in {
            h1 { img src="/console/assets/icon.svg" width="32" height="32" alt=""; "Events Proxy" }
            div.card { form method="post" action="/console/sign-in" {
                @if let Some(problem) = problem { div.alert role="alert" { (problem) } }
                label { "Name" input name="name" autocomplete="username" required autofocus maxlength="128"; }
                label { "Secret" input name="secret" type="password" autocomplete="current-password" required maxlength="72"; }
                button { "Sign in" }
            } }
            p.soft { "Operators are named in the setting OPERATOR_ACCOUNTS." }
        } }
    }
}
