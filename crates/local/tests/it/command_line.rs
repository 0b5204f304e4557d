//! What `events-proxy` says before it runs.

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
fn an_unknown_option_is_a_usage_error() {
    let (code, text) = run(&[], &["--no-sauce"]);
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("--no-source"), "{text}");
}
