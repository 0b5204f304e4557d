//! The code in figures: how long files and functions are, how deep, how well told. `cargo xtask figures` prints them, `cargo xtask reference` writes the page.
//!
//! The page's figures are round, and `cargo xtask check` lets each be one step off, so that not every change has to touch it.

mod bare;
mod depth;
mod measure;
mod tally;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use self::tally::{Row, Tally};
use crate::{Findings, shown, sources};

/// Where the page is.
const PAGE: &str = "docs/reference/code.md";
/// What it begins with.
const HEAD: &str = "\
# The code in figures

Written by `cargo xtask reference`; `cargo xtask figures` prints them unrounded. Counted is `crates/*/src` without tests: the product, and the programs that
check, load and break it. A line of code is neither blank nor a comment. *Held to* is what the last figure of a row may be before the build fails.

| figure | here, about | held to | by |
|---|---|---|---|
";

/// Prints the figures as they are, and how commits are told.
pub(crate) fn print(root: &Path) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for row in tally(root)?.rows() {
        writeln!(out, "{}: {}", row.name, row.exact())?;
    }
    writeln!(out, "commits whose message says more than its subject, in percent: {}", commits(root)?)?;
    Ok(())
}

/// Writes the page.
pub(crate) fn write(root: &Path) -> anyhow::Result<()> {
    let rows: String = tally(root)?.rows().iter().map(Row::line).collect();
    std::fs::write(root.join(PAGE), format!("{HEAD}{rows}")).with_context(|| format!("write {PAGE}"))
}

/// Says which figure of the page is further off than a step, or beyond its bound.
pub(crate) fn check(root: &Path) -> anyhow::Result<Findings> {
    let page = std::fs::read_to_string(root.join(PAGE)).unwrap_or_default();
    let mut findings = Findings::new();
    for row in tally(root)?.rows() {
        if !row.stands_in(&page) {
            findings.push(format!("{PAGE}: `{}` is {} now; run `cargo xtask reference`", row.name, row.exact()));
        }
        if !row.holds() {
            findings.push(format!("crates: `{}` is {}, and is held to {}", row.name, row.exact(), row.bound()));
        }
    }
    Ok(findings)
}

/// Counts the production code of the workspace.
fn tally(root: &Path) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for (path, text) in sources(root)? {
        let name = shown(root, &path);
        if production(&name) {
            tally.add(measure::measure(&text));
        }
    }
    Ok(tally)
}

/// Says whether a file is production code; what of it only tests use is left out later.
fn production(name: &str) -> bool {
    let of_a_crate = name.split('/').nth(2) == Some("src");
    let of_tests = name.contains("_tests/") || name.ends_with("_tests.rs") || name.ends_with("/fake.rs");
    of_a_crate && !of_tests
}

/// How many commits of a hundred, merges aside, have a message with more than a subject.
fn commits(root: &Path) -> anyhow::Result<usize> {
    let log = Command::new("git").args(["log", "--no-merges", "--format=%b%x00"]).current_dir(root).output().context("run git log")?;
    ensure!(log.status.success(), "git log failed: {}", String::from_utf8_lossy(&log.stderr));
    let text = String::from_utf8_lossy(&log.stdout);
    let bodies: Vec<&str> = text.trim_end().trim_end_matches('\0').split('\0').collect();
    Ok(tally::percent(bodies.iter().filter(|body| !body.trim().is_empty()).count(), bodies.len()))
}

#[cfg(test)]
mod tests {
    use super::production;

    #[test]
    fn what_runs_is_told_from_what_tests_it() {
        assert!(production("crates/core/src/event.rs") && production("crates/ingest/src/publish/lane.rs"));
        let tests = ["crates/core/src/event_tests.rs", "crates/a/src/b_tests/c.rs", "crates/a/src/fake.rs", "crates/a/tests/it/main.rs"];
        assert!(!tests.into_iter().any(production));
    }
}
