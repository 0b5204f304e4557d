//! The sums of all files, and the rows that tell them.

use super::measure::Measure;

/// What was counted in all files.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Lines of code of each file.
    files: Vec<usize>,
    /// Lines of comments of all files.
    comments: usize,
    /// How many files have a header.
    headers: usize,
    /// Items that can have a doc comment.
    items: usize,
    /// Those that have one.
    told: usize,
    /// Calls of `unwrap`.
    unwraps: usize,
    /// Lines of code of each function.
    lengths: Vec<usize>,
    /// Parameters of each function.
    parameters: Vec<usize>,
    /// How deep each function goes.
    depths: Vec<usize>,
}

impl Tally {
    /// Adds a file.
    pub(super) fn add(&mut self, file: Measure) {
        self.files.push(file.code);
        self.comments = self.comments.saturating_add(file.comments);
        self.headers = self.headers.saturating_add(usize::from(file.header));
        self.items = self.items.saturating_add(file.items);
        self.told = self.told.saturating_add(file.told);
        self.unwraps = self.unwraps.saturating_add(file.unwraps);
        for function in file.functions {
            self.lengths.push(function.lines);
            self.parameters.push(function.parameters);
            self.depths.push(function.depth);
        }
    }

    /// Tells the figures.
    pub(super) fn rows(&self) -> Vec<Row> {
        let code: usize = self.files.iter().sum();
        let over = |counts: &[usize], most: usize| counts.iter().filter(|count| **count > most).count();
        let spread = |name, counts: &[usize], step, most, by| Row { name, here: spread(counts), step, held: Some((Bound::Most(most), by)) };
        let count = |name, here, held| Row { name, here: vec![here], step: 0, held };
        vec![
            spread("lines of code of a file: median / nine in ten have no more / most", &self.files, 10, 400, "`cargo xtask check`"),
            count("files of more than 500 lines of code", over(&self.files, 500), Some((Bound::Most(0), "`cargo xtask check`"))),
            spread("lines of code of a function: the same", &self.lengths, 5, 70, "clippy"),
            spread("parameters of a function: the same", &self.parameters, 0, 5, "clippy"),
            spread("`if`, `match` and loops inside one another in a function: the same", &self.depths, 0, 4, "`cargo xtask check`"),
            count(
                "files that open with `//!`, in percent",
                percent(self.headers, self.files.len()),
                Some((Bound::Least(100), "`cargo xtask check`")),
            ),
            count(
                "items with a doc comment, private ones too and fields aside, in percent",
                percent(self.told, self.items),
                Some((Bound::Least(100), "rustc, clippy")),
            ),
            Row {
                name: "comments among all lines that are not blank, in percent",
                here: vec![percent(self.comments, code.saturating_add(self.comments))],
                step: 2,
                held: None,
            },
            count("calls of `unwrap`", self.unwraps, Some((Bound::Most(0), "clippy"))),
        ]
    }
}

/// What a figure is held to.
#[derive(Debug, Clone, Copy)]
enum Bound {
    /// No more than that.
    Most(usize),
    /// No less than that.
    Least(usize),
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Row {
    /// What is counted.
    pub(super) name: &'static str,
    /// The figures, the largest last.
    here: Vec<usize>,
    /// To what they are rounded, and how far off the page may be; 0 wants them exact.
    step: usize,
    /// The bound of the last figure, and what keeps it.
    held: Option<(Bound, &'static str)>,
}

impl Row {
    /// The figures as they are.
    pub(super) fn exact(&self) -> String {
        joined(self.here.iter().copied())
    }

    /// The row as the page has it.
    pub(super) fn line(&self) -> String {
        let rounded = self.here.iter().map(|figure| if self.step == 0 { *figure } else { round(*figure, self.step) });
        let by = self.held.map_or("–", |(_, by)| by);
        format!("| {} | {} | {} | {by} |\n", self.name, joined(rounded), self.bound())
    }

    /// The bound, in words.
    pub(super) fn bound(&self) -> String {
        match self.held {
            Some((Bound::Most(most), _)) => format!("at most {most}"),
            Some((Bound::Least(least), _)) => format!("at least {least}"),
            None => "–".to_owned(),
        }
    }

    /// Says whether the last figure keeps its bound.
    pub(super) fn holds(&self) -> bool {
        let last = self.here.last().copied().unwrap_or_default();
        match self.held {
            Some((Bound::Most(most), _)) => last <= most,
            Some((Bound::Least(least), _)) => last >= least,
            None => true,
        }
    }

    /// Says whether the page has this row, with figures that are no further off than a step.
    pub(super) fn stands_in(&self, page: &str) -> bool {
        let Some(row) = page.lines().find_map(|line| line.strip_prefix(&format!("| {} | ", self.name))) else { return false };
        let told: Vec<usize> = row.split(" |").next().unwrap_or_default().split(" / ").filter_map(|figure| figure.parse().ok()).collect();
        let near = told.iter().zip(&self.here).all(|(told, here)| told.abs_diff(*here) <= self.step);
        near && told.len() == self.here.len() && row.ends_with(self.line().rsplit_once(" | at").map_or("", |(_, rest)| rest).trim_end())
    }
}

/// Figures in one cell.
fn joined(figures: impl Iterator<Item = usize>) -> String {
    figures.map(|figure| figure.to_string()).collect::<Vec<_>>().join(" / ")
}

/// The nearest multiple of a step.
fn round(figure: usize, step: usize) -> usize {
    figure.saturating_add(step / 2).checked_div(step).unwrap_or_default().saturating_mul(step)
}

/// How many of a hundred, rounded down, so that 100 means all; 0 of none.
pub(super) fn percent(part: usize, whole: usize) -> usize {
    part.saturating_mul(100).checked_div(whole).unwrap_or_default()
}

/// The median, what nine of ten do not exceed, and the largest.
fn spread(counts: &[usize]) -> Vec<usize> {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let at = |tenths: usize| sorted.get(sorted.len().saturating_sub(1).saturating_mul(tenths) / 10).copied().unwrap_or_default();
    vec![at(5), at(9), at(10)]
}

#[cfg(test)]
mod tests {
    use super::{Bound, Row, percent, spread};

    /// A row of three figures, held to 400.
    fn row(here: [usize; 3]) -> Row {
        Row { name: "lines", here: here.to_vec(), step: 10, held: Some((Bound::Most(400), "x")) }
    }

    #[test]
    fn a_figure_may_be_a_step_off_and_no_more() {
        let page = row([71, 188, 400]).line();
        assert_eq!(page, "| lines | 70 / 190 / 400 | at most 400 | x |\n");
        assert!(row([71, 188, 400]).stands_in(&page) && row([80, 180, 391]).stands_in(&page));
        assert!(!row([81, 188, 400]).stands_in(&page) && !row([71, 188, 389]).stands_in(&page));
        assert!(!row([71, 188, 400]).stands_in("") && !row([71, 188, 400]).stands_in("| lines | 70 | at most 400 | x |"));
    }

    #[test]
    fn a_bound_is_of_the_last_figure() {
        assert!(row([71, 188, 400]).holds() && !row([71, 188, 401]).holds());
        assert!(!Row { held: Some((Bound::Least(100), "x")), ..row([0, 0, 99]) }.holds());
    }

    #[test]
    fn sums_are_told_without_flattery() {
        assert_eq!((percent(999, 1000), percent(1, 1), percent(0, 0)), (99, 100, 0));
        assert_eq!(spread(&[5, 1, 4, 2, 3]), [3, 4, 5]);
    }
}
