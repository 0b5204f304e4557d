//! The source's settings in the environment.
//!
//! `API_URL`, `SOURCE_SERVICE_TEST_USER_CREDENTIALS` (`{"authId": …, "secret": …}`), `SOURCE_SERVICE_SEND_EVENTS_INTERVAL_MS`,
//! `SOURCE_GIVE_UP_MS`, `SOURCE_CONCURRENCY`, `SOURCE_COUNT`, `SOURCE_RECORD_FILE`.

use serde::Deserialize;

use super::Options;
use crate::environment::{Environment, Mistakes};

/// The key of the credentials.
const CREDENTIALS: &str = "SOURCE_SERVICE_TEST_USER_CREDENTIALS";

/// How the credentials are written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials {
    /// The account's login name.
    auth_id: String,
    /// The account's secret.
    secret: String,
}

/// Reads the options; what is not set keeps its default, only the credentials have none.
///
/// # Errors
/// With every mistake at once.
pub(crate) fn read(mut environment: Environment) -> Result<Options, Mistakes> {
    let standard = Options::default();
    let credentials = credentials(&mut environment);
    let options = Options {
        api_url: environment.text("API_URL").unwrap_or(standard.api_url),
        interval: environment.millis("SOURCE_SERVICE_SEND_EVENTS_INTERVAL_MS").unwrap_or(standard.interval),
        give_up: environment.value("SOURCE_GIVE_UP_MS", 1..=60_000).map_or(standard.give_up, std::time::Duration::from_millis),
        concurrency: environment.value("SOURCE_CONCURRENCY", 1..=10_000).unwrap_or(standard.concurrency),
        count: environment.value("SOURCE_COUNT", 0..=u64::MAX),
        record_file: environment.path("SOURCE_RECORD_FILE"),
        auth_id: credentials.auth_id,
        secret: credentials.secret,
    };
    if !options.api_url.starts_with("http://") && !options.api_url.starts_with("https://") {
        environment.mistake("API_URL", "must start with http:// or https://");
    }
    environment.finish().map(|()| options)
}

/// Reads the credentials, or notes what is wrong with them.
fn credentials(environment: &mut Environment) -> Credentials {
    let nobody = Credentials { auth_id: String::new(), secret: String::new() };
    let Some(text) = environment.text(CREDENTIALS) else {
        environment.mistake(CREDENTIALS, "must be set");
        return nobody;
    };
    serde_json::from_str(&text).unwrap_or_else(|_| {
        environment.mistake(CREDENTIALS, "must be JSON like {\"authId\": \"…\", \"secret\": \"…\"}");
        nobody
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::read;
    use crate::environment::Environment;

    #[test]
    fn the_credentials_are_enough() {
        let environment = Environment::from_pairs([("SOURCE_SERVICE_TEST_USER_CREDENTIALS", r#"{"authId":"a","secret":"s3cret"}"#)]);
        let options = read(environment).unwrap();
        assert_eq!((options.auth_id.as_str(), options.secret.as_str()), ("a", "s3cret"));
        assert_eq!((options.interval, options.give_up), (Duration::from_millis(1_500), Duration::from_millis(500)));
        assert!(!format!("{options:?}").contains("s3cret"));
    }

    #[test]
    fn all_mistakes_are_told_together_without_the_secret() {
        let environment = Environment::from_pairs([
            ("SOURCE_SERVICE_TEST_USER_CREDENTIALS", r#"{"authId":"a","secret":hunter2}"#),
            ("API_URL", "localhost"),
            ("SOURCE_CONCURRENCY", "0"),
        ]);
        let mistakes = read(environment).unwrap_err().to_string();
        assert_eq!(mistakes.lines().count(), 3, "{mistakes}");
        assert!(!mistakes.contains("hunter2"));
    }
}
