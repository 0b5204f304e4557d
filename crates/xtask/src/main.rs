//! The checks of this repository that need parsing, and the pages that are generated: `cargo xtask check | reference | figures |
//! commands`.
//!
//! Each check returns every finding at once, as `path: what is wrong`; one finding fails the run.

mod arrows;
mod citations;
mod commands;
mod dependencies;
mod errors;
mod figures;
mod links;
mod metrics;
mod reference;
mod shape;
mod stages;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

/// What a check found: one line each, naming the file and what to do.
type Findings = Vec<String>;

/// The commands.
const COMMANDS: [&str; 4] = ["check", "reference", "figures", "commands"];

/// Runs the named command.
fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("check") => return check(&root()?),
        Some("reference") => write(&root()?)?,
        Some("figures") => figures::print(&root()?)?,
        Some("commands") => commands::print(&root()?, &arguments.next().unwrap_or_default())?,
        Some(other) => bail!("unknown command `{other}`; there are: {}", COMMANDS.join(", ")),
        None => bail!("say a command; there are: {}", COMMANDS.join(", ")),
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes every page that is generated.
fn write(root: &Path) -> anyhow::Result<()> {
    reference::write(root)?;
    figures::write(root)?;
    metrics::write(root)
}

/// Runs every check and prints what each found.
fn check(root: &Path) -> anyhow::Result<ExitCode> {
    let checks: [(&str, Findings); 10] = [
        ("stage chain", stages::check(root)?),
        ("crate arrows", arrows::check(root)?),
        ("shape of files", shape::check(root)?),
        ("links of documents", links::check(root)?),
        ("cited tests", citations::check(root)?),
        ("commands in documents", commands::check(root)?),
        ("reasons for dependencies", dependencies::check(root)?),
        ("codes of errors", errors::check(root)?),
        ("reference of settings", reference::check(root)?),
        ("figures of the code", figures::check(root)?),
    ];
    let mut out = io::stdout().lock();
    let mut clean = true;
    for (name, findings) in checks {
        writeln!(out, "{name}: {}", if findings.is_empty() { "ok" } else { "FAILED" })?;
        for finding in &findings {
            writeln!(out, "  {finding}")?;
        }
        clean &= findings.is_empty();
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The workspace's directory: two above this crate's.
fn root() -> anyhow::Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_path_buf).context("find the workspace above crates/xtask")
}

/// Every Rust file of the workspace's crates, sorted, with its text.
fn sources(root: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut waiting = vec![root.join("crates")];
    let mut found = Vec::new();
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).with_context(|| format!("read {}", directory.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
                found.push((path, text));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Directories whose documents are not ours.
const FOREIGN: [&str; 4] = ["target", ".git", ".dev", "data"];

/// Every Markdown file of the workspace, sorted, with its text.
fn documents(root: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let (mut waiting, mut found) = (vec![root.to_path_buf()], Vec::new());
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).with_context(|| format!("read {}", directory.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                let foreign = path.file_name().is_some_and(|name| FOREIGN.iter().any(|foreign| name == *foreign));
                waiting.extend((!foreign).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
                found.push((path, text));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A path as the reader types it, from the workspace's directory on.
fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
