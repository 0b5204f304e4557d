//! The data path reads as ten files in order: each says its number, its word and where the path goes on.

use std::path::Path;

use events_proxy_core::Stage;

use crate::Findings;

/// The crate that holds a stage.
const fn home(stage: Stage) -> &'static str {
    match stage {
        Stage::Receive | Stage::Authenticate | Stage::Validate | Stage::Accept | Stage::Publish => "ingest",
        Stage::Consume | Stage::Enrich | Stage::Pace | Stage::Deliver | Stage::Settle => "dispatcher",
    }
}

/// The file of a stage, from the workspace's directory on.
fn file(stage: Stage) -> String {
    format!("crates/{}/src/{stage}.rs", home(stage))
}

/// Checks the first line of each stage's file and the `Next:` line that ends its header.
pub(crate) fn check(root: &Path) -> anyhow::Result<Findings> {
    let mut findings = Findings::new();
    for (place, stage) in Stage::ALL.into_iter().enumerate() {
        let path = file(stage);
        let Ok(text) = std::fs::read_to_string(root.join(&path)) else {
            findings.push(format!("{path}: the stage `{stage}` has no file"));
            continue;
        };
        let number = place.saturating_add(1);
        let opening = format!("//! Stage {number} of 10 — {stage}: ");
        if !text.starts_with(&opening) {
            findings.push(format!("{path}: must open with `{opening}…`"));
        }
        let next = Stage::ALL.get(number).copied().map(file);
        let last = text.lines().take_while(|line| line.starts_with("//!")).last().unwrap_or_default();
        let expected = next.map_or_else(|| "//! Next: nothing; the path ends here.".to_owned(), |next| format!("//! Next: `{next}`."));
        if last != expected {
            findings.push(format!("{path}: the header must end with `{expected}`"));
        }
    }
    Ok(findings)
}
