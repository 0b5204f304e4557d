//! Takes out of a source what is no code: comments, and what stands in strings and characters. Lines and columns stay where they are.

use std::iter::Peekable;
use std::str::Chars;

/// The text with a space for each such character.
pub(super) fn bare(text: &str) -> String {
    let mut reader = Reader { rest: text.chars().peekable(), bare: String::with_capacity(text.len()), last: ' ' };
    while let Some(next) = reader.rest.next() {
        match (next, reader.rest.peek().copied()) {
            ('/', Some('/')) => reader.comment(),
            ('"', _) => reader.string(),
            ('r', Some('"' | '#')) if !reader.last.is_alphanumeric() || reader.last == 'b' => reader.raw(),
            ('\'', Some(inside)) => reader.quote(inside),
            _ => reader.keep(next),
        }
    }
    reader.bare
}

/// Reads a source once.
struct Reader<'t> {
    /// What is not read yet.
    rest: Peekable<Chars<'t>>,
    /// What is kept.
    bare: String,
    /// The last character that was kept.
    last: char,
}

impl Reader<'_> {
    /// Keeps a character.
    fn keep(&mut self, kept: char) {
        self.bare.push(kept);
        self.last = kept;
    }

    /// Leaves a character out.
    fn leave(&mut self, left: char) {
        self.bare.push(if left == '\n' { '\n' } else { ' ' });
    }

    /// Leaves the rest of the line out.
    fn comment(&mut self) {
        self.leave('/');
        while let Some(left) = self.rest.next_if(|next| *next != '\n') {
            self.leave(left);
        }
    }

    /// Leaves a string out, up to its other quote.
    fn string(&mut self) {
        self.keep('"');
        while let Some(next) = self.rest.next() {
            match next {
                '"' => return self.keep('"'),
                '\\' => {
                    self.leave(next);
                    let escaped = self.rest.next().unwrap_or_default();
                    self.leave(escaped);
                }
                _ => self.leave(next),
            }
        }
    }

    /// Leaves a raw string out, up to a quote with as many `#` as stood before the first; a raw name is kept.
    fn raw(&mut self) {
        self.keep('r');
        let mut hashes = 0_usize;
        while self.rest.next_if_eq(&'#').is_some() {
            self.leave('#');
            hashes = hashes.saturating_add(1);
        }
        if self.rest.next_if_eq(&'"').is_none() {
            return;
        }
        self.keep('"');
        let mut closing: Option<usize> = None;
        while closing != Some(hashes) {
            let Some(next) = self.rest.next() else { return };
            closing = match (next, closing) {
                ('"', _) => Some(0),
                ('#', Some(seen)) => Some(seen.saturating_add(1)),
                _ => None,
            };
            self.leave(next);
        }
    }

    /// Leaves a character's own out; what begins a lifetime is kept.
    fn quote(&mut self, inside: char) {
        let mut ahead = self.rest.clone();
        let is_one = inside == '\\' || ahead.nth(1) == Some('\'');
        self.keep('\'');
        if !is_one {
            return;
        }
        while let Some(next) = self.rest.next() {
            let escaped = if next == '\\' { self.rest.next() } else { None };
            self.leave(next);
            escaped.into_iter().for_each(|escaped| self.leave(escaped));
            if next == '\'' {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn what_is_no_code_is_left_out_and_nothing_moves() {
        let text = "fn a<'b>() { // }\n\"x{\\\"\" '{' '\\'' r#\"y\"}\"# br\"{\" }\nr#type";
        let bare = bare(text);
        assert_eq!((bare.len(), bare.lines().count()), (text.len(), 3));
        assert_eq!(bare.replace(' ', ""), "fna<'b>(){\n\"\"''r\"br\"}\nrtype");
    }
}
