//! A result on the whole screen, while its job runs: the table, updated in place, or its last changes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anstyle::Style;
use chrono_tz::Tz;
use tidemill_core::batch::RowKind;
use tidemill_runtime::OperatorError;
use tidemill_sql::results::cell;
use tidemill_sql::session::SqlResultTable;
use tidemill_sql::types::LogicalType;
use tidemill_sql::{MaterializedTable, ResultBatch, ResultChanges};
use unicode_width::UnicodeWidthStr;

use super::screen::{Key, Screen};
use super::tableau::{self, NULL, sign};
use crate::Error;
use crate::embedded::BackgroundJob;

const TITLE: Style = Style::new().bold();
const HEAD: Style = Style::new().bold().underline();
const FOOT: Style = Style::new().dimmed();

/// How often the screen is drawn, to choose from; the last is never.
const INTERVALS: [(Option<Duration>, &str); 7] = [
    (Some(Duration::from_millis(100)), "100 ms"),
    (Some(Duration::from_millis(500)), "500 ms"),
    (Some(Duration::from_secs(1)), "1 s"),
    (Some(Duration::from_secs(5)), "5 s"),
    (Some(Duration::from_secs(10)), "10 s"),
    (Some(Duration::from_secs(60)), "1 min"),
    (None, "-"),
];
const USUAL_INTERVAL: usize = 2;

/// How long a key is waited for before changes are looked at again.
const TICK: Duration = Duration::from_millis(20);

/// A row as it is shown: what happened to it, and its cells.
type Shown = (Option<RowKind>, Vec<String>);

/// What is shown.
enum Content {
    Table(MaterializedTable),
    Changelog { rows: VecDeque<Shown>, most: usize },
}

/// Which page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Number(usize),
    /// Whichever is the last.
    Last,
}

struct View<'a> {
    result: &'a SqlResultTable,
    types: Vec<LogicalType>,
    widths: Vec<usize>,
    zone: Tz,
    content: Content,
    page: Page,
    /// The first column that is shown.
    left: usize,
    interval: usize,
    state: &'static str,
    shows_help: bool,
}

/// What became of a view.
pub(super) struct Seen {
    /// How many rows or changes there were at the end.
    pub(super) rows: usize,
    /// Whether it was left before the job had ended.
    pub(super) is_left_early: bool,
}

/// What a view is made with.
pub(super) struct Settings {
    /// The changes, not the table.
    pub(super) changelog: bool,
    /// How many rows are kept.
    pub(super) most: usize,
    /// How wide a column is that says not itself how wide it is.
    pub(super) column_width: usize,
    pub(super) zone: Tz,
}

/// Shows a result until whoever looks at it has enough. The job goes on then.
pub(super) fn show(
    result: &SqlResultTable,
    changes: &ResultChanges,
    job: &BackgroundJob,
    settings: &Settings,
) -> Result<Seen, Error> {
    let mut screen = Screen::open()?;
    let mut view = View::new(result, settings);
    let mut drawn: Option<Instant> = None;
    let mut is_new = true;
    loop {
        let waited = Instant::now();
        while let Some(batch) = changes.next(Duration::ZERO) {
            view.take(&batch).map_err(Error::Result)?;
            is_new = true;
            if waited.elapsed() > TICK {
                break;
            }
        }
        let has_ended = job.has_ended();
        if has_ended && job.status() == "FAILED" {
            // Why, is told in the shell.
            return Ok(Seen { rows: view.count(), is_left_early: false });
        }
        let state = if has_ended { "finished" } else { "running" };
        // The end is seen at once.
        let is_due = match (drawn, INTERVALS[view.interval].0) {
            (None, _) => true,
            (Some(at), Some(interval)) => (is_new && at.elapsed() >= interval) || state != view.state,
            (Some(_), None) => state != view.state,
        };
        view.state = state;
        if is_due {
            let (width, height) = screen.size();
            screen.draw(&view.frame(width, height).map_err(Error::Result)?)?;
            (drawn, is_new) = (Some(Instant::now()), false);
        }
        if let Some(key) = screen.key(TICK)? {
            let (_, height) = screen.size();
            if view.press(key, height) {
                return Ok(Seen { rows: view.count(), is_left_early: !has_ended });
            }
            drawn = None;
        }
    }
}

impl<'a> View<'a> {
    fn new(result: &'a SqlResultTable, settings: &Settings) -> Self {
        let widths = result
            .columns
            .iter()
            .map(|(name, logical)| tableau::column_width(name, logical, settings.column_width));
        let content = if settings.changelog {
            Content::Changelog { rows: VecDeque::new(), most: settings.most }
        } else {
            Content::Table(result.materialized(settings.most))
        };
        // What is in order begins with what matters.
        let is_ordered = result.order.is_any() && !settings.changelog;
        Self {
            result,
            types: result.columns.iter().map(|(_, logical)| logical.clone()).collect(),
            widths: widths.collect(),
            zone: settings.zone,
            content,
            page: if is_ordered { Page::Number(0) } else { Page::Last },
            left: 0,
            interval: USUAL_INTERVAL,
            state: "running",
            shows_help: false,
        }
    }

    fn take(&mut self, batch: &ResultBatch) -> Result<(), OperatorError> {
        match &mut self.content {
            Content::Table(table) => table.apply(batch),
            Content::Changelog { rows, most } => {
                let shown = self.result.order.shown(&batch.rows)?;
                // Of more than are kept only the last are looked at.
                let skipped = shown.num_rows().saturating_sub(*most);
                for row in skipped..shown.num_rows() {
                    let cells = shown.columns().iter().zip(&self.types);
                    let cells = cells.map(|(column, logical)| {
                        cell(column, logical, self.zone, row).unwrap_or_else(|| NULL.to_owned())
                    });
                    rows.push_back((Some(batch.kind(row)), cells.collect()));
                }
                rows.drain(..rows.len().saturating_sub(*most));
            }
        }
        Ok(())
    }

    fn count(&self) -> usize {
        match &self.content {
            Content::Table(table) => table.len(),
            Content::Changelog { rows, .. } => rows.len(),
        }
    }

    fn rows(&self, skip: usize, take: usize) -> Result<Vec<Shown>, OperatorError> {
        let table = match &self.content {
            Content::Changelog { rows, .. } => {
                return Ok(rows.iter().skip(skip).take(take).cloned().collect());
            }
            Content::Table(table) => table,
        };
        let order = &self.result.order;
        let page = if order.is_any() {
            let all = order.apply(table.rows(0, usize::MAX)?)?;
            let start = skip.min(all.num_rows());
            all.slice(start, take.min(all.num_rows() - start))
        } else {
            order.shown(&table.rows(skip, take)?)?
        };
        let row = |row: usize| {
            let cells = page.columns().iter().zip(&self.types);
            let cells = cells.map(|(column, logical)| {
                cell(column, logical, self.zone, row).unwrap_or_else(|| NULL.to_owned())
            });
            (None, cells.collect())
        };
        Ok((0..page.num_rows()).map(row).collect())
    }

    /// How many rows fit between the title, the heads and the keys.
    fn page_rows(height: usize) -> usize {
        height.saturating_sub(6).max(1)
    }

    fn pages(&self, height: usize) -> usize {
        self.count().div_ceil(Self::page_rows(height)).max(1)
    }

    fn current(&self, height: usize) -> usize {
        let last = self.pages(height) - 1;
        match self.page {
            Page::Number(number) => number.min(last),
            Page::Last => last,
        }
    }

    /// Whether that is the end.
    fn press(&mut self, key: Key, height: usize) -> bool {
        let (current, last) = (self.current(height), self.pages(height) - 1);
        match key {
            Key::Leave | Key::Character('q' | 'Q') => return true,
            Key::Escape if !self.shows_help => return true,
            Key::Escape => self.shows_help = false,
            Key::Character('h' | 'H' | '?') => self.shows_help = !self.shows_help,
            Key::PageDown | Key::Down | Key::Character('n' | 'N' | ' ') => {
                self.page = if current + 1 >= last { Page::Last } else { Page::Number(current + 1) };
            }
            Key::PageUp | Key::Up | Key::Character('p' | 'P') => {
                self.page = Page::Number(current.saturating_sub(1));
            }
            Key::Home | Key::Character('g' | 'G') => self.page = Page::Number(0),
            Key::End | Key::Character('l' | 'L') => self.page = Page::Last,
            Key::Left => self.left = self.left.saturating_sub(1),
            Key::Right => self.left = (self.left + 1).min(self.widths.len().saturating_sub(1)),
            Key::Character('+') => self.interval = (self.interval + 1).min(INTERVALS.len() - 1),
            Key::Character('-') => self.interval = self.interval.saturating_sub(1),
            // Any key has it drawn.
            Key::Character(_) => {}
        }
        false
    }

    fn frame(&self, width: usize, height: usize) -> Result<Vec<String>, OperatorError> {
        let what = match self.content {
            Content::Table(_) => "Table",
            Content::Changelog { .. } => "Changelog",
        };
        let mut lines = vec![styled(TITLE, &cut(&format!("SQL Query Result ({what})"), width))];
        let current = self.current(height);
        let page = match self.page {
            Page::Last => format!("Last of {}", self.pages(height)),
            Page::Number(_) => format!("{} of {}", current + 1, self.pages(height)),
        };
        lines.push(cut(
            &format!(
                "Refresh: {}   Page: {page}   Rows: {}   Query: {}",
                INTERVALS[self.interval].1,
                self.count(),
                self.state
            ),
            width,
        ));
        lines.push(String::new());
        let room = Self::page_rows(height);
        if self.shows_help {
            lines.extend(KEYS.lines().take(room + 1).map(|line| cut(line, width)));
        } else {
            let columns = self.result.columns.iter().map(|(name, _)| name.as_str());
            lines.push(self.line(None, &columns.collect::<Vec<_>>(), HEAD, width));
            for (kind, cells) in self.rows(current * room, room)? {
                let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
                lines.push(self.line(kind, &cells, Style::new(), width));
            }
        }
        while lines.len() + 1 < height {
            lines.push(String::new());
        }
        lines.truncate(height.saturating_sub(1));
        let keys = "Q Quit   N/P Next/previous page   G/L First/last   ←/→ Columns   +/- Refresh   H Help";
        lines.push(styled(FOOT, &cut(keys, width)));
        lines.truncate(height);
        Ok(lines)
    }

    fn line(&self, kind: Option<RowKind>, cells: &[&str], style: Style, width: usize) -> String {
        let mut text = match (&self.content, kind) {
            (Content::Changelog { .. }, Some(kind)) => format!(" {} ", sign(kind)),
            (Content::Changelog { .. }, None) => " op ".to_owned(),
            _ => String::new(),
        };
        let mut used = text.width();
        for (value, wanted) in cells.iter().zip(&self.widths).skip(self.left) {
            let left = width.saturating_sub(used + 1);
            if left == 0 {
                break;
            }
            let shown = tableau::cell(value, (*wanted).min(left));
            used += 1 + shown.width();
            text.push(' ');
            text += &styled(style, &shown);
        }
        text
    }
}

const KEYS: &str = "\
Q, Esc, Ctrl-C     back to the shell; a query that still runs is ended
N, PgDn, ↓         next page
P, PgUp, ↑         previous page
G, Home            first page
L, End             last page, also when more rows come
←, →               other columns
+, -               draw less or more often
R                  draw now
H                  this help";

fn styled(style: Style, text: &str) -> String {
    if anstream::AutoStream::choice(&std::io::stdout()) == anstream::ColorChoice::Never {
        return text.to_owned();
    }
    format!("{style}{text}{style:#}")
}

fn cut(text: &str, width: usize) -> String {
    let mut used = 0;
    let fits = |c: &char| {
        used += unicode_width::UnicodeWidthChar::width(*c).unwrap_or(0);
        used <= width
    };
    text.chars().take_while(fits).collect()
}
