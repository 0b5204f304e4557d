//! The three layers of settings, and how the later one wins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::{DEFAULTS, Mistake, Origin, Setting, names};

/// The values of one origin.
pub(super) struct Layer {
    /// The origin.
    origin: Origin,
    /// The values by key.
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// The compiled-in defaults.
pub(super) fn defaults() -> Layer {
    let values = Toml::from_str(DEFAULTS).expect("invariant: defaults.toml is TOML, a test parses it");
    Layer { origin: Origin::Defaults, values }
}

/// The settings file. What is not in the defaults is a mistake and left out; so is what is no text, number or flag.
pub(super) fn file(path: PathBuf, defaults: &Layer, mistakes: &mut Vec<Mistake>) -> Result<Layer, Vec<Mistake>> {
    let unusable = |message: String| Mistake::new(super::FILE_VARIABLE, Some(&Origin::Environment), message);
    let read = std::fs::read_to_string(&path)
        .map_err(|error| unusable(format!("names {}, which cannot be read: {error}", path.display())))
        .and_then(|text| {
            // The parser's own display quotes the line, which may hold a secret: its message and place do not.
            Toml::from_str::<Dict>(&text).map_err(|error| {
                let line = error.span().and_then(|span| text.get(..span.start)).map_or(1, |before| before.lines().count().max(1));
                unusable(format!("names {}, which is no TOML: {} near line {line}", path.display(), error.message()))
            })
        });
    let mut values = match read {
        Ok(values) => values,
        Err(mistake) => return Err(std::mem::take(mistakes).into_iter().chain([mistake]).collect()),
    };
    let origin = Origin::File(Arc::new(path));
    values.retain(|key, value| {
        let known = defaults.values.contains_key(key);
        if !known {
            mistakes.push(unknown(key, &origin, defaults));
        } else if text(value).is_none() {
            mistakes.push(Mistake::new(key, Some(&origin), "must be a text, a number or a flag"));
        }
        known && text(value).is_some()
    });
    Ok(Layer { origin, values })
}

/// The variables of the environment that are settings. Unknown ones that `is_ours` claims are mistakes; empty ones
/// count as not set.
pub(super) fn environment(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    defaults: &Layer,
    is_ours: impl Fn(&str) -> bool,
    mistakes: &mut Vec<Mistake>,
) -> Layer {
    let origin = Origin::Environment;
    let mut values = Dict::new();
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        // Only the upper-case spelling is the setting's: `port` in an environment is somebody else's.
        let key = name.to_lowercase();
        let known = name == key.to_uppercase() && defaults.values.contains_key(&key);
        match value.into_string() {
            Ok(value) if known && !value.is_empty() => drop(values.insert(key, Value::from(value))),
            Err(_) if known => mistakes.push(Mistake::new(name, Some(&origin), "is not Unicode")),
            Ok(_) | Err(_) => {}
        }
        if !known && is_ours(name) {
            mistakes.push(unknown(name, &origin, defaults));
        }
    }
    Layer { origin, values }
}

/// Lays the layers over each other; the later one wins.
pub(super) fn merge(defaults: Layer, file: Option<Layer>, environment: Layer, mistakes: &mut Vec<Mistake>) -> BTreeMap<String, Setting> {
    let origins: Vec<Origin> =
        [Some(&defaults), file.as_ref(), Some(&environment)].into_iter().flatten().map(|layer| layer.origin.clone()).collect();
    let keys: Vec<String> = defaults.values.keys().cloned().collect();
    let mut figment = Figment::from(defaults);
    if let Some(file) = file {
        figment = figment.merge(file);
    }
    let figment = figment.merge(environment);
    let mut settings = BTreeMap::new();
    for key in keys {
        let found = figment.find_value(&key).ok().and_then(|value| {
            let name = &figment.get_metadata(value.tag())?.name;
            let origin = origins.iter().find(|origin| *name == origin.to_string())?.clone();
            Some(Setting { text: text(&value)?, origin })
        });
        match found {
            Some(setting) => drop(settings.insert(key, setting)),
            None => mistakes.push(Mistake::new(&key, None, "has no value")),
        }
    }
    settings
}

/// A mistake that says that nobody knows the key, and which one was meant. It leaves out the value.
fn unknown(key: &str, origin: &Origin, defaults: &Layer) -> Mistake {
    let message = match names::nearest(key, defaults.values.keys().map(String::as_str)) {
        Some(near) if *origin == Origin::Environment => format!("is no setting; did you mean {}?", near.to_uppercase()),
        Some(near) => format!("is no setting; did you mean {near}?"),
        None => "is no setting".to_owned(),
    };
    Mistake::new(key, Some(origin), message)
}

/// A scalar as text; `None` for anything else.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Char(_, char) => Some(char.to_string()),
        Value::Bool(_, flag) => Some(flag.to_string()),
        Value::Num(_, number) => {
            let whole = number.to_i128().map(|whole| whole.to_string());
            whole.or_else(|| number.to_u128().map(|whole| whole.to_string())).or_else(|| number.to_f64().map(|real| real.to_string()))
        }
        Value::Empty(..) | Value::Dict(..) | Value::Array(..) => None,
    }
}
