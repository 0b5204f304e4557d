//! How deep a function goes: how many of `if`, `match` and loops stand inside one another.

/// What opens a level. An `else` stands as deep as its `if`, for that one's brace is closed.
const LEVELS: [&str; 6] = ["if", "else", "match", "for", "while", "loop"];

/// The deepest level of a body, without strings and comments.
pub(super) fn deepest(body: &str) -> usize {
    // What stands before a brace, one for each bracket that is open; and whether each open brace is a level.
    let (mut heads, mut braces) = (vec![String::new()], Vec::new());
    let (mut depth, mut deepest) = (0_usize, 0);
    for next in body.chars() {
        match next {
            '{' => {
                let head = heads.last().map(String::as_str).unwrap_or_default();
                let (level, pattern) = (is_level(head), is_pattern(head));
                braces.push((level && !pattern, pattern));
                depth = depth.saturating_add(usize::from(level && !pattern));
                deepest = deepest.max(depth);
                heads.push(String::new());
            }
            '}' => {
                let (level, pattern) = braces.pop().unwrap_or_default();
                depth = depth.saturating_sub(usize::from(level));
                heads.pop();
                // The head of what the pattern belongs to goes on.
                heads.last_mut().filter(|_| !pattern).into_iter().for_each(String::clear);
            }
            '(' | '[' => heads.push(String::new()),
            ')' | ']' => drop(heads.pop()),
            ';' | ',' => heads.last_mut().into_iter().for_each(String::clear),
            _ => heads.last_mut().into_iter().for_each(|head| head.push(next)),
        }
    }
    deepest
}

/// Says whether the brace behind this opens a level. That of an arm does not, though there is an `if` in its guard.
fn is_level(head: &str) -> bool {
    !head.trim_end().ends_with("=>") && head.split("=>").last().unwrap_or(head).split_whitespace().any(|word| LEVELS.contains(&word))
}

/// Says whether the brace behind this is a part of a pattern: `if let One {`, `for One {`.
fn is_pattern(head: &str) -> bool {
    let mut words = head.split_whitespace().rev().take_while(|word| *word != "=" && *word != "in");
    words.any(|word| word == "let" || word == "for") && !head.trim_end().ends_with("else")
}

#[cfg(test)]
mod tests {
    use super::deepest;

    #[test]
    fn levels_are_counted_and_other_braces_are_not() {
        for (body, depth) in [
            ("One { a: 1 } }", 0),
            ("if a { b } else if c { d } else { e } }", 1),
            ("for a in b { while c { loop { d } } } }", 3),
            ("let a = match b { Some(c) if d => { e } One { f } => { if g { h } } }; }", 2),
            ("if let One { a } = b { match c { _ => d } } }", 2),
            ("for One { a } in b { c } }", 1),
            ("if a.any(|b| { c }) { d } }", 1),
            ("let Some(a) = b else { if c { return; } }; }", 2),
            ("select! { a = b => { if c { d } } } }", 1),
            ("match a { B => if c { d } else { e }, } }", 2),
        ] {
            assert_eq!(deepest(body), depth, "{body}");
        }
    }
}
