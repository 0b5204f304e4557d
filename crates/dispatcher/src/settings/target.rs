//! Where the target is and what it wants to be told, read from the settings.

use std::net::IpAddr;
use std::time::Duration;

use chassis::settings::{Reader, common};
use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::ExposeSecret;

use crate::deliver::Target;

/// The setting of its address.
const URL: &str = "target_service_graphql_url";
/// The setting of who we are to it.
const AUTHORIZATION: &str = "target_service_authorization";

/// Reads them; `None` when something is wrong, which the reader then knows.
pub(super) fn read(reader: &mut Reader, timeout: Option<Duration>) -> Option<Target> {
    let url = url(reader);
    let authorization = authorization(reader);
    let (url, authorization) = (url?, authorization?);
    if authorization.is_some() && (!url.username().is_empty() || url.password().is_some()) {
        reader.mistake(AUTHORIZATION, format!("must not be set beside a user in {}: only one can be sent", URL.to_uppercase()));
        return None;
    }
    Some(Target { url, authorization, timeout: timeout? })
}

/// Where it is.
fn url(reader: &mut Reader) -> Option<Url> {
    let url = reader.text(URL)?.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else {
        reader.mistake(URL, "must be an http or https URL");
        return None;
    };
    if url.scheme() == "http" && !is_of_this_machine(&url) {
        let danger = "must be an https URL in production: by http events can be read on the way, and the target is not known to be itself";
        common::accepted(reader, URL, danger, "target_service_allow_http")?;
    }
    Some(url)
}

/// Whether no network lies between, as with a proxy beside us that speaks TLS for us.
fn is_of_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Who we are to it; `Some(None)` where it does not ask.
fn authorization(reader: &mut Reader) -> Option<Option<HeaderValue>> {
    let Some(secret) = reader.secret(AUTHORIZATION) else { return Some(None) };
    let Ok(mut value) = HeaderValue::from_str(secret.expose_secret()) else {
        reader.mistake(AUTHORIZATION, "must be what a header can hold: visible characters and spaces, in one line");
        return None;
    };
    value.set_sensitive(true);
    Some(Some(value))
}
