//! The API's document, and a page to try it out. Its assets are compiled in: nothing is fetched from elsewhere.
//!
//! Handlers say which statuses they answer; how a refusal looks, and which headers a status comes with, is the same for all
//! and is said here. `infra/check/http` holds the document against what the process answers.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Header, RefOr};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::SwaggerUi;

/// The document, made of what stands on the handlers.
#[derive(Debug, OpenApi)]
#[openapi(
    info(title = "Events Proxy", description = "Accepts events, keeps each one safe, and delivers them no faster than the target allows."),
    paths(
        crate::sessions::create,
        crate::sessions::refresh,
        crate::sessions::end,
        crate::receive::receive,
        crate::events::one,
        crate::events::page
    ),
    modifiers(&Bearer, &Answers)
)]
pub(crate) struct Document;

/// Access tokens as the document tells them.
#[derive(Debug)]
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        document.components.get_or_insert_with(Default::default).add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// What all answers of a status have in common.
#[derive(Debug)]
struct Answers;

impl Modify for Answers {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for operation in document.paths.paths.values_mut().flat_map(operations) {
            let takes_token = operation.security.is_some();
            let has_quota = operation.tags.iter().flatten().any(|tag| tag == "events");
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response {
                    complete(status, response, (takes_token, has_quota));
                }
            }
        }
    }
}

/// The operations of a path.
fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut path.get, &mut path.post, &mut path.delete].into_iter().flatten()
}

/// Makes a refusal a problem document, and names the headers that come with the status.
fn complete(status: &str, response: &mut Response, (takes_token, has_quota): (bool, bool)) {
    if !status.starts_with('2') {
        let problem = response.content.shift_remove("application/json");
        response.content.extend(problem.map(|problem| ("application/problem+json".to_owned(), problem)));
    }
    let mut tell = |name: &str, kind: Type, description: &str| {
        response.headers.insert(name.to_owned(), RefOr::T(header(kind, description)));
    };
    if status == "401" && takes_token {
        tell("WWW-Authenticate", Type::String, "Always `Bearer`");
    }
    if matches!(status, "429" | "503") {
        tell("Retry-After", Type::Integer, "Seconds to wait before the next try");
    }
    if has_quota && (status.starts_with('2') || status == "429") {
        tell("RateLimit-Limit", Type::Integer, "How many such requests the source may make in one window");
        tell("RateLimit-Remaining", Type::Integer, "How many of them are left");
        tell("RateLimit-Reset", Type::Integer, "Seconds until the next window");
    }
}

/// A header with a value of this type.
fn header(kind: Type, description: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(kind).build();
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

/// The page at `/api-docs/`, with the document at `/api-docs/openapi.json`.
pub(crate) fn page() -> SwaggerUi {
    SwaggerUi::new("/api-docs/{_:.*}").url("/api-docs/openapi.json", Document::openapi())
}
