//! Who may depend on whom, and where adapters may be named.
//!
//! `core ← {broker, storage, auth, chassis} ← {ingest, dispatcher} ← local`; simulators know none of them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::{Findings, shown, sources};

/// Each package and the packages of this workspace that it may depend on, development dependencies aside.
const ALLOWED: [(&str, &[&str]); 12] = [
    ("events-proxy-core", &[]),
    ("broker", &["events-proxy-core"]),
    ("storage", &["events-proxy-core"]),
    ("auth", &["events-proxy-core"]),
    ("chassis", &["events-proxy-core"]),
    ("ingest", &["events-proxy-core", "broker", "storage", "auth", "chassis"]),
    ("dispatcher", &["events-proxy-core", "broker", "storage", "auth", "chassis"]),
    ("simulators", &[]),
    ("local", &["events-proxy-core", "broker", "storage", "auth", "chassis", "ingest", "dispatcher", "simulators"]),
    ("chaos", &["simulators"]),
    ("fuzz", &["events-proxy-core", "broker", "storage", "chassis", "ingest", "dispatcher"]),
    ("xtask", &["events-proxy-core"]),
];

/// Names of adapters that only the place where a process is put together may spell.
const ADAPTERS: [&str; 3] = ["broker::kafka", "broker::memory", "broker::local"];

/// Checks the dependencies that cargo sees, and the adapters' names in the sources.
pub(crate) fn check(root: &Path) -> anyhow::Result<Findings> {
    let mut findings = dependencies(root)?;
    for (path, text) in sources(root)? {
        let name = shown(root, &path);
        let on_the_path = name.starts_with("crates/ingest/src/") || name.starts_with("crates/dispatcher/src/");
        let assembles = name.ends_with("/main.rs") || name.ends_with("/stack.rs") || name.ends_with("_tests.rs");
        if !on_the_path || assembles {
            continue;
        }
        for adapter in ADAPTERS.iter().filter(|adapter| text.contains(*adapter)) {
            findings.push(format!("{name}: names the adapter {adapter}; only main.rs and stack.rs may"));
        }
    }
    Ok(findings)
}

/// Compares each package's dependencies inside the workspace with the allowed ones.
fn dependencies(root: &Path) -> anyhow::Result<Findings> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root)
        .output()
        .context("run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    let mut findings = Findings::new();
    for package in array(&metadata, "packages") {
        let name = text(package, "name");
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            findings.push(format!("{name}: a new crate needs its place among the arrows"));
            continue;
        };
        for dependency in array(package, "dependencies") {
            let ours = dependency.get("path").is_some_and(Value::is_string);
            let normal = dependency.get("kind").is_none_or(Value::is_null);
            let target = text(dependency, "name");
            if ours && normal && !allowed.contains(&target) {
                findings.push(format!("{name}: must not depend on {target}"));
            }
        }
    }
    Ok(findings)
}

/// An array's members; none when it is absent.
fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A text; empty when it is absent.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
