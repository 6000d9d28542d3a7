//! Aligned columns of text.

use std::io::{self, Write};

use indicatif::HumanCount;

/// Between two columns.
const GAP: &str = "  ";

/// Rows of cells under a heading. A heading that begins with `>` aligns its column to the right; the last column is not
/// padded.
pub(super) struct Table<const N: usize> {
    heading: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(heading: [&'static str; N]) -> Self {
        Self { heading, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    pub(super) fn write(&self, indent: &str, out: &mut dyn Write) -> io::Result<()> {
        let heading = self.heading.map(|cell| cell.trim_start_matches('>').to_owned());
        let width = |column: usize| self.rows.iter().chain([&heading]).map(|row| row[column].len()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width);
        for row in [&heading].into_iter().chain(&self.rows) {
            writeln!(out, "{indent}{}", aligned(&self.heading, widths, row))?;
        }
        Ok(())
    }
}

/// One row of a table whose widths are known: for rows that are written as they come.
pub(super) fn aligned<const N: usize>(heading: &[&str; N], widths: [usize; N], cells: &[String; N]) -> String {
    let mut line = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if column > 0 {
            line.push_str(GAP);
        }
        if heading[column].starts_with('>') {
            line.push_str(&format!("{cell:>width$}"));
        } else {
            line.push_str(&format!("{cell:width$}"));
        }
    }
    line.trim_end().to_owned()
}

/// A number for people: `1234567` is `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    HumanCount(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new([">n", "name", "notes"]);
        table.row(["1".into(), "a".into(), String::new()]);
        table.row(["1,000".into(), "longer".into(), "x".into()]);
        let mut out = Vec::new();
        table.write(" ", &mut out).expect("memory");
        assert_eq!(String::from_utf8(out).expect("text"), "     n  name    notes\n     1  a\n 1,000  longer  x\n");
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
