//! Each setting of the dispatcher that is refused, and what is said of it.

use chassis::settings::Settings as Layers;

use super::Settings;

/// Reads these settings; the mistakes in words, none when they are good.
fn read(pairs: &[(&str, &str)]) -> (Option<Settings>, String) {
    let mut reader = Layers::from_pairs(pairs.iter().copied()).reader();
    let read = Settings::read(&mut reader);
    let mistakes = reader.finish().err().map(|mistakes| mistakes.to_string()).unwrap_or_default();
    assert!(read.is_some() || !mistakes.is_empty(), "nothing is read, and nobody knows why");
    (read, mistakes)
}

#[test]
fn what_we_say_to_the_target_is_shown_nowhere() {
    let pairs = [("TARGET_SERVICE_AUTHORIZATION", "Bearer a-word-that-opens")];
    let (settings, _) = read(&pairs);
    let shown = format!("{settings:?} {:?} {}", Layers::from_pairs(pairs), Layers::from_pairs(pairs).explain());
    assert!(shown.contains("Sensitive") && shown.contains("***") && !shown.contains("a-word-that-opens"), "{shown}");
    for wrong in ["Bearer a-word\nthat-opens", "Bearer a-word-that-opens\u{7f}"] {
        let (_, mistakes) = read(&[("TARGET_SERVICE_AUTHORIZATION", wrong)]);
        assert!(mistakes.contains("TARGET_SERVICE_AUTHORIZATION") && mistakes.contains("header"), "{mistakes}");
        assert!(!mistakes.contains("opens"), "{mistakes}");
    }
}

#[test]
fn a_target_is_not_told_two_users() {
    let url = ("TARGET_SERVICE_GRAPHQL_URL", "http://me:hidden@localhost:4001/graphql");
    assert_eq!(read(&[url]).1, "");
    let (_, mistakes) = read(&[url, ("TARGET_SERVICE_AUTHORIZATION", "Bearer a-word-that-opens")]);
    assert!(mistakes.contains("TARGET_SERVICE_AUTHORIZATION (environment) must not be set beside a user"), "{mistakes}");
    assert!(!mistakes.contains("hidden") && !mistakes.contains("opens"), "{mistakes}");
}

#[test]
fn a_target_in_clear_text_is_refused_in_production_unless_somebody_accepts_it() {
    let production = ("ENVIRONMENT_PROFILE", "production");
    for (url, safe) in [
        ("http://target.example/graphql", false),
        ("http://target/graphql", false),
        ("http://127.0.0.1.example/graphql", false),
        ("https://target.example/graphql", true),
        ("http://localhost:4001/graphql", true),
        ("http://127.0.0.1:4001/graphql", true),
        ("http://[::1]:4001/graphql", true),
    ] {
        let url = ("TARGET_SERVICE_GRAPHQL_URL", url);
        let (_, mistakes) = read(&[production, url]);
        assert_eq!(mistakes.is_empty(), safe, "{url:?}: {mistakes}");
        assert!(safe || mistakes.contains("must be an https URL") && mistakes.contains("TARGET_SERVICE_ALLOW_HTTP"), "{mistakes}");
        assert_eq!(read(&[production, url, ("TARGET_SERVICE_ALLOW_HTTP", "true")]).1, "");
        assert_eq!(read(&[url]).1, "");
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_key() {
    for (pairs, key) in [
        (&[("TARGET_SERVICE_GRAPHQL_URL", "ftp://target.example/graphql")][..], "TARGET_SERVICE_GRAPHQL_URL"),
        (&[("TARGET_SERVICE_GRAPHQL_URL", "target.example")], "TARGET_SERVICE_GRAPHQL_URL"),
        (&[("DISPATCH_LEASE_TTL_MS", "7999")], "DISPATCH_LEASE_TTL_MS"),
        (&[("TARGET_SERVICE_TIMEOUT_MS", "7001")], "dispatch_lease_ttl_ms"),
        (&[("JOURNAL_RETENTION_DAYS", "6")], "JOURNAL_RETENTION_DAYS"),
        (&[("QUEUE_RETENTION_MS", "604800001")], "journal_retention_days"),
        (&[("DELIVERY_BACKOFF_MIN_MS", "2"), ("DELIVERY_BACKOFF_MAX_MS", "1")], "DELIVERY_BACKOFF_MAX_MS"),
        (&[("DELIVERY_PARK_MIN_MS", "2"), ("DELIVERY_PARK_MAX_MS", "1")], "DELIVERY_PARK_MAX_MS"),
        (&[("ENVIRONMENT_PROFILE", "production"), ("GRAPHQL_CLIENT_TESTING_MODE", "true")], "GRAPHQL_CLIENT_TESTING_MODE"),
    ] {
        let (_, mistakes) = read(pairs);
        assert!(mistakes.starts_with("1 setting is wrong:") && mistakes.contains(&format!("\n  {key} (")), "{pairs:?}: {mistakes}");
    }
    assert_eq!(read(&[("DISPATCH_LEASE_TTL_MS", "8000"), ("DELIVERY_BACKOFF_MIN_MS", "1"), ("DELIVERY_BACKOFF_MAX_MS", "1")]).1, "");
}
