//! The tests that documents cite exist: each `path.rs::function` in a Markdown file. Paths begin in `crates/`.

use std::path::Path;

use crate::{Findings, documents, shown};

/// Checks every Markdown file below the workspace's directory.
pub(crate) fn check(root: &Path) -> anyhow::Result<Findings> {
    let mut findings = Findings::new();
    for (path, text) in documents(root)? {
        for (file, function) in citations(&text) {
            let source = std::fs::read_to_string(root.join("crates").join(file).with_added_extension("rs")).unwrap_or_default();
            if !defines(&source, function) {
                findings.push(format!("{}: cites {file}.rs::{function}, which does not exist", shown(root, &path)));
            }
        }
    }
    Ok(findings)
}

/// The file, without its ending, and the function of each citation.
fn citations(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let spans = text.split('`').skip(1).step_by(2);
    spans.filter_map(|span| span.split_once(".rs::"))
}

/// Says whether a source has a function of that name.
fn defines(source: &str, function: &str) -> bool {
    source.split(&format!("fn {function}")).skip(1).any(|rest| rest.starts_with(['(', '<']))
}

#[cfg(test)]
mod tests {
    use super::{citations, defines};

    #[test]
    fn citations_are_found_and_judged() {
        let text = "see `core/src/event.rs::judge`, `Event::judge` and\n`a.rs::b`";
        assert_eq!(citations(text).collect::<Vec<_>>(), [("core/src/event", "judge"), ("a", "b")]);
        let source = "async fn one_and_two() {}\nfn three<T>() {}";
        assert!(defines(source, "one_and_two") && defines(source, "three"));
        assert!(!defines(source, "one") && !defines("", "one"));
    }
}
