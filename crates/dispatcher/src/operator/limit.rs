//! The target's limit: what it is, and another one for all replicas at once, without a restart.

use std::ops::RangeInclusive;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::Number;
use storage::Limit;

use super::access::may_act;
use super::figures::Permitted;
use super::{Office, Problem, body, signed_in};
use crate::pace;
use crate::settings::{RATE_INTERVAL_MS, RATE_REQUESTS};
use crate::stack::TARGET;

/// A limit as it is ordered.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Order {
    /// Requests per window.
    requests: Number,
    /// The window, in milliseconds.
    interval_ms: Number,
}

impl Order {
    /// Reads it, within the bounds of the settings.
    fn understood(&self) -> Result<Limit, Problem> {
        let requests = within("requests", &self.requests, &RATE_REQUESTS)?;
        let interval = Duration::from_millis(within("intervalMs", &self.interval_ms, &RATE_INTERVAL_MS)?);
        pace::limit(u32::try_from(requests).unwrap_or(u32::MAX), interval).map_err(|error| Problem::Malformed(error.to_string()))
    }
}

/// Reads a whole number within bounds; 5.0 is one, too.
fn within(field: &str, number: &Number, bounds: &RangeInclusive<u64>) -> Result<u64, Problem> {
    let written = || number.as_f64().filter(|number| number.fract() == 0.0).and_then(|number| format!("{number:.0}").parse().ok());
    let whole = number.as_u64().or_else(written).filter(|number| bounds.contains(number));
    whole.ok_or_else(|| Problem::wrong(field, &format!("a whole number from {} to {}", bounds.start(), bounds.end())))
}

/// `GET /operator/limit`.
pub(super) async fn tell(request: HttpRequest, office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    signed_in(&request, &office)?;
    Ok(HttpResponse::Ok().json(office.permitted()))
}

/// `PUT /operator/limit`: every replica goes by it with its next reservation, a process on SQLite within two seconds.
pub(super) async fn change(request: HttpRequest, payload: web::Payload, office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    let session = may_act(&request, &office)?;
    let order: Order = body::object(&request, payload).await?;
    let limit = order.understood()?;
    let changed = office.store.change_limit(TARGET, limit).await.map_err(|error| Problem::storage(&error))?;
    if !changed {
        return Err(Problem::Conflict("no dispatcher has asked for a slot yet, so there is no limit to change; try again".to_owned()));
    }
    let Permitted { requests, interval_ms } = Permitted::of(limit);
    tracing::info!(operator = session.operator.name, requests, interval_ms, "the target's limit is changed");
    Ok(HttpResponse::Ok().json(Permitted::of(limit)))
}

#[cfg(test)]
mod tests {
    use super::{Order, Problem};

    /// An order of these numbers.
    fn order(requests: &str, interval_ms: &str) -> Order {
        serde_json::from_str(&format!(r#"{{"requests":{requests},"intervalMs":{interval_ms}}}"#)).unwrap()
    }

    #[test]
    fn a_limit_beyond_the_bounds_of_the_settings_is_refused() {
        let understood = |requests, interval_ms| order(requests, interval_ms).understood();
        for (requests, interval_ms) in
            [("0", "1000"), ("4294967295", "1000"), ("10", "0"), ("10", "1e300"), ("0.5", "1000"), ("-1", "1000")]
        {
            let refused = understood(requests, interval_ms);
            assert!(matches!(refused, Err(Problem::Malformed(_))), "{requests} in {interval_ms}: {refused:?}");
        }
        assert_eq!(understood("10", "500").unwrap(), understood("10.0", "5e2").unwrap());
        assert_eq!(understood("10", "500").unwrap().requests, 10);
    }
}
