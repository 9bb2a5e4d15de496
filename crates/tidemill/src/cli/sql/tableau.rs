//! Changes of a result line by line, as Flink's `tableau` shows them: columns have the width of their types, as nobody knows what
//! will come.

use std::fmt::Write as _;
use std::io::{self, Write};

use tidemill_core::batch::RowKind;
use tidemill_sql::types::{LogicalType, TypeRoot};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands for NULL.
pub(super) const NULL: &str = "<NULL>";

/// What is written in front of a row.
pub(super) fn sign(kind: RowKind) -> &'static str {
    match kind {
        RowKind::Insert => "+I",
        RowKind::UpdateBefore => "-U",
        RowKind::UpdateAfter => "+U",
        RowKind::Delete => "-D",
    }
}

/// How wide the column `name` of values of `logical` is.
pub(super) fn column_width(name: &str, logical: &LogicalType, most: usize) -> usize {
    // A second with so many digits.
    let seconds = |base: usize, digits: u8| match digits {
        0 => base,
        digits => base + 1 + usize::from(digits.max(3)),
    };
    let of_values = match logical.root {
        TypeRoot::TinyInt => 4,
        TypeRoot::SmallInt => 6,
        TypeRoot::Int => 11,
        TypeRoot::BigInt => 20,
        TypeRoot::Decimal(precision, _) => usize::from(precision) + 2,
        TypeRoot::Boolean => 5,
        TypeRoot::Date => 10,
        TypeRoot::Time(digits) => seconds(8, digits),
        TypeRoot::Timestamp(digits) | TypeRoot::TimestampLtz(digits) => seconds(19, digits),
        _ => most,
    };
    of_values.max(NULL.len()).max(name.width())
}

/// A text in a column: cut when it is too wide, on the right.
pub(super) fn cell(text: &str, width: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let own = text.width();
    if own <= width {
        return format!("{}{text}", " ".repeat(width - own));
    }
    const CUT: &str = "...";
    let room = width.saturating_sub(CUT.len());
    let (mut short, mut used) = (String::new(), 0);
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        short.push(c);
    }
    let cut: String = CUT.chars().take(width.min(CUT.len())).collect();
    let missing = width.saturating_sub(short.width() + cut.len());
    format!("{short}{cut}{}", " ".repeat(missing))
}

/// A table that is written as its rows come.
pub(super) struct Tableau {
    widths: Vec<usize>,
}

impl Tableau {
    /// Writes the head of a table.
    pub(super) fn begin(
        columns: &[(String, LogicalType)],
        most: usize,
        out: &mut dyn Write,
    ) -> io::Result<Self> {
        let widths = columns.iter().map(|(name, logical)| column_width(name, logical, most)).collect();
        let tableau = Self { widths };
        tableau.rule(out)?;
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        tableau.line("op", &names, out)?;
        tableau.rule(out)?;
        Ok(tableau)
    }

    /// Writes a row.
    pub(super) fn row(&self, kind: RowKind, cells: &[Option<String>], out: &mut dyn Write) -> io::Result<()> {
        let cells: Vec<&str> = cells.iter().map(|cell| cell.as_deref().unwrap_or(NULL)).collect();
        self.line(sign(kind), &cells, out)
    }

    /// Writes the line below the last row.
    pub(super) fn rule(&self, out: &mut dyn Write) -> io::Result<()> {
        let parts: Vec<String> = self.widths.iter().map(|width| "-".repeat(width + 2)).collect();
        writeln!(out, "+----+{}+", parts.join("+"))
    }

    fn line(&self, sign: &str, cells: &[&str], out: &mut dyn Write) -> io::Result<()> {
        let mut text = format!("| {sign} |");
        for (text_of_cell, width) in cells.iter().zip(&self.widths) {
            let _ = write!(text, " {} |", cell(text_of_cell, *width));
        }
        writeln!(out, "{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_below_their_heads_as_in_flink() {
        let columns = [
            ("name".to_owned(), TypeRoot::STRING.nullable()),
            ("cnt".to_owned(), TypeRoot::BigInt.not_null()),
            ("at".to_owned(), TypeRoot::Timestamp(3).nullable()),
        ];
        let mut out = Vec::new();
        let tableau = Tableau::begin(&columns, 10, &mut out).unwrap();
        let row = |texts: [Option<&str>; 3]| texts.map(|text| text.map(str::to_owned));
        tableau.row(RowKind::Insert, &row([Some("Bob"), Some("1"), None]), &mut out).unwrap();
        tableau
            .row(RowKind::UpdateAfter, &row([Some("a very long name"), Some("-2"), Some("日本")]), &mut out)
            .unwrap();
        tableau.rule(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "+----+------------+----------------------+-------------------------+\n\
             | op |       name |                  cnt |                      at |\n\
             +----+------------+----------------------+-------------------------+\n\
             | +I |        Bob |                    1 |                  <NULL> |\n\
             | +U | a very ... |                   -2 |                    日本 |\n\
             +----+------------+----------------------+-------------------------+\n"
        );
    }

    #[test]
    fn no_cell_is_wider_or_narrower_than_its_column() {
        for text in ["", "a", "日本語の文", "tab\tand\nline", "a̐éö̲"] {
            for width in 1..12 {
                assert_eq!(cell(text, width).width(), width, "{text} {width}");
            }
        }
    }
}
