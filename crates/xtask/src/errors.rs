//! Every line that is logged as an error has a code, and every code its section in `docs/operations/errors.md`. Codes that are answered
//! stand in the page of whoever is answered.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;

use crate::{Findings, shown, sources};

/// Where the codes are explained.
const PAGE: &str = "docs/operations/errors.md";
/// Where codes of answers are made, and where they are explained.
const ANSWERS: [(&str, &str); 2] = [("crates/ingest/src/reject.rs", "docs/api.md"), ("crates/dispatcher/src/operator/problem.rs", PAGE)];
/// How an error is logged.
const CALL: &str = "tracing::error!(";

/// Checks every source file of the product against the page.
pub(crate) fn check(root: &Path) -> anyhow::Result<Findings> {
    let page = std::fs::read_to_string(root.join(PAGE)).with_context(|| format!("read {PAGE}"))?;
    let explained: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`')).collect();
    let (mut findings, mut told) = (Findings::new(), BTreeSet::new());
    for (path, text) in sources(root)? {
        let name = shown(root, &path);
        // The simulators are somebody else's systems; tests log what they like.
        if !name.contains("/src/")
            || name.starts_with("crates/simulators")
            || name.starts_with("crates/xtask")
            || name.ends_with("_tests.rs")
        {
            continue;
        }
        for code in codes(&text) {
            match code {
                Some(code) if explained.contains(code) => drop(told.insert(code.to_owned())),
                Some(code) => findings.push(format!("{name}: logs the error `{code}`, which {PAGE} does not explain")),
                None => findings.push(format!("{name}: logs an error whose first field is not `code`")),
            }
        }
    }
    let unused = explained.iter().filter(|code| !told.contains(**code));
    findings.extend(unused.map(|code| format!("{PAGE}: explains `{code}`, which nothing logs")));
    for (source, page) in ANSWERS {
        let read = |name: &str| std::fs::read_to_string(root.join(name)).with_context(|| format!("read {name}"));
        let (text, explained) = (read(source)?, read(page)?);
        let answered = answered(&text);
        anyhow::ensure!(!answered.is_empty(), "{source} has no `fn code`");
        let silent = answered.into_iter().filter(|code| !explained.contains(&format!("`{code}`")));
        findings.extend(silent.map(|code| format!("{source}: answers `{code}`, which {page} does not explain")));
    }
    Ok(findings)
}

/// The words that a source's `fn code` answers.
fn answered(text: &str) -> Vec<&str> {
    let body = text.split_once("fn code(&self)").map_or("", |(_, rest)| rest);
    let arms = body.lines().take_while(|line| *line != "    }");
    arms.filter_map(|line| line.split_once("=> \"")?.1.split('"').next()).collect()
}

/// The code of each error that a source logs; none where it has none.
fn codes(text: &str) -> impl Iterator<Item = Option<&str>> {
    text.split(CALL).skip(1).map(|call| call.trim_start().strip_prefix("code = \"")?.split('"').next())
}

#[cfg(test)]
mod tests {
    use super::{answered, codes};

    #[test]
    fn codes_are_found_and_their_absence_too() {
        let text = "tracing::error!(code = \"a_b\", x, \"c\"); tracing::error!(\n    code = \"d\",\n \"e\"); tracing::error!(x, \"f\")";
        assert_eq!(codes(text).collect::<Vec<_>>(), [Some("a_b"), Some("d"), None]);
    }

    #[test]
    fn words_that_are_answered_are_those_of_one_function() {
        let text = "    fn code(&self) -> &str {\n        match self {\n            Self::A => \"a\",\n            Self::B(word) => word,\n        }\n    }\n    fn x() { A => \"b\" }";
        assert_eq!(answered(text), ["a"]);
        assert!(answered("fn x()").is_empty());
    }
}
