//! Settings in any state: they are read, or every mistake is told, and no secret is in what is told.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::fmt::Debug;
use std::fs;
use std::path::PathBuf;

use chassis::settings::{DEFAULTS, Mistakes, Settings, common};
use chassis::telemetry::LogOutput;
use tempfile::TempDir;

use crate::shelf::scratch;

/// What an input writes where a secret shall be told from everything else.
const MARK: &str = "§";
/// What stands there when it is read: no message holds it by chance.
const SECRET: &str = "CANARY-7f3a9c";
/// The settings that are secret, listed once more.
const SECRETS: [&str; 8] = [
    "auth_access_token_secret",
    "auth_access_token_second_secret",
    "queue_sasl_password",
    "proxy_service_test_users_data",
    "source_service_test_user_credentials",
    "user_repository_url",
    "operator_accounts",
    "target_service_authorization",
];

/// Lines `NAME=value` of the environment, and, behind a line `---`, a settings file.
///
/// # Panics
/// When a law is broken.
pub fn settings(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (environment, file) = text.split_once("---\n").map_or((text, None), |(environment, file)| (environment, Some(file)));
    let mut variables: Vec<(OsString, OsString)> = environment.lines().filter_map(variable).collect();
    let path = file.map(write);
    variables.retain(|(name, _)| name != "EVENTS_PROXY_CONFIG");
    variables.extend(path.map(|path| ("EVENTS_PROXY_CONFIG".into(), path.into())));
    match Settings::from_environment(variables.into_iter()) {
        Ok(settings) => read(&settings),
        Err(mistakes) => tells(&mistakes),
    }
}

/// A variable, with the secret put in where only a secret can be.
fn variable(line: &str) -> Option<(OsString, OsString)> {
    let (name, value) = line.split_once('=').filter(|(name, _)| !name.is_empty())?;
    Some((name.into(), hidden(&name.to_lowercase(), value).into()))
}

/// A value with the secret put in, where the setting is secret, or none at all and may be a misspelt one.
fn hidden(key: &str, value: &str) -> String {
    let known = DEFAULTS.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(" =")));
    if SECRETS.contains(&key) || !known { value.replace(MARK, SECRET) } else { value.to_owned() }
}

/// Writes a settings file. A text of several lines hides which key a line belongs to, so nothing is put into such a file.
fn write(text: &str) -> PathBuf {
    thread_local! { static DIR: OnceCell<TempDir> = const { OnceCell::new() } }
    let plain = !text.contains("\"\"\"") && !text.contains("'''");
    let lines = text.lines().map(|line| match line.split_once('=').filter(|_| plain) {
        Some((key, value)) => format!("{key}={}\n", hidden(key.trim(), value)),
        None => format!("{line}\n"),
    });
    let path = DIR.with(|dir| dir.get_or_init(scratch).path().join("settings.toml"));
    fs::write(&path, lines.collect::<String>()).expect("write the settings file");
    path
}

/// Everybody who reads settings gets them, or a list of mistakes.
fn read(settings: &Settings) {
    keeps(&settings.explain());
    keeps(&format!("{settings:?}"));
    judged(settings.judge(ingest::settings::Settings::read));
    judged(settings.judge(dispatcher::settings::Settings::read));
    judged(settings.judge(common::shared_topic));
    judged(settings.judge(|reader| common::telemetry(reader, "fuzz", LogOutput::None)));
    judged(settings.judge(common::stop_grace));
    if let Err(mistakes) = settings.judge(|reader| common::shared_storage(reader, storage::is_guarded)) {
        tells(&mistakes);
    }
}

/// What was read shows no secret, and neither does what is wrong.
fn judged<T: Debug>(settings: Result<T, Mistakes>) {
    match settings {
        Ok(settings) => keeps(&format!("{settings:?}")),
        Err(mistakes) => tells(&mistakes),
    }
}

/// A list of mistakes names something, and no secret.
fn tells(mistakes: &Mistakes) {
    assert!(mistakes.iter().next().is_some(), "nothing is wrong, and yet nothing is read");
    keeps(&mistakes.to_string());
}

/// A text without the secret.
fn keeps(text: &str) {
    assert!(!text.contains(SECRET), "a secret is told: {text}");
}
