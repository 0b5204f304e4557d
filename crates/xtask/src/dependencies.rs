//! Each crate of others has its row in `docs/dependencies.md`, and each row its crate.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;

use crate::Findings;

/// The table.
const TABLE: &str = "docs/dependencies.md";

/// Compares the workspace's manifest with the table.
pub(crate) fn check(root: &Path) -> anyhow::Result<Findings> {
    let read = |name: &str| std::fs::read_to_string(root.join(name)).with_context(|| format!("read {name}"));
    let (manifest, table) = (read("Cargo.toml")?, read(TABLE)?);
    let (used, told) = (used(&manifest), told(&table));
    let missing = used.difference(&told).map(|name| format!("{TABLE}: {name} has no row: say why it is here"));
    let gone = told.difference(&used).map(|name| format!("{TABLE}: {name} has a row, and nobody uses it"));
    Ok(missing.chain(gone).collect())
}

/// The names under `[workspace.dependencies]`, our own crates aside.
fn used(manifest: &str) -> BTreeSet<&str> {
    let section = manifest.split_once("[workspace.dependencies]\n").map_or("", |(_, rest)| rest);
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.contains("path =")).filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect()
}

/// The names that begin the table's rows.
fn told(table: &str) -> BTreeSet<&str> {
    table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::{told, used};

    #[test]
    fn crates_and_rows_are_found() {
        let manifest = "[workspace.dependencies]\nauth = { path = \"crates/auth\" }\nserde = \"1\"\n\ntokio = { version = \"1\" }\n[profile.dev]\nx = 1";
        assert_eq!(used(manifest).into_iter().collect::<Vec<_>>(), ["serde", "tokio"]);
        assert_eq!(told("| crate | why |\n|---|---|\n| `serde` | x |\ntext `tokio`").into_iter().collect::<Vec<_>>(), ["serde"]);
    }
}
