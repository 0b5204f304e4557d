//! What the documents point at exists: every relative link of every Markdown file.

use std::path::Path;

use crate::{Findings, documents, shown};

/// Checks every Markdown file below the workspace's directory.
pub(crate) fn check(root: &Path) -> anyhow::Result<Findings> {
    let mut findings = Findings::new();
    for (path, text) in documents(root)? {
        let directory = path.parent().unwrap_or(root);
        let broken = targets(&text).filter(|target| !exists(directory, target));
        findings.extend(broken.map(|target| format!("{}: links to {target}, which does not exist", shown(root, &path))));
    }
    Ok(findings)
}

/// Where the links of a document lead, those to other sites aside.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    links.filter(|target| !target.contains("://") && !target.starts_with('#') && !target.starts_with("mailto:"))
}

/// Says whether a link's file is there; its place within the file is not looked for.
fn exists(directory: &Path, target: &str) -> bool {
    let file = target.split_once('#').map_or(target, |(file, _)| file);
    directory.join(file).exists()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{exists, targets};

    #[test]
    fn links_to_files_are_found_and_judged() {
        let text = "[a](src/main.rs) [b](https://example.com) [c](#here) `x` [d](src/nothing.rs#L3)";
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(targets(text).map(|target| exists(here, target)).collect::<Vec<_>>(), [true, false]);
    }
}
