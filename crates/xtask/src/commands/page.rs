//! Finds what a reader of a Markdown file would type: fenced blocks of shell, and commands in the text.

use std::process::{Command, Stdio};

use anyhow::Context;

use super::shell::{self, Simple};

/// Languages of blocks that are typed.
const TYPED: [&str; 4] = ["sh", "bash", "shell", "console"];

/// A fenced block of shell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The line behind its fence.
    pub(super) line: usize,
    /// What is typed; of a `console` only what stands behind a prompt, at its own lines.
    pub(super) text: String,
}

impl Block {
    /// What bash says of its grammar; nothing where it is right. The line is that of the file.
    pub(super) fn broken(&self) -> anyhow::Result<Option<(usize, String)>> {
        let mut bash = Command::new("bash");
        let mut bash = bash.arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().context("run bash")?;
        std::io::Write::write_all(&mut bash.stdin.take().context("speak to bash")?, self.text.as_bytes()).context("speak to bash")?;
        let told = bash.wait_with_output().context("hear bash")?;
        if told.status.success() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&told.stderr);
        let (number, mistake) = text
            .lines()
            .next()
            .unwrap_or_default()
            .strip_prefix("bash: line ")
            .and_then(|rest| rest.split_once(": "))
            .unwrap_or(("1", "is no shell"));
        let number: usize = number.parse().unwrap_or(1);
        Ok(Some((self.line.saturating_add(number).saturating_sub(1), mistake.to_owned())))
    }
}

/// A document's blocks of shell, and the code in its text with the line of each.
pub(super) fn read(text: &str) -> (Vec<Block>, Vec<(usize, &str)>) {
    let (mut blocks, mut spans) = (Vec::new(), Vec::new());
    let mut fence: Option<(&str, Block)> = None;
    for (line, number) in text.lines().zip(1_usize..) {
        let marker = line.trim_start().strip_prefix("```");
        match (marker, fence.take()) {
            (Some(language), None) => fence = Some((language.trim(), Block { line: number.saturating_add(1), text: String::new() })),
            (Some(_), Some((language, block))) => blocks.extend(TYPED.contains(&language).then_some(block)),
            (None, Some((language, mut block))) => {
                let typed = if language == "console" { line.trim_start().strip_prefix("$ ").unwrap_or_default() } else { line };
                block.text.push_str(typed);
                block.text.push('\n');
                fence = Some((language, block));
            }
            (None, None) => spans.extend(line.split('`').skip(1).step_by(2).map(|span| (number, span))),
        }
    }
    (blocks, spans)
}

/// The commands of code in a text: where words have alternatives, as in `account add|list`, one of each.
pub(super) fn spoken(span: &str, line: usize) -> Vec<Simple> {
    if span.contains(" | ") || span.contains("||") {
        return shell::commands(span, line);
    }
    let mut all = vec![Simple { line, words: Vec::new() }];
    for word in shell::commands(&span.replace('|', "\\|"), line).into_iter().flat_map(|one| one.words) {
        let longer = |one: &Simple, word: &str| Simple { words: [one.words.clone(), vec![word.to_owned()]].concat(), ..one.clone() };
        all = word.split('|').flat_map(|word| all.iter().map(move |one| longer(one, word))).collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{Block, read, spoken};

    #[test]
    fn blocks_of_shell_and_code_in_text_are_found() {
        let text = "a `make x` b `y`\n  ```sh\n  make z\n  ```\n```json\n{`a`}\n```\n```console\nout\n$ ls\n```\n";
        let blocks = [Block { line: 3, text: "  make z\n".to_owned() }, Block { line: 9, text: "\nls\n".to_owned() }];
        assert_eq!(read(text), (blocks.into(), vec![(1, "make x"), (1, "y")]));
    }

    #[test]
    fn broken_grammar_is_told_with_its_line() {
        let block = |text: &str| Block { line: 7, text: text.to_owned() };
        assert_eq!(block("echo a\necho 'b'").broken().unwrap(), None);
        assert_eq!(block("echo a\necho )\n").broken().unwrap().map(|(line, _)| line), Some(8));
    }

    #[test]
    fn alternatives_are_commands_of_their_own() {
        let words: Vec<String> = spoken("events-proxy spool inspect|verify DIR", 1).into_iter().map(|one| one.words.join(" ")).collect();
        assert_eq!(words, ["events-proxy spool inspect DIR", "events-proxy spool verify DIR"]);
    }
}
