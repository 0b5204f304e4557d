//! Counts one file: its lines, its items and their doc comments, its functions. What only tests use is left out.
//!
//! It reads sources as rustfmt writes them, where an item begins a line and its last brace stands where that line begins.

use super::bare::bare;
use super::depth::deepest;

/// What was counted in a file.
#[derive(Debug, Default)]
pub(super) struct Measure {
    /// Lines that are neither blank nor comments.
    pub(super) code: usize,
    /// Lines that are comments.
    pub(super) comments: usize,
    /// It opens with `//!`.
    pub(super) header: bool,
    /// Items, fields and variants aside.
    pub(super) items: usize,
    /// Those that have a doc comment.
    pub(super) told: usize,
    /// Calls of `unwrap`.
    pub(super) unwraps: usize,
    /// Its functions with a body.
    pub(super) functions: Vec<Function>,
}

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Function {
    /// Lines of code, from its name to its last brace.
    pub(super) lines: usize,
    /// Parameters, `self` among them.
    pub(super) parameters: usize,
    /// How many of `if`, `match` and loops stand inside one another at most.
    pub(super) depth: usize,
}

/// A line: as it is written, and its code alone.
#[derive(Debug, Clone, Copy)]
struct Line<'t> {
    /// As it is written, without the space around.
    text: &'t str,
    /// The code, with the space before it.
    code: &'t str,
}

/// Counts a file.
pub(super) fn measure(text: &str) -> Measure {
    let code = bare(text);
    let mut measure = Measure { header: text.starts_with("//!"), ..Measure::default() };
    let lines: Vec<Line<'_>> = text.lines().zip(code.lines()).map(|(text, code)| Line { text: text.trim(), code }).collect();
    let lines = kept(&lines);
    for line in lines.iter().filter(|line| !line.text.is_empty()) {
        let counter = if line.text.starts_with("//") { &mut measure.comments } else { &mut measure.code };
        *counter = counter.saturating_add(1);
        measure.unwraps = measure.unwraps.saturating_add(line.code.matches(".unwrap()").count());
    }
    let (mut told, mut attribute, mut until) = (false, false, 0);
    for (at, line) in lines.iter().enumerate() {
        let rest = lines.get(at..).unwrap_or_default();
        let kind = kind(line.code);
        if kind == Some("fn") {
            measure.functions.extend(function(rest));
        }
        // Nothing in the body of a function or a macro is an item of its own, and functions of a trait's `impl` are told at the trait.
        if at >= until {
            if kind.is_some_and(|kind| kind == "fn" || kind == "macro_rules!" || (kind == "impl" && line.code.contains(" for "))) {
                until = at.saturating_add(length(rest));
            }
            if kind.is_some_and(|kind| kind != "impl") {
                measure.items = measure.items.saturating_add(1);
                measure.told = measure.told.saturating_add(usize::from(told));
            }
        }
        // Attributes, of one line or of several, stand between an item and what tells it.
        attribute = (attribute || line.text.starts_with("#[")) && !line.text.ends_with(']');
        told = line.text.starts_with("///") || (told && (attribute || line.text.ends_with(']')));
    }
    measure
}

/// The lines without those of items that only tests use.
fn kept<'t>(mut lines: &[Line<'t>]) -> Vec<Line<'t>> {
    let mut kept = Vec::new();
    while let Some((line, rest)) = lines.split_first() {
        let of_tests = line.text == "#[cfg(test)]";
        kept.extend((!of_tests).then_some(*line));
        lines = if of_tests { rest.get(length(rest)..).unwrap_or_default() } else { rest };
    }
    kept
}

/// How many lines an item has that begins with these: to its last brace, or to a semicolon outside of braces. Attributes before it are a part of it.
fn length(lines: &[Line<'_>]) -> usize {
    let (mut depth, mut length) = (0_usize, 0_usize);
    for line in lines {
        length = length.saturating_add(1);
        let closed = line.code.matches('}').count();
        depth = depth.saturating_add(line.code.matches('{').count()).saturating_sub(closed);
        let ends = line.code.trim_end().ends_with(';') || closed > 0;
        if depth == 0 && ends {
            break;
        }
    }
    length
}

/// What kind of item begins in a line.
fn kind(code: &str) -> Option<&'static str> {
    let mut words = code.split_whitespace().skip_while(|word| word.starts_with("pub") || ["async", "unsafe", "extern"].contains(word));
    let (first, second) = (words.next()?, words.next());
    let first = match (first, second) {
        ("const", Some("fn" | "async")) => "fn",
        // An assertion is told by its words.
        ("const", Some("_:")) => return None,
        // A module in a file of its own is told by that file's header.
        ("mod", Some(name)) if name.ends_with(';') => return None,
        _ => first.split('<').next().unwrap_or(first),
    };
    ["fn", "impl", "struct", "enum", "trait", "const", "static", "type", "mod", "macro_rules!"].into_iter().find(|kind| *kind == first)
}

/// Counts the function that begins with these lines; nothing where it has no body.
fn function(lines: &[Line<'_>]) -> Option<Function> {
    let lines = lines.get(..length(lines))?;
    let code: String = lines.iter().flat_map(|line| [line.code, "\n"]).collect();
    let (signature, body) = code.split_once("fn ").and_then(|(_, code)| code.split_once('{'))?;
    let count = lines.iter().filter(|line| !line.code.trim().is_empty()).count();
    Some(Function { lines: count, parameters: parameters(signature), depth: deepest(body) })
}

/// How many parameters a signature has.
fn parameters(signature: &str) -> usize {
    // An arrow closes no bracket.
    let signature = signature.replace("->", "  ");
    let (mut angles, mut depth, mut begun) = (0_usize, 0_usize, false);
    let (mut count, mut open) = (0_usize, false);
    for next in signature.chars() {
        match next {
            '<' if !begun => angles = angles.saturating_add(1),
            '>' if !begun => angles = angles.saturating_sub(1),
            '(' if !begun && angles == 0 => begun = true,
            _ if !begun => {}
            '(' | '[' | '<' => depth = depth.saturating_add(1),
            ')' if depth == 0 => break,
            ')' | ']' | '>' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => open = false,
            _ if !next.is_whitespace() && !open => {
                open = true;
                count = count.saturating_add(1);
            }
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::{Function, measure, parameters};

    #[test]
    fn a_file_is_counted_without_what_only_tests_use() {
        let text = "\
//! A header.

/// Told.
#[derive(Debug)]
struct One {
    a: u8,
}

const NOT_TOLD: u8 = 1;

impl One {
    /// Told.
    pub(crate) async fn f<F: Fn(u8) -> u8>(&self, (x, y): (u8, u8), z: Map<u8, u8>) -> u8 {
        // A comment.
        if x > 0 {
            z.get(y).unwrap();
        }

        0
    }
}

impl Default for One {
    fn default() -> Self {
        let s = \"fn x() {\";
        Self { a: 0 }
    }
}

#[cfg(test)]
mod tests {
    fn long() {
        x.unwrap();
    }
}
";
        let file = measure(text);
        assert_eq!((file.code, file.comments, file.header), (19, 4, true));
        assert_eq!((file.items, file.told, file.unwraps), (3, 2, 1));
        let functions = [Function { lines: 6, parameters: 3, depth: 1 }, Function { lines: 4, parameters: 0, depth: 0 }];
        assert_eq!(file.functions, functions);
    }

    #[test]
    fn parameters_are_counted_whatever_their_types_hold() {
        for (signature, count) in [
            ("a()", 0),
            ("a(&mut self)", 1),
            ("a<T: Fn(u8, u8) -> u8>(f: impl Fn(&mut Self, u8) -> bool, m: BTreeMap<u8, (u8, u8)>) -> (u8, u8)", 2),
            ("a(\n    a: u8,\n    b: [u8; 2],\n    c: u8,\n) -> u8", 3),
        ] {
            assert_eq!(parameters(signature), count, "{signature}");
        }
    }
}
