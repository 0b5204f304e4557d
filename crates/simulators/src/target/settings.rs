//! The target's settings in the environment.
//!
//! `LISTEN_ADDRESS` (default 127.0.0.1), `PORT` (default 4001; 0 takes any), `TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS`,
//! `TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL`, `TARGET_FAILURE_SHARE` (0 to 1), `TARGET_FAILURES` (comma-separated, see
//! [`Failure::NAMES`]), `TARGET_LATENCY_MS`, `TARGET_SLOW_MS`, `TARGET_RECORD_FILE`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{Failure, Options, RATE_REQUESTS_MAX};
use crate::environment::{Environment, Mistakes};

/// The port when none is set.
const PORT: u16 = 4_001;

/// Reads where to listen and the options; what is not set keeps its default.
///
/// # Errors
/// With every mistake at once.
pub(crate) fn read(mut environment: Environment) -> Result<(SocketAddr, Options), Mistakes> {
    let standard = Options::default();
    let address = address(&mut environment);
    let interval = environment.value("TARGET_SERVICE_RATE_LIMIT_INTERVAL_MS", 1..=86_400_000).map(Duration::from_millis);
    let options = Options {
        rate_interval: interval.unwrap_or(standard.rate_interval),
        rate_requests: environment
            .value("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", 1..=RATE_REQUESTS_MAX)
            .unwrap_or(standard.rate_requests),
        failure_share: environment.value("TARGET_FAILURE_SHARE", 0.0..=1.0).unwrap_or(standard.failure_share),
        failures: failures(&mut environment).unwrap_or(standard.failures),
        latency: environment.millis("TARGET_LATENCY_MS").unwrap_or(standard.latency),
        slow: environment.millis("TARGET_SLOW_MS").unwrap_or(standard.slow),
        record_file: environment.path("TARGET_RECORD_FILE"),
    };
    environment.finish().map(|()| (address, options))
}

/// Reads where to listen.
fn address(environment: &mut Environment) -> SocketAddr {
    let ip = match environment.text("LISTEN_ADDRESS").map(|text| text.parse::<IpAddr>()) {
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(Ok(ip)) => ip,
        Some(Err(_)) => {
            environment.mistake("LISTEN_ADDRESS", "must be an IP address");
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        }
    };
    SocketAddr::new(ip, environment.value("PORT", 0..=u16::MAX).unwrap_or(PORT))
}

/// Reads the ways to fail; none when they are not set or wrong.
fn failures(environment: &mut Environment) -> Option<Vec<Failure>> {
    let text = environment.text("TARGET_FAILURES")?;
    let find = |name: &str| Failure::NAMES.iter().find(|(known, _)| *known == name.trim()).map(|(_, failure)| *failure);
    let found: Option<Vec<Failure>> = text.split(',').map(find).collect();
    if found.is_none() {
        let names = Failure::NAMES.map(|(name, _)| name).join(", ");
        environment.mistake("TARGET_FAILURES", &format!("must be some of: {names}"));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Failure, read};
    use crate::environment::Environment;

    #[test]
    fn an_empty_environment_gives_the_documented_defaults() {
        let (address, options) = read(Environment::default()).unwrap();
        assert_eq!(address.to_string(), "127.0.0.1:4001");
        assert_eq!((options.rate_requests, options.rate_interval), (1, Duration::from_secs(2)));
    }

    #[test]
    fn failures_are_read_by_name() {
        let pairs = [("TARGET_FAILURE_SHARE", "0.25"), ("TARGET_FAILURES", "lost, refused"), ("PORT", "0")];
        let (address, options) = read(Environment::from_pairs(pairs)).unwrap();
        assert_eq!((address.port(), options.failures), (0, vec![Failure::Lost, Failure::Refused]));
        assert!((options.failure_share - 0.25).abs() < f64::EPSILON);
    }

    #[test]
    fn all_mistakes_are_told_together() {
        let pairs = [
            ("TARGET_FAILURE_SHARE", "NaN"),
            ("TARGET_FAILURES", "sometimes"),
            ("LISTEN_ADDRESS", "here"),
            ("PORT", "70000"),
            ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "0"),
        ];
        assert_eq!(read(Environment::from_pairs(pairs)).unwrap_err().to_string().lines().count(), 5);
    }
}
