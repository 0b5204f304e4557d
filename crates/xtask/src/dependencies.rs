//! Each crate of others has its row in `docs/dependencies.md`, and each row its crate and where that is used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;

use crate::Findings;

/// The table.
const TABLE: &str = "docs/dependencies.md";
/// Our crates, in the order in which the table names them.
const OURS: [&str; 12] =
    ["core", "broker", "storage", "auth", "chassis", "ingest", "dispatcher", "simulators", "local", "chaos", "fuzz", "xtask"];
/// The sections of a manifest that name crates, and how the table calls them. What is in one is left out of those after it.
const KINDS: [(&str, &str); 3] = [("dependencies]", ""), ("dev-dependencies]", "tests: "), ("build-dependencies]", "build: ")];

/// Compares the manifests with the table.
pub(crate) fn check(root: &Path) -> anyhow::Result<Findings> {
    let read = |name: &str| std::fs::read_to_string(root.join(name)).with_context(|| format!("read {name}"));
    let (manifest, table) = (read("Cargo.toml")?, read(TABLE)?);
    let mut manifests = Vec::new();
    for ours in OURS {
        manifests.push((ours, read(&format!("crates/{ours}/Cargo.toml"))?));
    }
    let (used, told) = (used(&manifest), told(&table));
    let names: BTreeSet<&str> = told.keys().copied().collect();
    let missing = used.difference(&names).map(|name| format!("{TABLE}: {name} has no row: say why it is here"));
    let gone = names.difference(&used).map(|name| format!("{TABLE}: {name} has a row, and nobody uses it"));
    let elsewhere = told.iter().filter(|(name, _)| used.contains(*name)).filter_map(|(name, told)| {
        let place = place(name, &manifests);
        (place != *told).then(|| format!("{TABLE}: {name} is used in `{place}`, not in `{told}`"))
    });
    Ok(missing.chain(gone).chain(elsewhere).collect())
}

/// The names under `[workspace.dependencies]`, our own crates aside.
fn used(manifest: &str) -> BTreeSet<&str> {
    let section = manifest.split_once("[workspace.dependencies]\n").map_or("", |(_, rest)| rest);
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.contains("path =")).filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect()
}

/// The names that begin the table's rows, with where they say they are used.
fn told(table: &str) -> BTreeMap<&str, &str> {
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, rest)| (name, rest.split(" | ").nth(2).unwrap_or_default())).collect()
}

/// Where a crate is used, as the table says it.
fn place(name: &str, manifests: &[(&str, String)]) -> String {
    let (mut parts, mut before) = (Vec::new(), BTreeSet::new());
    for (section, kind) in KINDS {
        let users = manifests.iter().filter(|(_, manifest)| names(manifest, section).any(|used| used == name));
        let users: Vec<&str> = users.map(|(ours, _)| *ours).filter(|ours| before.insert(*ours)).collect();
        if !users.is_empty() {
            parts.push(kind.to_owned() + &users.join(", "));
        }
    }
    parts.join("; ")
}

/// The names in all sections of that kind: those of one target alone have its name before.
fn names<'a>(manifest: &'a str, section: &str) -> impl Iterator<Item = &'a str> {
    let mut inside = false;
    let inside = move |line: &&str| {
        if let Some(heading) = line.strip_prefix('[') {
            inside = heading == section || heading.ends_with(&format!(".{section}"));
        }
        inside
    };
    manifest.lines().filter(inside).filter_map(|line| line.split_once(['.', ' ']).map(|(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::{place, told, used};

    #[test]
    fn crates_and_rows_are_found() {
        let manifest = "[workspace.dependencies]\nauth = { path = \"crates/auth\" }\nserde = \"1\"\n\ntokio = { version = \"1\" }\n[profile.dev]\nx = 1";
        assert_eq!(used(manifest).into_iter().collect::<Vec<_>>(), ["serde", "tokio"]);
        let table = "| crate | why | where | licence |\n|---|---|---|---|\n| `serde` (tests only) | x | tests: auth | MIT |\ntext `tokio`";
        assert_eq!(told(table).into_iter().collect::<Vec<_>>(), [("serde", "tests: auth")]);
    }

    #[test]
    fn where_a_crate_is_used_is_told_in_order_and_once() {
        let core = "[package]\nserde = 1\n[dependencies]\nserde.workspace = true\n[dev-dependencies]\nserde.workspace = true\ntokio.workspace = true";
        let auth = "[target.'cfg(unix)'.dependencies]\ntokio = { workspace = true }\n[build-dependencies]\nserde.workspace = true";
        let manifests = [("core", core.to_owned()), ("auth", auth.to_owned())];
        assert_eq!(place("serde", &manifests), "core; build: auth");
        assert_eq!(place("tokio", &manifests), "auth; tests: core");
        assert_eq!(place("rand", &manifests), "");
    }
}
