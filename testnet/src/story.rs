//! What a run tells: numbered steps with their seconds, short lines, tables. Legible without colour, at most 100 columns.

use std::cell::Cell;
use std::time::Instant;

use anyhow::{Context, Result};

/// Columns of a line.
const WIDTH: usize = 100;
const INDENT: &str = "    ";

/// A story as it is told.
#[derive(Debug)]
pub(crate) struct Story {
    began: Instant,
    steps: Cell<usize>,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), steps: Cell::new(0) }
    }

    /// Tells a step: its title, what it says while it runs, its seconds.
    pub(crate) fn step<T>(&self, title: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
        self.steps.set(self.steps.get() + 1);
        let number = self.steps.get();
        println!("\n{number:>2}. {title}");
        let began = Instant::now();
        let value = body().with_context(|| format!("step {number}, `{title}`"))?;
        println!("{INDENT}[{:.1} s]", began.elapsed().as_secs_f64());
        Ok(value)
    }

    /// A paragraph, wrapped.
    pub(crate) fn say(&self, text: &str) {
        wrap(text, WIDTH - INDENT.len()).iter().for_each(|line| println!("{INDENT}{line}"));
    }

    /// Rows in columns as wide as their widest cell; the last column is wrapped under itself.
    pub(crate) fn table(&self, rows: &[Vec<String>]) {
        render(rows, WIDTH - INDENT.len()).iter().for_each(|line| println!("{INDENT}{line}"));
    }

    /// Seconds since the story began.
    pub(crate) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

fn render(rows: &[Vec<String>], width: usize) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns.saturating_sub(1)).map(|column| widest(column).unwrap_or(0)).collect();
    let before = 2 + widths.iter().map(|width| width + 2).sum::<usize>();
    let mut lines = Vec::new();
    for row in rows {
        let mut line = "  ".to_owned();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        let last = row.get(columns.saturating_sub(1)).map(String::as_str).unwrap_or_default();
        let mut wrapped = wrap(last, width.saturating_sub(before).max(20)).into_iter();
        line.push_str(&wrapped.next().unwrap_or_default());
        lines.push(line.trim_end().to_owned());
        lines.extend(wrapped.map(|rest| format!("{:before$}{rest}", "")));
    }
    lines
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().map(|line| line.chars().count()).unwrap_or(0);
        if line > 0 && line + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_at_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), [""]);
        assert_eq!(wrap("averylongword x", 4), ["averylongword", "x"]);
    }

    #[test]
    fn columns_line_up_and_the_last_one_wraps_under_itself() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let lines = render(&[row(["a", "first"]), row(["long", "one two three four five six seven"])], 30);
        assert_eq!(lines, ["  a     first", "  long  one two three four", "        five six seven"]);
    }
}
