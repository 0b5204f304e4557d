//! What is wrong with the settings, all of it.

use std::fmt;

use super::Origin;

/// The exit code of a process that was told nonsense (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key, as its origin spells it.
    key: String,
    /// Where the value stands, if there is one.
    origin: Option<Origin>,
    /// What is wrong, in words that follow the key; never the value of a secret.
    message: String,
}

impl Mistake {
    /// Notes a mistake; a key of the environment is spelt in upper case, as there.
    pub(super) fn new(key: &str, origin: Option<&Origin>, message: impl Into<String>) -> Self {
        let key = match origin {
            Some(Origin::Environment) => key.to_uppercase(),
            Some(Origin::Defaults | Origin::File(_) | Origin::CommandLine) | None => key.to_owned(),
        };
        Self { key, origin: origin.cloned(), message: message.into() }
    }

    /// The key, as its origin spells it.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{} ({origin}) {}", self.key, self.message),
            None => write!(f, "{} {}", self.key, self.message),
        }
    }
}

/// Every mistake in the settings, one per line; a process that has any exits with [`EXIT_USAGE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Keeps the first of those that say the same.
    pub(super) fn new(found: Vec<Mistake>) -> Self {
        let mut distinct: Vec<Mistake> = Vec::with_capacity(found.len());
        for mistake in found {
            if !distinct.contains(&mistake) {
                distinct.push(mistake);
            }
        }
        Self(distinct)
    }

    /// The mistakes in the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} {} wrong:", if count == 1 { "setting is" } else { "settings are" })?;
        for mistake in &self.0 {
            write!(f, "\n  {mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
