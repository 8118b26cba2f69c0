//! Columns of text, and paragraphs beside them.

use super::{COLUMNS, clean};

/// Rows under an optional heading; every column is as wide as its widest cell, the last one wraps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    indent: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(indent: usize) -> Self {
        Self { indent, rows: Vec::new() }
    }

    /// A table with a heading in capitals.
    pub(crate) fn headed(indent: usize, heading: &[&str]) -> Self {
        let mut table = Self::new(indent);
        table.rows.push(heading.iter().map(|cell| cell.to_uppercase()).collect());
        table
    }

    /// Adds a row. Cells may hold text of others: control characters are made visible.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.iter().map(|cell| clean(cell)).collect());
    }

    /// All lines, each ending in a newline.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns.saturating_sub(1)).map(width).collect();
        let before_last = self.indent + widths.iter().map(|width| width + GAP).sum::<usize>();
        let room = COLUMNS.saturating_sub(before_last).max(LAST_COLUMN_MIN);
        let mut out = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(self.indent);
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.push_str(&" ".repeat(width + GAP - cell.chars().count().min(*width)));
            }
            let last = row.get(widths.len()).map(String::as_str).unwrap_or_default();
            for (number, piece) in wrap(last, room).iter().enumerate() {
                if number > 0 {
                    line = " ".repeat(before_last);
                }
                line.push_str(piece);
                out.push_str(line.trim_end());
                out.push('\n');
            }
        }
        out
    }
}

const GAP: usize = 2;
const LAST_COLUMN_MIN: usize = 24;

/// Breaks text at spaces into lines of at most `width` characters; a longer word stays whole. Never empty.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_last_one_wraps() {
        let mut table = Table::headed(2, &["hub", "note"]);
        table.row(["AT", &"word ".repeat(30)]);
        table.row(["LUX", "s\u{1b}hort"]);
        let text = table.render();
        assert!(text.starts_with("  HUB  NOTE\n  AT   word word"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert!(text.contains("\n       word") && text.contains("LUX  s\\u{1b}hort\n"), "{text}");
    }
}
