//! The API's document, and a page to try it out. Its assets are compiled in: nothing is fetched from elsewhere.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
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
    modifiers(&Bearer)
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

/// The page at `/api-docs/`, with the document at `/api-docs/openapi.json`.
pub(crate) fn page() -> SwaggerUi {
    SwaggerUi::new("/api-docs/{_:.*}").url("/api-docs/openapi.json", Document::openapi())
}
