//! What processes that meet others are refused: topics and databases that are missing, are not shared, or can be listened to.

use super::super::Settings;
use super::{Reader, shared_storage, shared_topic};

/// What is told of these settings by a reading.
fn told<T>(pairs: &[(&str, &str)], read: impl Fn(&mut Reader) -> Option<T>) -> String {
    let mut reader = Settings::from_pairs(pairs.iter().copied()).reader();
    let read = read(&mut reader);
    let mistakes = reader.finish().err().map(|mistakes| mistakes.to_string()).unwrap_or_default();
    assert!(read.is_some() || !mistakes.is_empty(), "nothing is read, and nobody knows why");
    mistakes
}

const KAFKA: [(&str, &str); 2] = [("QUEUE_TYPE", "Kafka"), ("QUEUE_URL", "b-1:9092")];
const PRODUCTION: (&str, &str) = ("ENVIRONMENT_PROFILE", "production");

#[test]
fn brokers_without_tls_are_refused_in_production_unless_somebody_accepts_them() {
    let [kind, url] = KAFKA;
    let refused = told(&[PRODUCTION, kind, url], shared_topic);
    assert!(refused.contains("queue_tls (defaults) must be true in production"), "{refused}");
    assert!(refused.contains("QUEUE_ALLOW_PLAINTEXT has to be true"), "{refused}");
    for more in [("QUEUE_TLS", "true"), ("QUEUE_ALLOW_PLAINTEXT", "true")] {
        assert_eq!(told(&[PRODUCTION, kind, url, more], shared_topic), "");
    }
    assert_eq!(told(&KAFKA, shared_topic), "");
}

#[test]
fn a_database_that_proves_nothing_is_refused_in_production_unless_somebody_accepts_it() {
    let [kind, url] = [("USER_REPOSITORY_TYPE", "Postgres"), ("USER_REPOSITORY_URL", "postgres://me:hush@there/events")];
    let unguarded = |reader: &mut Reader| shared_storage(reader, |_| false);
    let refused = told(&[PRODUCTION, kind, url], unguarded);
    assert!(refused.contains("USER_REPOSITORY_URL (environment) must say sslmode=verify-full"), "{refused}");
    assert!(refused.contains("USER_REPOSITORY_ALLOW_UNVERIFIED_TLS has to be true") && !refused.contains("hush"), "{refused}");
    assert_eq!(told(&[PRODUCTION, kind, url, ("USER_REPOSITORY_ALLOW_UNVERIFIED_TLS", "true")], unguarded), "");
    assert_eq!(told(&[PRODUCTION, kind, url], |reader| shared_storage(reader, |_| true)), "");
    assert_eq!(told(&[kind, url], unguarded), "");
}

#[test]
fn what_is_missing_or_not_shared_is_told() {
    let [kind, url] = KAFKA;
    for (pairs, key) in [
        (&[kind][..], "queue_url"),
        (&[url], "queue_type"),
        (&[kind, url, ("QUEUE_SASL_MECHANISM", "GSSAPI")], "QUEUE_SASL_MECHANISM"),
        (&[kind, url, ("QUEUE_SASL_MECHANISM", "PLAIN"), ("QUEUE_SASL_PASSWORD", "hush")], "queue_sasl_username"),
        (&[kind, url, ("QUEUE_SASL_MECHANISM", "PLAIN"), ("QUEUE_SASL_USERNAME", "me")], "queue_sasl_password"),
    ] {
        let mistakes = told(pairs, shared_topic);
        assert!(mistakes.contains(&format!("\n  {key} (")) && !mistakes.contains("hush"), "{pairs:?}: {mistakes}");
    }
    for (pairs, key) in [
        (&[("USER_REPOSITORY_TYPE", "Postgres")][..], "user_repository_url"),
        (&[("USER_REPOSITORY_TYPE", "InMemory")], "USER_REPOSITORY_TYPE"),
    ] {
        let mistakes = told(pairs, |reader| shared_storage(reader, |_| true));
        assert!(mistakes.contains(&format!("\n  {key} (")), "{pairs:?}: {mistakes}");
    }
}
