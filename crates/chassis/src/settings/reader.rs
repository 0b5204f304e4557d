//! Gives settings their types, and collects what is wrong instead of stopping at the first.
//!
//! Each call gives `None` when it noted a mistake, so that a caller reads everything first and puts its own type
//! together with `?` afterwards.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use secrecy::SecretString;
use serde::de::DeserializeOwned;

use super::{Mistake, Mistakes, Setting, Settings, secret};

/// How much of a wrong value is shown, in characters.
const SHOWN_CHARS: usize = 60;

/// Reads settings and remembers every mistake; [`Self::finish`] tells them.
#[derive(Debug)]
#[must_use = "finish() tells the mistakes"]
pub struct Reader {
    /// What is read.
    settings: Settings,
    /// What was wrong so far.
    mistakes: Vec<Mistake>,
}

impl Reader {
    /// Starts with what was wrong with the layers.
    pub(super) fn new(settings: Settings) -> Self {
        let mistakes = settings.mistakes.clone();
        Self { settings, mistakes }
    }

    /// A text that must be set.
    pub fn text(&mut self, key: &str) -> Option<String> {
        let text = self.setting(key)?.text;
        if text.is_empty() {
            self.mistake(key, "must be set");
            return None;
        }
        Some(text)
    }

    /// A text that may be absent: "" is `None`, and no mistake.
    pub fn optional_text(&mut self, key: &str) -> Option<String> {
        self.setting(key).map(|setting| setting.text).filter(|text| !text.is_empty())
    }

    /// A secret that may be absent: "" is `None`, and no mistake.
    pub fn secret(&mut self, key: &str) -> Option<SecretString> {
        self.optional_text(key).map(SecretString::from)
    }

    /// A whole number within `range`.
    pub fn number<T: TryFrom<u64>>(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<T> {
        let text = self.setting(key)?.text;
        let number = text.trim().parse().ok().filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            self.wrong(key, &text, format_args!("a whole number from {} to {}", range.start(), range.end()));
        }
        number
    }

    /// A whole number that may be absent: "" is `Some(None)`.
    pub fn optional_number<T: TryFrom<u64>>(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<Option<T>> {
        if self.setting(key)?.text.is_empty() {
            return Some(None);
        }
        self.number(key, range).map(Some)
    }

    /// A share: a number from 0 to 1.
    pub fn share(&mut self, key: &str) -> Option<f64> {
        let text = self.setting(key)?.text;
        let share = text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
        if share.is_none() {
            self.wrong(key, &text, "a number from 0 to 1");
        }
        share
    }

    /// A duration in milliseconds within `range`.
    pub fn millis(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<Duration> {
        self.number(key, range).map(Duration::from_millis)
    }

    /// A duration in seconds within `range`.
    pub fn seconds(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<Duration> {
        self.number(key, range).map(Duration::from_secs)
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &str) -> Option<bool> {
        self.one_of(key, &[("true", true), ("false", false)])
    }

    /// One of the named values; the case of letters does not matter.
    pub fn one_of<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.setting(key)?.text;
        let chosen = choices.iter().find(|(name, _)| text.trim().eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        if chosen.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.wrong(key, &text, format_args!("one of {}", names.join(", ")));
        }
        chosen
    }

    /// A JSON document that may be absent: "" is `Some(None)`.
    pub fn json<T: DeserializeOwned>(&mut self, key: &str) -> Option<Option<T>> {
        let text = self.setting(key)?.text;
        if text.trim().is_empty() {
            return Some(None);
        }
        match serde_json::from_str(&text) {
            Ok(document) => Some(Some(document)),
            Err(error) => {
                self.mistake(key, format!("is not the JSON expected: {}", cause(key, &error)));
                None
            }
        }
    }

    /// Notes a mistake that only the caller can see. The message follows the key, as in "must be shorter than …",
    /// and must not hold the value of a secret.
    pub fn mistake(&mut self, key: &str, message: impl Into<String>) {
        let origin = self.settings.values.get(key).map(|setting| &setting.origin);
        self.mistakes.push(Mistake::new(key, origin, message));
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Mistakes`] with everything that was wrong, unknown keys included.
    pub fn finish(self) -> Result<(), Mistakes> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(Mistakes::new(self.mistakes)) }
    }

    /// Looks a setting up; one that the reference does not have is a mistake of ours, told like any other.
    fn setting(&mut self, key: &str) -> Option<Setting> {
        let setting = self.settings.values.get(key).cloned();
        if setting.is_none() {
            self.mistake(key, "is read, but is no setting of defaults.toml");
        }
        setting
    }

    /// Notes that a value is not what it must be; a secret one is left out.
    fn wrong(&mut self, key: &str, value: &str, expected: impl Display) {
        let message = if secret::is_secret(key) {
            format!("must be {expected}")
        } else {
            let shown: String = secret::shown(key, value).chars().take(SHOWN_CHARS).collect();
            format!("must be {expected}, not {shown:?}")
        };
        self.mistake(key, message);
    }
}

/// Why a document is not the expected one. Of a secret only the place is told, and the name of a field that is
/// missing: the parser's other messages quote what they met.
fn cause(key: &str, error: &serde_json::Error) -> String {
    let message = error.to_string();
    if !secret::is_secret(key) || message.starts_with("missing field") {
        return message;
    }
    format!("see line {}, column {}", error.line(), error.column())
}
