//! Settings: read once at the start, in layers, with every mistake told at once.
//!
//! ```text
//! defaults.toml (compiled in, the reference)  ◀  the file EVENTS_PROXY_CONFIG names  ◀  environment
//! ```
//! Keys are flat and lower case; the environment spells them in upper case. A value is text whatever it was written
//! as; a [`Reader`] gives it its type. What nobody knows is refused, with the nearest name that is known. The value
//! of a secret appears in no message, and neither does that of an unknown key, which may be a misspelt secret.

mod mistakes;
mod names;
mod layer;
mod secret;
mod reader;
pub mod common;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use mistakes::{EXIT_USAGE, Mistake, Mistakes};
pub use reader::Reader;

/// The reference: each setting with its meaning, unit, range and default.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// The environment variable that names the file.
const FILE_VARIABLE: &str = "EVENTS_PROXY_CONFIG";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The compiled-in defaults.
    Defaults,
    /// The settings file at this path.
    File(Arc<PathBuf>),
    /// The environment.
    Environment,
    /// An option of the command line.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => f.write_str("defaults"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment => f.write_str("environment"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// A value as text, with its origin.
#[derive(Clone)]
struct Setting {
    /// The text.
    text: String,
    /// The layer that won.
    origin: Origin,
}

/// All settings, layered, not judged yet.
#[derive(Clone)]
#[must_use = "mistakes are told by the reader of the settings"]
pub struct Settings {
    /// Each key of the defaults with the value that counts.
    values: BTreeMap<String, Setting>,
    /// What was wrong with the layers; every reader starts with it.
    mistakes: Vec<Mistake>,
}

impl Settings {
    /// Layers the defaults, the file and the environment of this process. Unknown keys are told by the reader,
    /// together with wrong values.
    ///
    /// # Errors
    /// [`Mistakes`] when the file that `EVENTS_PROXY_CONFIG` names cannot be read or is no TOML.
    pub fn load() -> Result<Self, Mistakes> {
        Self::from_environment(std::env::vars_os())
    }

    /// Layers the defaults and these pairs, as if they were the environment; keys in either case, any unknown one is
    /// a mistake. For tests.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let defaults = layer::defaults();
        let pairs = pairs.into_iter().map(|(key, value)| (OsString::from(key.into().to_uppercase()), OsString::from(value.into())));
        let mut mistakes = Vec::new();
        let environment = layer::environment(pairs, &defaults, |_| true, &mut mistakes);
        Self { values: layer::merge(defaults, None, environment, &mut mistakes), mistakes }
    }

    /// Puts a value of the command line over all layers; a key that the defaults do not have changes nothing.
    pub fn overridden(mut self, key: &str, value: impl Into<String>) -> Self {
        if let Some(setting) = self.values.get_mut(key) {
            *setting = Setting { text: value.into(), origin: Origin::CommandLine };
        }
        self
    }

    /// A reader that gives the values their types and collects every mistake.
    pub fn reader(&self) -> Reader {
        Reader::new(self.clone())
    }

    /// Reads settings by `read`, which gives `None` when it noted a mistake.
    ///
    /// # Errors
    /// [`Mistakes`] with everything that was wrong.
    ///
    /// # Panics
    /// When `read` gives `None` without a mistake.
    pub fn judge<T>(&self, read: impl FnOnce(&mut Reader) -> Option<T>) -> Result<T, Mistakes> {
        let mut reader = self.reader();
        let settings = read(&mut reader);
        reader.finish()?;
        Ok(settings.expect("invariant: a reader without mistakes has read everything"))
    }

    /// Each setting on a line with its value and origin; secrets as `***`.
    #[must_use]
    pub fn explain(&self) -> String {
        let width = self.values.keys().map(String::len).max().unwrap_or_default();
        let lines = self.values.iter().map(|(key, setting)| {
            let shown = secret::shown(key, &setting.text);
            format!("{key:width$} = {shown:?}  ({})\n", setting.origin)
        });
        lines.collect()
    }

    /// [`Self::load`] with the environment passed in.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_environment(environment: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, Mistakes> {
        let variables: Vec<(OsString, OsString)> = environment.collect();
        let path = variables.iter().find(|(key, value)| key == FILE_VARIABLE && !value.is_empty()).map(|(_, value)| PathBuf::from(value));
        let defaults = layer::defaults();
        let mut mistakes = Vec::new();
        let environment = layer::environment(variables, &defaults, names::is_ours, &mut mistakes);
        let file = path.map(|path| layer::file(path, &defaults, &mut mistakes)).transpose().map_err(Mistakes::new)?;
        Ok(Self { values: layer::merge(defaults, file, environment, &mut mistakes), mistakes })
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.values.iter().map(|(key, setting)| (key, secret::shown(key, &setting.text)));
        f.debug_map().entries(shown).finish()
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
