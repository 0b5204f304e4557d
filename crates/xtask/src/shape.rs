//! What every file looks like: a header that says what it is for, and a length that one can read.

use std::path::Path;

use crate::{Findings, shown, sources};

/// The longest header, in lines.
const HEADER_LINES: usize = 12;
/// The longest file, in lines that are neither blank nor comment.
const CODE_LINES: usize = 400;
/// The longest `main.rs`, in the same lines.
const MAIN_LINES: usize = 40;

/// Checks every Rust file of the workspace.
pub(crate) fn check(root: &Path) -> anyhow::Result<Findings> {
    let mut findings = Findings::new();
    for (path, text) in sources(root)? {
        let name = shown(root, &path);
        let header = text.lines().take_while(|line| line.starts_with("//!")).count();
        if header == 0 {
            findings.push(format!("{name}: has no `//!` header"));
        }
        if header > HEADER_LINES {
            findings.push(format!("{name}: its header has {header} lines; {HEADER_LINES} are the most"));
        }
        let code = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        let begins_a_process = name.ends_with("/src/main.rs") && !name.contains("/xtask/");
        let most = if begins_a_process { MAIN_LINES } else { CODE_LINES };
        if code > most {
            findings.push(format!("{name}: has {code} lines of code; {most} are the most"));
        }
        if name.ends_with("/mod.rs") {
            findings.push(format!("{name}: a module's file is `name.rs` beside `name/`"));
        }
    }
    Ok(findings)
}
