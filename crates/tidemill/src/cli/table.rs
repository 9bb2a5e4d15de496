//! Tables with aligned columns.

use std::borrow::Cow;
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
/// The first column names the rows: fewer characters would not.
const NARROWEST_FIRST: usize = 20;

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
        let widths = self.widths();
        let all: Vec<usize> = (0..widths.len()).collect();
        self.write_columns(&all, &widths, out)
    }

    /// Writes lines of at most `available` characters: as several tables, if need be, each with as many columns as fit behind
    /// the first one, which is cut before the others go to a table of their own.
    pub(crate) fn write_within(&self, available: usize, out: &mut dyn Write) -> io::Result<()> {
        let mut widths = self.widths();
        let Some(first) = widths.first().copied() else { return Ok(()) };
        let total = |widths: &[usize]| widths.iter().map(|width| width + GAP.len()).sum::<usize>();
        let room = |first: usize| available.saturating_sub(first);
        let others = total(&widths[1..]);
        let is_one = others + first.min(NARROWEST_FIRST) <= available;
        let narrow = if is_one { room(others) } else { NARROWEST_FIRST.max(available / 3) };
        widths[0] = first.min(narrow).min(available);
        let mut blocks: Vec<Vec<usize>> = vec![vec![0]];
        let mut left = room(widths[0]);
        for index in 1..widths.len() {
            let needed = widths[index] + GAP.len();
            if needed > left && blocks.last().is_some_and(|block| block.len() > 1) {
                blocks.push(vec![0]);
                left = room(widths[0]);
            }
            left = left.saturating_sub(needed);
            if let Some(block) = blocks.last_mut() {
                block.push(index);
            }
        }
        for (index, block) in blocks.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            self.write_columns(block, &widths, out)?;
        }
        Ok(())
    }

    fn widths(&self) -> Vec<usize> {
        self.columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let cells = self.rows.iter().filter_map(|row| match row {
                    Row::Cells(cells) => cells.get(index),
                    Row::Heading(_) => None,
                });
                cells.map(|cell| width(cell)).chain([width(column.heading)]).max().unwrap_or(0)
            })
            .collect()
    }

    fn write_columns(&self, shown: &[usize], widths: &[usize], out: &mut dyn Write) -> io::Result<()> {
        self.write_line(shown, |index| Some((self.columns.get(index)?.heading, HEADING)), widths, out)?;
        for row in &self.rows {
            match row {
                Row::Heading(text) => writeln!(out, "\n{HEADING}{text}{HEADING:#}")?,
                Row::Cells(cells) => {
                    let cell =
                        |index: usize| Some((cells.get(index)?.as_str(), self.columns.get(index)?.style));
                    self.write_line(shown, cell, widths, out)?;
                }
            }
        }
        Ok(())
    }

    fn write_line<'a>(
        &self,
        shown: &[usize],
        cell: impl Fn(usize) -> Option<(&'a str, Style)>,
        widths: &[usize],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        // Blanks are held back until a text follows them, so that no line ends in blanks.
        let mut blanks = 0;
        for index in shown {
            let (Some((text, style)), Some(column), Some(width_of_column)) =
                (cell(*index), self.columns.get(*index), widths.get(*index))
            else {
                continue;
            };
            let text = shorten(text, *width_of_column);
            let missing = width_of_column.saturating_sub(width(&text));
            let (before, after) = match column.align {
                Align::Left => (0, missing),
                Align::Right => (missing, 0),
            };
            blanks += before;
            if !text.is_empty() {
                write!(out, "{:blanks$}{style}{text}{style:#}", "")?;
                blanks = 0;
            }
            blanks += after + GAP.len();
        }
        writeln!(out)
    }
}

/// At most `limit` characters of a text.
pub(crate) fn shorten(text: &str, limit: usize) -> Cow<'_, str> {
    if width(text) <= limit {
        return Cow::Borrowed(text);
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    Cow::Owned(short)
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

    #[test]
    fn what_is_too_wide_becomes_several_tables() {
        let column = |heading, align| Column { heading, align, style: Style::new() };
        let mut table = Table::new(vec![
            column("vertex", Align::Left),
            column("records in", Align::Right),
            column("records out", Align::Right),
            column("busy %", Align::Right),
        ]);
        table.row(vec!["Source: flights -> by airport".into(), "1".into(), "27,004".into(), "97, 99".into()]);
        let written = |available| {
            let mut out = anstream::StripStream::new(Vec::new());
            table.write_within(available, &mut out).unwrap();
            String::from_utf8(out.into_inner()).unwrap()
        };
        let mut whole = anstream::StripStream::new(Vec::new());
        table.write(&mut whole).unwrap();
        assert_eq!(written(200), String::from_utf8(whole.into_inner()).unwrap());
        assert_eq!(
            written(55),
            "vertex                records in  records out  busy %\n\
             Source: flights -> …           1       27,004  97, 99\n"
                .replace("vertex                ", "vertex                  ")
                .replace("Source: flights -> …  ", "Source: flights -> by…  ")
        );
        assert_eq!(
            written(40),
            "vertex                records in\n\
             Source: flights -> …           1\n\
             \n\
             vertex                records out\n\
             Source: flights -> …       27,004\n\
             \n\
             vertex                busy %\n\
             Source: flights -> …  97, 99\n"
        );
        for available in 33..80 {
            assert!(
                written(available).lines().all(|line| width(line) <= available),
                "{}",
                written(available)
            );
        }
    }
}
