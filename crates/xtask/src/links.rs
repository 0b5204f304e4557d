//! What the documents point at exists: every relative link of every Markdown file.

use std::path::Path;

use anyhow::Context;

use crate::{Findings, shown};

/// Directories whose documents are not ours.
const FOREIGN: [&str; 4] = ["target", ".git", ".dev", "data"];

/// Checks every Markdown file below the workspace's directory.
pub(crate) fn check(root: &Path) -> anyhow::Result<Findings> {
    let (mut waiting, mut findings) = (vec![root.to_path_buf()], Findings::new());
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).with_context(|| format!("read {}", directory.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                let foreign = path.file_name().is_some_and(|name| FOREIGN.iter().any(|foreign| name == *foreign));
                waiting.extend((!foreign).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
                let broken = targets(&text).filter(|target| !exists(&directory, target));
                findings.extend(broken.map(|target| format!("{}: links to {target}, which does not exist", shown(root, &path))));
            }
        }
    }
    findings.sort();
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
