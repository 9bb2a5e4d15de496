//! Tables with aligned columns.

use std::io::{self, Write};

use anstyle::Style;

use super::style::HEADING;

/// How the text of a column stands in it.
#[derive(Clone, Copy)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A column: its heading, alignment and style.
pub(crate) struct Column {
    pub(crate) heading: &'static str,
    pub(crate) align: Align,
    pub(crate) style: Style,
}

/// Rows of texts, as many each as there are columns.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

enum Row {
    Cells(Vec<String>),
    Heading(String),
}

const GAP: &str = "  ";

impl Table {
    pub(crate) fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(Row::Cells(cells));
    }

    /// A line of its own over the rows that follow.
    pub(crate) fn heading(&mut self, text: impl Into<String>) {
        self.rows.push(Row::Heading(text.into()));
    }

    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let cells = self.rows.iter().filter_map(|row| match row {
                    Row::Cells(cells) => cells.get(index),
                    Row::Heading(_) => None,
                });
                cells.map(|cell| width(cell)).chain([width(column.heading)]).max().unwrap_or(0)
            })
            .collect();
        let headings = self.columns.iter().map(|column| (column.heading, HEADING));
        self.write_line(headings, &widths, out)?;
        for row in &self.rows {
            match row {
                Row::Heading(text) => writeln!(out, "\n{HEADING}{text}{HEADING:#}")?,
                Row::Cells(cells) => {
                    let cells = cells.iter().map(String::as_str);
                    self.write_line(cells.zip(self.columns.iter().map(|column| column.style)), &widths, out)?;
                }
            }
        }
        Ok(())
    }

    fn write_line<'a>(
        &self,
        cells: impl Iterator<Item = (&'a str, Style)>,
        widths: &[usize],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        // Blanks are held back until a text follows them, so that no line ends in blanks.
        let mut blanks = 0;
        for (((text, style), column), width_of_column) in cells.zip(&self.columns).zip(widths) {
            let missing = width_of_column.saturating_sub(width(text));
            let (before, after) = match column.align {
                Align::Left => (0, missing),
                Align::Right => (missing, 0),
            };
            blanks += before;
            if !text.is_empty() {
                write!(out, "{:blanks$}{style}{text}{style:#}", "")?;
                blanks = 0;
            } else {
                blanks += width(text);
            }
            blanks += after + GAP.len();
        }
        writeln!(out)
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        let plain = Style::new();
        let mut table = Table::new(vec![
            Column { heading: "NAME", align: Align::Left, style: plain },
            Column { heading: "N", align: Align::Right, style: plain },
            Column { heading: "WHERE", align: Align::Left, style: plain },
        ]);
        table.row(vec!["├─ a".into(), "1000".into(), String::new()]);
        table.row(vec!["long name".into(), "1".into(), "x".into()]);
        let mut out = anstream::StripStream::new(Vec::new());
        table.write(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out.into_inner()).unwrap(),
            "NAME          N  WHERE\n├─ a       1000\nlong name     1  x\n"
        );
    }
}
