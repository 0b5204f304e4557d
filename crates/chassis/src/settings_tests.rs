//! Layers, mistakes and secrets of the settings.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::{DEFAULTS, Mistakes, Settings};

/// Loads with this environment alone.
fn load(pairs: &[(&str, &str)]) -> Result<Settings, Mistakes> {
    Settings::from_environment(pairs.iter().map(|(key, value)| (OsString::from(key), OsString::from(value))))
}

/// Writes a settings file.
fn file(directory: &tempfile::TempDir, text: &str) -> String {
    let path = directory.path().join("settings.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What is wrong, as the user reads it.
fn told(settings: &Settings) -> String {
    settings.reader().finish().unwrap_err().to_string()
}

#[test]
fn every_default_is_a_setting_with_a_comment_and_a_value() {
    let settings = load(&[]).unwrap();
    settings.reader().finish().unwrap();
    assert!(settings.values.len() > 50, "{}", settings.values.len());
    for key in settings.values.keys() {
        let (before, _) = DEFAULTS.split_once(&format!("\n{key} =")).unwrap_or_else(|| panic!("{key} is not written flat"));
        assert!(before.lines().last().unwrap().starts_with('#'), "{key} has no comment");
        assert_eq!(*key, key.to_lowercase());
    }
}

#[test]
fn every_range_in_the_reference_holds_its_default() {
    let mut comment = String::new();
    for line in DEFAULTS.lines() {
        let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else {
            if line.is_empty() {
                comment.clear()
            } else {
                comment.push_str(line)
            }
            continue;
        };
        if let (Some(range), Ok(value)) = (comment.split_once('[').and_then(|(_, rest)| rest.split_once(" – ")), value.parse::<f64>()) {
            let (low, high) = (range.0.parse::<f64>().unwrap(), range.1.split_once(']').unwrap().0.parse::<f64>().unwrap());
            assert!((low..=high).contains(&value), "{key} = {value} is not in {low} – {high}");
        }
    }
}

#[test]
fn the_environment_beats_the_file_and_the_file_beats_the_defaults() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "port = 5000\nevent_brand = \"fromFile\"\nqueue_tls = true\notel_traces_sampler_arg = 0.25");
    let settings = load(&[("EVENTS_PROXY_CONFIG", &path), ("EVENT_BRAND", "fromEnvironment")]).unwrap();
    let mut reader = settings.reader();
    assert_eq!(reader.number::<u16>("port", 0..=65_535), Some(5000));
    assert_eq!(reader.text("event_brand").as_deref(), Some("fromEnvironment"));
    assert_eq!(reader.text("queue_topic").as_deref(), Some("events"));
    assert_eq!(reader.flag("queue_tls"), Some(true));
    assert_eq!(reader.share("otel_traces_sampler_arg"), Some(0.25));
    reader.finish().unwrap();
    let explained = settings.explain();
    let line = |key: &str| explained.lines().find(|line| line.split(' ').next() == Some(key)).unwrap().to_owned();
    assert!(line("port").ends_with(&format!("= \"5000\"  (file {path})")), "{}", line("port"));
    assert!(line("event_brand").ends_with("= \"fromEnvironment\"  (environment)"));
    assert!(line("queue_topic").ends_with("= \"events\"  (defaults)"));
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let settings = load(&[("PORT", ""), ("EVENTS_PROXY_CONFIG", ""), ("QUEUE_URL", "")]).unwrap();
    let mut reader = settings.reader();
    assert_eq!(reader.number::<u16>("port", 0..=65_535), Some(4000));
    assert_eq!(reader.optional_text("queue_url"), None);
    reader.finish().unwrap();
}

#[test]
fn values_are_readable_as_what_they_are() {
    let settings =
        Settings::from_pairs([("queue_partitions", "12"), ("PROXY_SERVICE_TEST_USERS_DATA", r#"{"a":[1]}"#), ("queue_type", "kafka")]);
    let mut reader = settings.reader();
    assert_eq!(reader.optional_number::<u32>("queue_partitions", 1..=1024), Some(Some(12)));
    assert_eq!(reader.optional_number::<u16>("admin_port", 0..=65_535), Some(None));
    assert_eq!(
        reader.json::<HashMap<String, Vec<u8>>>("proxy_service_test_users_data"),
        Some(Some(HashMap::from([("a".to_owned(), vec![1])])))
    );
    assert_eq!(reader.json::<Vec<u8>>("source_service_test_user_credentials"), Some(None));
    assert_eq!(reader.one_of("queue_type", &[("Local", 1), ("Kafka", 2)]), Some(2));
    assert_eq!(reader.millis("stop_grace_ms", 0..=3_600_000), Some(Duration::from_secs(120)));
    assert_eq!(reader.seconds("auth_access_token_expires_in_sec", 1..=86_400), Some(Duration::from_secs(60)));
    assert!(reader.secret("auth_access_token_secret").is_none());
    reader.finish().unwrap();
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_origin() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "queue_typ = \"Kafka\"\nstop_grace_ms = -1\n[queue]\ntype = \"Kafka\"\n[event_brand]\na = 1");
    let settings =
        load(&[("EVENTS_PROXY_CONFIG", &path), ("PORT", "seventy"), ("DELIVERY_ATTEMPT_MAX", "3"), ("QUEUE_TYPE", "Rabbit")]).unwrap();
    let mut reader = settings.reader();
    assert_eq!(reader.number::<u16>("port", 0..=65_535), None);
    assert_eq!(reader.number::<u16>("port", 0..=65_535), None);
    assert_eq!(reader.millis("stop_grace_ms", 0..=10), None);
    assert_eq!(reader.one_of("queue_type", &[("Local", 1), ("Kafka", 2)]), None);
    assert_eq!(reader.text("queue_url"), None);
    reader.mistake("event_brand", "must be nicer");
    let text = reader.finish().unwrap_err().to_string();
    let expected = [
        "9 settings are wrong:".to_owned(),
        "  DELIVERY_ATTEMPT_MAX (environment) is no setting; did you mean DELIVERY_ATTEMPTS_MAX?".to_owned(),
        format!("  event_brand (file {path}) must be a text, a number or a flag"),
        format!("  queue (file {path}) is no setting"),
        format!("  queue_typ (file {path}) is no setting; did you mean queue_type?"),
        "  PORT (environment) must be a whole number from 0 to 65535, not \"seventy\"".to_owned(),
        format!("  stop_grace_ms (file {path}) must be a whole number from 0 to 10, not \"-1\""),
        "  QUEUE_TYPE (environment) must be one of Local, Kafka, not \"Rabbit\"".to_owned(),
        "  queue_url (defaults) must be set".to_owned(),
        "  event_brand (defaults) must be nicer".to_owned(),
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    assert_eq!(super::EXIT_USAGE, 64);
}

#[test]
fn a_file_that_is_missing_or_broken_is_a_mistake_beside_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("absent.toml");
    let text = load(&[("EVENTS_PROXY_CONFIG", missing.to_str().unwrap()), ("QUEUE_TYP", "x")]).unwrap_err().to_string();
    assert!(text.contains("absent.toml, which cannot be read") && text.contains("QUEUE_TYPE?"), "{text}");
    let path = file(&directory, "port = 1\nauth_access_token_secret = hunter2hunter2\n");
    let text = load(&[("EVENTS_PROXY_CONFIG", &path)]).unwrap_err().to_string();
    assert!(text.contains("is no TOML") && text.contains("line 2"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn what_others_put_into_the_environment_is_left_alone() {
    let environment = [
        ("EVENTS_PROXY_SERVICE_HOST", "10.0.0.1"),
        ("EVENTS_PROXY_PORT", "tcp://10.0.0.1:4000"),
        ("TARGET_SERVICE_PORT_80_TCP_ADDR", "10.0.0.2"),
        ("PATH", "/bin"),
        ("port", "not ours"),
        ("KAFKA_OPTS", "x"),
    ];
    load(&environment).unwrap().reader().finish().unwrap();
}

#[test]
fn a_secret_is_shown_nowhere() {
    let secret = "hunter2hunter2";
    let settings = load(&[
        ("AUTH_ACCESS_TOKEN_SECRET", secret),
        ("AUTH_ACCESS_TOKEN_SECRETT", secret),
        ("QUEUE_SASL_PASSWORD", secret),
        ("PROXY_SERVICE_TEST_USERS_DATA", r#"["hunter2hunter2"]"#),
        ("SOURCE_SERVICE_TEST_USER_CREDENTIALS", "hunter2hunter2"),
        ("USER_REPOSITORY_URL", "postgres://me:hunter2hunter2@host/db"),
        ("TARGET_SERVICE_GRAPHQL_URL", "https://me:hunter2hunter2@host/graphql"),
    ])
    .unwrap();
    let mut reader = settings.reader();
    assert_eq!(reader.secret("auth_access_token_secret").unwrap().expose_secret(), secret);
    assert_eq!(reader.json::<Vec<u8>>("proxy_service_test_users_data"), None);
    assert_eq!(reader.json::<Vec<u8>>("source_service_test_user_credentials"), None);
    assert_eq!(reader.number::<u8>("user_repository_url", 0..=1), None);
    assert_eq!(reader.number::<u8>("target_service_graphql_url", 0..=1), None);
    for text in [settings.explain(), format!("{settings:?} {reader:?}"), reader.finish().unwrap_err().to_string()] {
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("***") || text.contains("is not the JSON expected: see line 1"), "{text}");
    }
}

#[test]
fn pairs_refuse_any_unknown_key_and_a_reader_refuses_a_key_without_a_default() {
    assert!(told(&Settings::from_pairs([("prot", "1")])).contains("did you mean PORT?"));
    let mut reader = Settings::from_pairs([("port", "1")]).reader();
    assert_eq!(reader.text("colour"), None);
    assert!(reader.finish().unwrap_err().to_string().contains("colour is read, but is no setting"));
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_unicode_is_a_mistake() {
    use std::os::unix::ffi::OsStringExt;
    let broken = OsString::from_vec(vec![0xff]);
    let settings = Settings::from_environment([("PORT".into(), broken.clone()), ("LANG".into(), broken)].into_iter()).unwrap();
    assert_eq!(told(&settings), "1 setting is wrong:\n  PORT (environment) is not Unicode");
}

#[test]
fn the_reference_is_where_the_documents_say() {
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/defaults.toml").exists());
}

#[test]
fn the_command_line_beats_every_layer() {
    let settings = Settings::from_pairs([("data_dir", "from-the-environment")]).overridden("data_dir", "here");
    let mut reader = settings.reader();
    assert_eq!(reader.text("data_dir").as_deref(), Some("here"));
    assert!(reader.finish().is_ok());
    assert!(settings.explain().contains("command line"));
}
