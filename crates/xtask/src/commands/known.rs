//! What commands in documents may name: targets of make, programs of the workspace, settings, values of the chart, paths of HTTP.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::{shown, sources};

/// The chart's schema, which refuses every value that it does not know.
const SCHEMA: &str = "charts/events-proxy/values.schema.json";
/// Where HTTP paths are written down: as routes, or in an OpenAPI document.
const SERVERS: [&str; 3] = ["crates/ingest/src/", "crates/dispatcher/src/", "crates/chassis/src/admin"];
/// How the paths begin that somebody may ask for.
const ROOTS: [&str; 6] = ["/api/", "/api-docs", "/operator/", "/console", "/health/", "/metrics"];

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The workspace's directory.
    pub(super) root: PathBuf,
    /// The Makefile.
    makefile: String,
    /// Packages.
    packages: BTreeSet<String>,
    /// Binaries.
    binaries: BTreeSet<String>,
    /// Examples.
    examples: BTreeSet<String>,
    /// Settings, in upper case.
    settings: BTreeSet<String>,
    /// The chart's schema.
    chart: Value,
    /// Paths of HTTP, with `{…}` where a part is free.
    paths: BTreeSet<String>,
}

impl Known {
    /// Reads it from the work tree.
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let text = |name: &str| std::fs::read_to_string(root.join(name)).with_context(|| format!("read {name}"));
        let mut known = Self { root: root.to_path_buf(), makefile: text("Makefile")?, ..Self::default() };
        known.chart = serde_json::from_str(&text(SCHEMA)?).with_context(|| format!("read {SCHEMA}"))?;
        let defaults = text("crates/chassis/src/defaults.toml")?;
        known.settings = defaults
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(" ="))
            .map(|(key, _)| key.to_uppercase())
            .collect();
        // The second is what the clients of docs/api.md read, beside `API_URL`.
        known.settings.extend(["EVENTS_PROXY_CONFIG", "AUTH_ID"].map(str::to_owned));
        for entry in std::fs::read_dir(root.join("crates")).context("read crates")? {
            known.package(&entry?.path());
        }
        for (path, text) in sources(root)? {
            if SERVERS.iter().any(|server| shown(root, &path).starts_with(server)) {
                known.paths.extend(text.split('"').filter(|text| ROOTS.iter().any(|root| text.starts_with(root))).map(str::to_owned));
            }
        }
        Ok(known)
    }

    /// Adds a package with its programs.
    fn package(&mut self, directory: &Path) {
        let manifest = std::fs::read_to_string(directory.join("Cargo.toml")).unwrap_or_default();
        let names = manifest.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        // Behind the package's own name are those of its targets.
        for name in names {
            self.packages.insert(name.to_owned());
            self.binaries.insert(name.to_owned());
        }
        self.binaries.extend(stems(&directory.join("src/bin")));
        self.examples.extend(stems(&directory.join("examples")));
    }

    /// Says whether make has a target.
    pub(super) fn target(&self, name: &str) -> bool {
        self.makefile.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':') && !rest.starts_with(":=")))
    }

    /// Says whether the Makefile reads a variable.
    pub(super) fn variable(&self, name: &str) -> bool {
        ["$(", "$(or $(", "$(if $("].iter().any(|opening| self.makefile.contains(&format!("{opening}{name})")))
    }

    /// Says whether the workspace has what an option of cargo names.
    pub(super) fn has(&self, option: &str, name: &str) -> bool {
        match option {
            "-p" | "--package" => self.packages.contains(name),
            "--bin" => self.binaries.contains(name),
            "--example" => self.examples.contains(name),
            _ => true,
        }
    }

    /// Says whether there is such a setting.
    pub(super) fn setting(&self, name: &str) -> bool {
        self.settings.contains(name)
    }

    /// Says whether somebody may ask for this path.
    pub(super) fn path(&self, path: &str) -> bool {
        let parts = |path: &str| path.trim_end_matches('/').split('/').map(str::to_owned).collect::<Vec<_>>();
        let asked = parts(path);
        self.paths.iter().map(|known| parts(known)).any(|known| {
            known.len() == asked.len()
                && known.iter().zip(&asked).all(|(known, asked)| known == asked || known.starts_with('{') || asked == "…")
        })
    }

    /// Says whether the chart has such a value, as `ingest.replicas`.
    pub(super) fn value(&self, key: &str) -> bool {
        let mut at = Some(&self.chart);
        for part in key.split('.') {
            at = at.map(|schema| self.resolved(schema)).and_then(|schema| {
                let name = part.split('[').next().unwrap_or(part);
                let free = schema.get("additionalProperties") != Some(&Value::Bool(false));
                schema.pointer(&format!("/properties/{name}")).or_else(|| free.then_some(&Value::Null))
            });
        }
        at.is_some()
    }

    /// The schema that a reference leads to.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let reference = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
        reference.and_then(|pointer| self.chart.pointer(pointer)).unwrap_or(schema)
    }
}

/// The names of the programs in a directory.
fn stems(directory: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.path().file_stem().map(|stem| stem.to_string_lossy().into_owned()))
}
