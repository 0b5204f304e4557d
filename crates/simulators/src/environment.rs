//! Settings from the environment, with every mistake reported at once.
//!
//! Keys that belong to nobody here are left alone: the same environment configures the proxy too.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The environment, and what was found wrong in it so far.
#[derive(Default)]
pub(crate) struct Environment {
    /// What is set; an empty value counts as unset.
    pairs: HashMap<String, String>,
    /// One sentence per mistake.
    mistakes: Vec<String>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("pairs", &self.pairs.len()).field("mistakes", &self.mistakes).finish()
    }
}

impl Environment {
    /// Reads the environment of this process; what is not Unicode counts as unset.
    #[must_use]
    pub(crate) fn of_process() -> Self {
        Self::from_pairs(std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?))))
    }

    /// Makes an environment from pairs of key and value.
    pub(crate) fn from_pairs(pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value.into()));
        Self { pairs: pairs.filter(|(_, value)| !value.is_empty()).collect(), mistakes: Vec::new() }
    }

    /// A text; none when it is unset.
    #[must_use]
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.pairs.get(key).cloned()
    }

    /// A path; none when it is unset.
    #[must_use]
    pub(crate) fn path(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// A value within `allowed`; none when it is unset or wrong.
    pub(crate) fn value<T: FromStr + PartialOrd + fmt::Display>(&mut self, key: &str, allowed: RangeInclusive<T>) -> Option<T> {
        let text = self.pairs.get(key)?;
        match text.parse() {
            Ok(value) if allowed.contains(&value) => Some(value),
            Ok(_) | Err(_) => {
                self.mistake(key, &format!("must be a number from {} to {}", allowed.start(), allowed.end()));
                None
            }
        }
    }

    /// A span in milliseconds, up to a day; none when it is unset or wrong.
    pub(crate) fn millis(&mut self, key: &str) -> Option<Duration> {
        self.value(key, 0..=86_400_000).map(Duration::from_millis)
    }

    /// Notes a mistake. The message must not repeat the value, which may be a secret.
    pub(crate) fn mistake(&mut self, key: &str, message: &str) {
        self.mistakes.push(format!("{key}: {message}"));
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// With every mistake, if there was any.
    pub(crate) fn finish(self) -> Result<(), Mistakes> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(Mistakes(self.mistakes)) }
    }
}

/// Everything that is wrong with the settings, one line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct Mistakes(Vec<String>);

#[cfg(test)]
mod tests {
    use super::Environment;

    #[test]
    fn every_mistake_is_reported_and_none_shows_a_value() {
        let mut environment = Environment::from_pairs([("PORT", "hunter2"), ("SHARE", "7"), ("EMPTY", "")]);
        assert_eq!(environment.value("PORT", 0..=65_535_u16), None);
        assert_eq!(environment.value("SHARE", 0.0..=1.0), None);
        assert_eq!(environment.value("EMPTY", 0..=1_u8), None);
        let mistakes = environment.finish().unwrap_err().to_string();
        assert_eq!(mistakes, "PORT: must be a number from 0 to 65535\nSHARE: must be a number from 0 to 1");
    }
}
