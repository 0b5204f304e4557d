//! The commands in documents are ones that work: blocks of shell are shell, and what a command names exists.
//!
//! Whether `events-proxy` and `ingest` take what they are told is a test of the crate `local`, which has them built: `cargo xtask commands PROGRAM` prints
//! for it what the documents say.

mod judge;
mod known;
mod page;
mod shell;

use std::io::Write;
use std::path::Path;

use self::judge::{OURS, assignment, judge, told};
use self::known::Known;
use self::shell::Simple;
use crate::{Findings, documents, shown};

/// Programs whose commands are looked for in the text, too; of others only blocks are judged.
const SPOKEN: [&str; 10] = ["make", "cargo", "curl", "helm", "kubectl", "terraform", "docker", "psql", "events-proxy", "ingest"];

/// Checks every document, the one aside that tells what once was.
pub(crate) fn check(root: &Path) -> anyhow::Result<Findings> {
    let known = Known::read(root)?;
    let mut findings = Findings::new();
    for (path, text) in documents(root)? {
        let name = shown(root, &path);
        for block in page::read(&text).0 {
            if let Some((line, mistake)) = block.broken()? {
                findings.push(format!("{name}:{line}: bash says: {mistake}"));
            }
        }
        for command in commands(&name, &text) {
            findings.extend(judge(&command, &known).into_iter().map(|wrong| format!("{name}:{}: {wrong}", command.line)));
        }
    }
    Ok(findings)
}

/// Prints what the documents tell a program of ours: one line each, with the place and the words behind tabs.
pub(crate) fn print(root: &Path, program: &str) -> anyhow::Result<()> {
    anyhow::ensure!(OURS.contains(&program), "say a program: {}", OURS.join(", "));
    let mut out = std::io::stdout().lock();
    for (path, text) in documents(root)? {
        let name = shown(root, &path);
        for command in commands(&name, &text) {
            if let Some(words) = told(&command, program) {
                writeln!(out, "{name}:{}\t{}", command.line, words.join("\t"))?;
            }
        }
    }
    Ok(())
}

/// A document's commands: those of its blocks, and those in its text.
fn commands(name: &str, text: &str) -> Vec<Simple> {
    if name == "CHANGELOG.md" {
        return Vec::new();
    }
    let (blocks, spans) = page::read(text);
    let typed = blocks.iter().flat_map(|block| shell::commands(&block.text, block.line));
    let spoken = spans.into_iter().filter(|(_, span)| is_spoken(span)).flat_map(|(line, span)| page::spoken(span, line));
    typed.chain(spoken).collect()
}

/// Says whether code in a text is a command: it begins with a program that has something to do, a script of ours, or a setting.
fn is_spoken(span: &str) -> bool {
    let (first, rest) = span.split_once(' ').unwrap_or((span, ""));
    let script = first.starts_with("infra/check/")
        || first.starts_with("infra/dev/")
        || first.starts_with("infra/images/")
        || first.starts_with(".ci/");
    script || (SPOKEN.contains(&first) && !rest.is_empty()) || (assignment(first).is_some() && rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn commands_of_blocks_and_of_the_text_are_found_with_their_lines() {
        let text =
            "Run `make test`, not `make` or `ingest`; `infra/check/run` and `QUEUE_TYPE=Kafka` too.\n\n```sh\n\nevents-proxy limit\n```\n";
        let found: Vec<(usize, String)> = commands("a.md", text).into_iter().map(|one| (one.line, one.words.join(" "))).collect();
        let wanted = [(5, "events-proxy limit"), (1, "make test"), (1, "infra/check/run"), (1, "QUEUE_TYPE=Kafka")];
        assert_eq!(found, wanted.map(|(line, words)| (line, words.to_owned())));
        assert!(commands("CHANGELOG.md", text).is_empty());
    }
}
