//! Who asks: an operator's token, from the Authorization header or, in a browser, from a cookie.
//!
//! A browser sends cookies along with what other sites make it send. So the cookie is `SameSite=Strict`, and an order
//! that a cookie vouches for must also say that it comes from this site (`Sec-Fetch-Site`, else `Origin`).

use std::net::{IpAddr, Ipv4Addr};

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, HOST, ORIGIN};
use actix_web::{HttpRequest, HttpResponse, web};
use auth::access::Issued;
use auth::lockout::Ending;
use auth::operator::{Operator, Role, SignInError};
use chassis::lifecycle::sentence;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::{Office, Problem, body};
use crate::metrics::sign_ins::SignIn;

/// The cookie that holds a browser's token.
pub(crate) const COOKIE: &str = "events-proxy-operator";

/// Name and secret.
#[derive(Debug, Deserialize)]
pub(crate) struct Credentials {
    /// The operator's name.
    pub(crate) name: String,
    /// Its secret.
    pub(crate) secret: SecretString,
}

/// A signed-in operator.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Who it is.
    pub(crate) operator: Operator,
}

/// `POST /operator/sessions`.
pub(super) async fn sign_in(request: HttpRequest, payload: web::Payload, office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    let credentials: Credentials = body::object(&request, payload).await?;
    let issued = check(&request, &office, &credentials).await?;
    let answer = json!({ "token": issued.token, "expiresAt": issued.expires_at.to_string() });
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(answer))
}

/// Checks name and secret, and makes a token. Who guesses is slowed down as a source is.
pub(crate) async fn check(request: &HttpRequest, office: &Office, credentials: &Credentials) -> Result<Issued, Problem> {
    if office.operators.is_empty() {
        return Err(Problem::NoOperators);
    }
    let (name, address) = (credentials.name.as_str(), request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip()));
    office.lock_out.begin(name, address).map_err(|wait| {
        office.sign_ins.ended(SignIn::LockedOut);
        Problem::LockedOut(wait)
    })?;
    let mut trying = Trying { office, name, address, ended: SignIn::GivenUp };
    let signed_in = office.operators.sign_in(name, &credentials.secret, office.clock.now()).await;
    trying.ended = match &signed_in {
        Ok(_) => SignIn::Opened,
        Err(SignInError::Refused) => SignIn::Refused,
        Err(SignInError::Busy) => SignIn::Busy,
        Err(SignInError::Failed(_)) => SignIn::Failed,
    };
    drop(trying);
    signed_in.map_err(|error| match error {
        SignInError::Refused => Problem::SignIn,
        SignInError::Busy => Problem::Busy,
        SignInError::Failed(_) => {
            tracing::error!(code = "operator_sign_in_failed", error = sentence(&error), "an operator cannot be signed in");
            Problem::Busy
        }
    })
}

/// A sign-in that is being judged; it ends when it is dropped, also when its caller goes away.
struct Trying<'a> {
    /// Where tries are counted.
    office: &'a Office,
    /// The name that was told.
    name: &'a str,
    /// From where.
    address: IpAddr,
    /// How it ended.
    ended: SignIn,
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        let Office { lock_out, sign_ins, operators, .. } = self.office;
        let ending = match self.ended {
            SignIn::Opened => Ending::GotIn,
            SignIn::Refused => Ending::Failed,
            SignIn::LockedOut | SignIn::Busy | SignIn::Failed | SignIn::GivenUp => Ending::NotJudged,
        };
        lock_out.end(self.name, self.address, ending);
        match self.ended {
            SignIn::Refused => sign_ins.refused(Some(self.name).filter(|name| operators.knows(name)), self.address),
            SignIn::Opened | SignIn::LockedOut | SignIn::Busy | SignIn::Failed | SignIn::GivenUp => sign_ins.ended(self.ended),
        }
    }
}

/// The cookie of a token, for as long as the browser is open; gone at once when the token is empty.
pub(crate) fn cookie(token: &str) -> Cookie<'static> {
    let mut cookie = Cookie::build(COOKIE, token.to_owned()).path("/").http_only(true).same_site(SameSite::Strict).finish();
    if token.is_empty() {
        cookie.make_removal();
    }
    cookie
}

/// What a request shows for who asks.
pub(crate) fn token(request: &HttpRequest) -> Option<String> {
    bearer(request).or_else(|| request.cookie(COOKIE).map(|cookie| cookie.value().to_owned()))
}

/// Says who asks, if they are signed in.
pub(crate) fn signed_in(request: &HttpRequest, office: &Office) -> Result<Session, Problem> {
    let token = token(request).ok_or(Problem::NotSignedIn)?;
    let operator = office.operators.verify(&token, office.clock.now()).map_err(|_| Problem::NotSignedIn)?;
    Ok(Session { operator })
}

/// Says who orders: signed in, allowed to act, and from this site if it is a browser.
pub(crate) fn may_act(request: &HttpRequest, office: &Office) -> Result<Session, Problem> {
    let session = signed_in(request, office)?;
    if bearer(request).is_none() && !is_of_this_site(request) {
        return Err(Problem::OtherSite);
    }
    if session.operator.role < Role::Operator {
        return Err(Problem::Forbidden);
    }
    Ok(session)
}

/// The token of the Authorization header.
fn bearer(request: &HttpRequest) -> Option<String> {
    let (scheme, token) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// Whether a browser says that the request was made by a page of this site.
pub(crate) fn is_of_this_site(request: &HttpRequest) -> bool {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = header("sec-fetch-site") {
        return site == "same-origin";
    }
    let origin = header(ORIGIN.as_str()).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    origin.is_some() && origin == header(HOST.as_str())
}
