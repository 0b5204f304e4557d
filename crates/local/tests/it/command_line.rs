//! What `events-proxy` says before it runs.

use std::collections::HashSet;
use std::process::Command;

/// Runs it with these settings and arguments; tells its exit code and all that it wrote.
fn run(settings: &[(&str, &str)], args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_events-proxy")).args(args).env_clear().envs(settings.iter().copied()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn help_names_every_option_and_fits_a_terminal() {
    let (code, text) = run(&[], &["--help"]);
    assert_eq!(code, Some(0));
    for option in ["--data-dir <DIR>", "--no-source", "--no-target", "--help", "--version"] {
        assert!(text.contains(option), "`{option}` is missing in\n{text}");
    }
}

#[test]
fn help_of_a_simulator_names_every_setting_that_it_reads() {
    for (name, least) in [("source", 7), ("target", 9)] {
        let (code, help) = run(&[], &[name, "--help"]);
        assert_eq!(code, Some(0), "{help}");
        let path = format!("{}/../simulators/src/{name}/settings.rs", env!("CARGO_MANIFEST_DIR"));
        let code = std::fs::read_to_string(path).unwrap();
        let (code, _) = code.split_once("#[cfg(test)]").unwrap();
        let is_key = |text: &&str| text.len() > 3 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        let keys: HashSet<&str> = code.split('"').filter(is_key).collect();
        assert!(keys.len() >= least, "only {keys:?} were found");
        for key in keys.into_iter().chain(["LOG_FILTER", "OTEL_EXPORTER_OTLP_ENDPOINT"]) {
            assert!(help.contains(key), "`{key}` is missing in\n{help}");
        }
    }
}

#[test]
fn all_wrong_settings_are_told_together_and_nothing_starts() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let settings = [
        ("PORT", "seventy"),
        ("TARGET_SERVICE_RATE_LIMIT_REQUESTS_PER_INTERVAL", "0"),
        ("QUEUE_TYPE", "Rabbit"),
        ("DELIVERY_ATTEMPT_MAX", "3"),
    ];
    let (code, text) = run(&settings, &["--data-dir", data.to_str().unwrap()]);
    assert_eq!(code, Some(64), "{text}");
    for (key, _) in settings {
        assert!(text.to_lowercase().contains(&key.to_lowercase()), "{key} is missing in\n{text}");
    }
    assert!(!data.exists(), "something was written in spite of wrong settings");
}

#[test]
fn production_refuses_simulators_and_says_how_to_run_without() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    // One mistake more, so that nothing starts where the simulators are none.
    let settings =
        [("ENVIRONMENT_PROFILE", "production"), ("AUTH_ACCESS_TOKEN_SECRET", "b1946ac92492d2347c6235b4d2611184"), ("PORT", "seventy")];
    let (source, target) = ("--no-source", "--no-target");
    for (given, wanted) in [(vec![], vec![source, target]), (vec![source], vec![target]), (vec![target], vec![source])] {
        let args = [vec!["--data-dir", data.to_str().unwrap()], given].concat();
        let (code, text) = run(&settings, &args);
        let told = format!("ENVIRONMENT_PROFILE (environment) must not be production with simulators: it wants {}", wanted.join(" and "));
        assert_eq!(code, Some(64), "{text}");
        assert!(text.lines().any(|line| line.trim() == told), "`{told}` is missing in\n{text}");
    }
    let (_, text) = run(&settings, &["--data-dir", data.to_str().unwrap(), source, target]);
    assert!(text.contains("PORT") && !text.contains("ENVIRONMENT_PROFILE"), "{text}");
    assert!(!data.exists(), "something was written in spite of wrong settings");
}

#[test]
fn an_unknown_option_is_a_usage_error() {
    let (code, text) = run(&[], &["--no-sauce"]);
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("--no-source"), "{text}");
}
