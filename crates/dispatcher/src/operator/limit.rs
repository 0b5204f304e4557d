//! The target's limit: what it is, and another one for all replicas at once, without a restart.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use storage::Limit;

use super::access::may_act;
use super::figures::Permitted;
use super::{Office, Problem, signed_in};
use crate::pace;
use crate::settings::{RATE_INTERVAL_MS, RATE_REQUESTS};
use crate::stack::TARGET;

/// A limit as it is ordered.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Order {
    /// Requests per window.
    requests: u32,
    /// The window, in milliseconds.
    interval_ms: u64,
}

impl Order {
    /// Reads it, within the bounds of the settings.
    fn understood(&self) -> Result<Limit, Problem> {
        let must = |bounds: &std::ops::RangeInclusive<u64>| format!("a whole number from {} to {}", bounds.start(), bounds.end());
        if !RATE_REQUESTS.contains(&u64::from(self.requests)) {
            return Err(Problem::wrong("requests", &must(&RATE_REQUESTS)));
        }
        if !RATE_INTERVAL_MS.contains(&self.interval_ms) {
            return Err(Problem::wrong("intervalMs", &must(&RATE_INTERVAL_MS)));
        }
        pace::limit(self.requests, Duration::from_millis(self.interval_ms)).map_err(|error| Problem::Malformed(error.to_string()))
    }
}

/// `GET /operator/limit`.
pub(super) async fn tell(request: HttpRequest, office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    signed_in(&request, &office)?;
    Ok(HttpResponse::Ok().json(office.permitted()))
}

/// `PUT /operator/limit`: every replica goes by it with its next reservation, a process on SQLite within two seconds.
pub(super) async fn change(request: HttpRequest, order: web::Json<Order>, office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    let session = may_act(&request, &office)?;
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

    #[test]
    fn a_limit_beyond_the_bounds_of_the_settings_is_refused() {
        for (requests, interval_ms) in [(0, 1_000), (u32::MAX, 1_000), (10, 0), (10, u64::MAX)] {
            let refused = Order { requests, interval_ms }.understood();
            assert!(matches!(refused, Err(Problem::Malformed(_))), "{requests} in {interval_ms}: {refused:?}");
        }
        assert_eq!(Order { requests: 10, interval_ms: 500 }.understood().unwrap().requests, 10);
    }
}
