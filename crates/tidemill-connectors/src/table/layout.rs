//! How a table is laid out in the width that there is.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Table;
use crate::print::kind_text;
use tidemill_core::batch::RowKind;

/// A column of texts is not made narrower than this, nor than its values need to differ.
const NARROWEST: usize = 12;
const GAP: usize = 2;

struct Column<'a> {
    name: &'a str,
    /// The name on one line, or on two.
    heading: Vec<&'a str>,
    cells: Vec<&'a str>,
    is_number: bool,
    width: usize,
}

/// The table as text; no line is wider than `available`.
pub(super) fn render(title: &str, table: &Table, available: Option<usize>) -> String {
    let available = available.unwrap_or(usize::MAX).max(1);
    let mut text = String::from("\n");
    wrap(title, available, &mut text);
    let mut columns = columns(table);
    let hidden = fit(&mut columns, available);
    let heading_lines = columns.iter().map(|column| column.heading.len()).max().unwrap_or(0);
    for line in 0..heading_lines {
        // Short headings stand on the last line, next to their column.
        let cells = columns.iter().map(|column| {
            let above = heading_lines - column.heading.len();
            line.checked_sub(above).and_then(|line| column.heading.get(line)).copied().unwrap_or_default()
        });
        push_line(&columns, cells, &mut text);
    }
    if !columns.is_empty() {
        let rules: Vec<String> = columns.iter().map(|column| "─".repeat(column.width)).collect();
        text.push_str(&rules.join(&" ".repeat(GAP)));
        text.push('\n');
    }
    for row in 0..table.rows.len() {
        push_line(&columns, columns.iter().map(|column| column.cells[row]), &mut text);
    }
    let more = match (table.rows.len(), table.more) {
        (0, 0) => "(no rows)".to_owned(),
        (_, 0) => String::new(),
        (_, 1) => "… and 1 more row".to_owned(),
        (_, more) => format!("… and {more} more rows"),
    };
    wrap(&more, available, &mut text);
    if !hidden.is_empty() {
        wrap(&format!("Not shown, for want of width: {}", hidden.join(", ")), available, &mut text);
    }
    text
}

fn push_line<'a>(columns: &[Column<'_>], cells: impl Iterator<Item = &'a str>, text: &mut String) {
    let mut line = String::new();
    for (index, (column, cell)) in columns.iter().zip(cells).enumerate() {
        if index > 0 {
            line.push_str(&" ".repeat(GAP));
        }
        let cell = cut(cell, column.width);
        let padding = " ".repeat(column.width.saturating_sub(cell.width()));
        if column.is_number {
            line.extend([padding.as_str(), &cell]);
        } else {
            line.extend([cell.as_str(), &padding]);
        }
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn columns(table: &Table) -> Vec<Column<'_>> {
    let mut columns = Vec::new();
    if table.rows.iter().any(|row| row.change.is_some()) {
        let inserted = kind_text(RowKind::Insert);
        let cells = table.rows.iter().map(|row| row.change.as_deref().unwrap_or(inserted)).collect();
        columns.push(Column { name: "op", heading: vec!["op"], cells, is_number: false, width: 0 });
    }
    for (index, heading) in table.headings.iter().enumerate() {
        let name = heading.name.as_str();
        let cells = table.rows.iter().map(|row| row.cells.get(index).map_or("", String::as_str)).collect();
        let is_number = heading.is_number;
        columns.push(Column { name, heading: vec![name], cells, is_number, width: 0 });
    }
    for column in &mut columns {
        column.width = column.of_cells().max(column.of_heading());
    }
    columns
}

impl Column<'_> {
    fn of_cells(&self) -> usize {
        self.cells.iter().map(|cell| cell.width()).max().unwrap_or(0)
    }

    fn of_heading(&self) -> usize {
        self.heading.iter().map(|line| line.width()).max().unwrap_or(0)
    }

    /// How narrow it may become: numbers are not cut at all, texts as long as those that differ still do.
    fn narrowest(&self) -> usize {
        if self.is_number {
            return self.width;
        }
        let mut cells = self.cells.clone();
        cells.sort_unstable();
        cells.dedup();
        let common = |pair: &[&str]| {
            let (one, other) = (pair[0].chars(), pair[1].chars());
            let same = one.zip(other).take_while(|(one, other)| one == other);
            same.map(|(c, _)| c.width().unwrap_or(0)).sum::<usize>()
        };
        // Behind what is common, a character that differs and the ellipsis.
        let needed = cells.windows(2).map(|pair| common(pair) + 3).max().unwrap_or(0);
        needed.max(NARROWEST).min(self.width)
    }

    /// Puts the name on two lines where that makes the column narrower.
    fn break_heading(&mut self) {
        let breaks = self.name.char_indices().filter(|(_, c)| matches!(c, '_' | '-' | ' ' | '.' | '/'));
        let halves = breaks.map(|(at, _)| self.name.split_at(at + 1)).filter(|(_, rest)| !rest.is_empty());
        let best = halves.min_by_key(|(one, other)| one.width().max(other.width()));
        if let Some((one, other)) = best
            && self.of_cells() < self.of_heading()
        {
            self.heading = vec![one, other];
            self.width = self.of_cells().max(self.of_heading());
        }
    }
}

/// Makes the columns fit, and says which had to go.
fn fit<'a>(columns: &mut Vec<Column<'a>>, available: usize) -> Vec<&'a str> {
    let total = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    let mut widths: Vec<usize> = columns.iter().map(|column| column.width).collect();
    if total(&widths) <= available {
        return Vec::new();
    }
    columns.iter_mut().for_each(Column::break_heading);
    let narrowest: Vec<usize> = columns.iter().map(Column::narrowest).collect();
    let shown = (1..=columns.len()).rev().find(|shown| total(&narrowest[..*shown]) <= available).unwrap_or(1);
    let hidden = columns.split_off(shown).into_iter().map(|column| column.name).collect();
    widths = columns.iter().map(|column| column.width).collect();
    // One character at a time from the column that may give most.
    while total(&widths) > available {
        let slack = |index: &usize| widths[*index].saturating_sub(narrowest[*index]);
        let Some(widest) = (0..shown).filter(|index| slack(index) > 0).max_by_key(slack) else { break };
        widths[widest] -= 1;
    }
    for (column, width) in columns.iter_mut().zip(widths) {
        // Where there is no room even for the first column, it is cut.
        column.width = width.min(available);
    }
    hidden
}

fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut taken = 0;
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken + 1 > width {
            break;
        }
        shown.push(c);
    }
    shown.push('…');
    shown
}

/// Appends a text as lines that are broken between words; nothing for no text.
fn wrap(text: &str, available: usize, out: &mut String) {
    let mut line = String::new();
    for word in text.split(' ') {
        let word = cut(word, available);
        if !line.is_empty() && line.width() + 1 + word.width() > available {
            out.push_str(&line);
            out.push('\n');
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() {
        out.push_str(&line);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::table::{Heading, Row};

    fn table(names: &[(&str, bool)], rows: &[&[&str]]) -> Table {
        let heading =
            |(name, is_number): &(&str, bool)| Heading { name: (*name).to_owned(), is_number: *is_number };
        let row = |(number, cells): (usize, &&[&str])| Row {
            number: number as u64,
            change: None,
            cells: cells.iter().map(|cell| (*cell).to_owned()).collect(),
        };
        Table {
            headings: names.iter().map(heading).collect(),
            rows: rows.iter().enumerate().map(row).collect(),
            more: 4,
        }
    }

    #[test]
    fn names_break_before_texts_are_cut_and_columns_go() {
        let names = [("hour", false), ("number_of_flights", true), ("remark", false), ("mean_delay", true)];
        let rows: [&[&str]; 2] = [
            &["2013-01-01 05:00", "12", "fog over the whole of the river", "3.5"],
            &["2013-01-01 06:00", "7", "NULL", "-1.25"],
        ];
        let shown = |width| render("Delays by hour", &table(&names, &rows), Some(width));
        assert_eq!(
            shown(70),
            "\nDelays by hour\n\
             \x20                    number_                                   mean_\n\
             hour              of_flights  remark                           delay\n\
             ────────────────  ──────────  ───────────────────────────────  ─────\n\
             2013-01-01 05:00          12  fog over the whole of the river    3.5\n\
             2013-01-01 06:00           7  NULL                             -1.25\n\
             … and 4 more rows\n"
        );
        assert_eq!(
            shown(50),
            "\nDelays by hour\n\
             \x20                    number_                 mean_\n\
             hour              of_flights  remark         delay\n\
             ────────────────  ──────────  ─────────────  ─────\n\
             2013-01-01 05:00          12  fog over the…    3.5\n\
             2013-01-01 06:00           7  NULL           -1.25\n\
             … and 4 more rows\n"
        );
        assert_eq!(
            shown(30),
            "\nDelays by hour\n\
             \x20                    number_\n\
             hour              of_flights\n\
             ────────────────  ──────────\n\
             2013-01-01 05:00          12\n\
             2013-01-01 06:00           7\n\
             … and 4 more rows\n\
             Not shown, for want of width:\n\
             remark, mean_delay\n"
        );
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide(
            names in proptest::collection::vec(("[a-z_ ]{1,20}", any::<bool>()), 1..12),
            cells in proptest::collection::vec("[a-z0-9東 ]{0,30}", 12..60),
            width in 1usize..120,
        ) {
            let names: Vec<(&str, bool)> = names.iter().map(|(name, number)| (name.as_str(), *number)).collect();
            let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            let rows: Vec<&[&str]> = cells.chunks_exact(names.len()).collect();
            let text = render("A title of some words", &table(&names, &rows), Some(width));
            for line in text.lines() {
                prop_assert!(line.width() <= width.max(1), "{line:?} in\n{text}");
            }
        }
    }
}
