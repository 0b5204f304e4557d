//! Reads shell text as far as a document needs it: commands with their words, those inside `$(…)` too, each with its line.
//!
//! What the shell would make of quotes is undone; variables stay as they are written. `bash -n` judges the rest.

use std::iter::Peekable;
use std::str::Chars;

/// A command.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Simple {
    /// The line of its first word.
    pub(super) line: usize,
    /// Its words, assignments before it and behind `export` among them.
    pub(super) words: Vec<String>,
}

/// The commands of a text whose first line has that number, in the order in which they end.
pub(super) fn commands(text: &str, line: usize) -> Vec<Simple> {
    let mut reader = Reader { rest: text.chars().peekable(), line, ended: Vec::new(), open: Simple::default() };
    reader.read(None);
    reader.ended
}

/// Reads one text.
struct Reader<'t> {
    /// What is not read yet.
    rest: Peekable<Chars<'t>>,
    /// The line that is being read.
    line: usize,
    /// The commands that have ended.
    ended: Vec<Simple>,
    /// The one that has not.
    open: Simple,
}

impl Reader<'_> {
    /// Reads to the end, or to the character that closes what it is in.
    fn read(&mut self, closes: Option<char>) {
        while let Some(next) = self.rest.peek().copied() {
            if Some(next) == closes {
                break;
            }
            match next {
                '\n' | ';' | '|' | '&' | '(' | ')' => {
                    self.step();
                    self.end();
                }
                '#' => while self.rest.next_if(|next| *next != '\n').is_some() {},
                ' ' | '\t' => drop(self.step()),
                '>' | '<' => self.redirection(),
                _ => self.word(),
            }
        }
        self.end();
    }

    /// Takes a character.
    fn step(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line = self.line.saturating_add(usize::from(next == Some('\n')));
        next
    }

    /// Ends the open command.
    fn end(&mut self) {
        let ended = std::mem::take(&mut self.open);
        self.ended.extend((!ended.words.is_empty()).then_some(ended));
    }

    /// Passes over where input comes from or output goes.
    fn redirection(&mut self) {
        while self.rest.next_if(|next| matches!(next, '>' | '<' | '&' | ' ')).is_some() {}
        drop(self.text());
    }

    /// Takes a word into the open command.
    fn word(&mut self) {
        let line = self.line;
        let word = self.text();
        let leads_on =
            matches!(word.as_str(), "if" | "then" | "else" | "while" | "until" | "do" | "!" | "{" | "time") && self.open.words.is_empty();
        let closes = matches!(word.as_str(), "fi" | "done" | "}") && self.open.words.is_empty();
        // As the 2 of `2>&1`.
        let redirected = word.bytes().all(|byte| byte.is_ascii_digit()) && matches!(self.rest.peek(), Some('>' | '<'));
        if word.is_empty() || leads_on || closes || redirected {
            return;
        }
        if self.open.words.is_empty() {
            self.open.line = line;
        }
        self.open.words.push(word);
    }

    /// Reads one word, without its quotes.
    fn text(&mut self) -> String {
        let mut word = String::new();
        while let Some(next) = self.rest.peek().copied() {
            match next {
                ' ' | '\t' | '\n' | ';' | '|' | '&' | '(' | ')' | '>' | '<' => break,
                '\'' => {
                    self.step();
                    while let Some(inside) = self.step().filter(|inside| *inside != '\'') {
                        word.push(inside);
                    }
                }
                '"' => self.quoted(&mut word),
                _ => self.plain(&mut word),
            }
        }
        word
    }

    /// Reads what stands in double quotes.
    fn quoted(&mut self, word: &mut String) {
        self.step();
        while let Some(next) = self.rest.peek().copied() {
            if next == '"' {
                self.step();
                return;
            }
            self.plain(word);
        }
    }

    /// Reads a character, an escaped one, or a command inside the word.
    fn plain(&mut self, word: &mut String) {
        match self.step() {
            // A line that goes on begins no other.
            Some('\\') => word.extend(self.step().filter(|escaped| *escaped != '\n')),
            Some('$') if self.rest.peek() == Some(&'(') => {
                self.step();
                let outer = std::mem::take(&mut self.open);
                self.read(Some(')'));
                self.step();
                self.open = outer;
                word.push_str("$()");
            }
            other => word.extend(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::commands;

    /// The commands, each as its line and its words.
    fn read(text: &str) -> Vec<(usize, String)> {
        commands(text, 1).into_iter().map(|one| (one.line, one.words.join("␣"))).collect()
    }

    #[test]
    fn words_are_found_as_the_shell_finds_them() {
        let text = "make test   # all\ncurl -d '{\"a\": 1}' \\\n  \"x y\" >out 2>&1 | tee z && A=1 B=\"$C\" run --flag=\"v w\" &\n";
        let wanted = [(1, "make␣test"), (2, "curl␣-d␣{\"a\": 1}␣x y"), (3, "tee␣z"), (3, "A=1␣B=$C␣run␣--flag=v w")];
        assert_eq!(read(text), wanted.map(|(line, words)| (line, words.to_owned())));
    }

    #[test]
    fn commands_inside_words_are_commands() {
        let wanted = [(1, "openssl␣rand"), (1, "export␣A=$()␣B"), (2, "cat␣x"), (2, "echo␣a $() b"), (3, "true"), (3, "run")];
        assert_eq!(
            read("export A=$(openssl rand) B\necho \"a $(cat x) b\"\nif true; then run; fi"),
            wanted.map(|(line, words)| (line, words.to_owned()))
        );
    }
}
