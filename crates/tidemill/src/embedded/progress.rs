//! The live line of a running job: how far it is, how fast, what time it is in the stream, and who is busiest.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tidemill_core::config::options::Progress;
use tidemill_core::time::Watermark;
use tidemill_runtime::cluster::JobHandle;
use tidemill_runtime::console;
use tidemill_runtime::metrics::{TaskState, TimeTotals};

use crate::cli::table::shorten;

/// How often a line is printed where no terminal can show a live one.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub(crate) struct LiveLine {
    style: Style,
    started: Instant,
    last: Option<Reading>,
}

enum Style {
    /// Nothing is shown.
    Silent,
    /// One line that is drawn over and over.
    Live(ProgressBar),
    /// Lines, one below the other.
    Lines { next: Instant },
}

/// What the job had counted at some moment.
struct Reading {
    at: Instant,
    records: u64,
    times: Vec<TimeTotals>,
    rate: f64,
}

impl LiveLine {
    pub(crate) fn new(progress: Progress) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let started = Instant::now();
        let style = match progress {
            Progress::Never => Style::Silent,
            Progress::Auto if !terminal => Style::Silent,
            Progress::Always if !terminal => Style::Lines { next: started },
            _ => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                    bar.set_style(style);
                }
                let drawn = bar.clone();
                console::set_live_line(Some(Arc::new(move |print| drawn.suspend(print))));
                Style::Live(bar)
            }
        };
        Self { style, started, last: None }
    }

    /// Shows how the job is doing now.
    pub(crate) fn update(&mut self, job: &JobHandle) {
        let now = Instant::now();
        match &mut self.style {
            Style::Silent => return,
            Style::Lines { next } if now < *next => return,
            Style::Lines { next } => *next = now + LINE_EVERY,
            Style::Live(_) => {}
        }
        let text = self.describe(job, now);
        match &self.style {
            Style::Silent => {}
            Style::Live(bar) => {
                bar.set_message(text);
                bar.tick();
            }
            // A closed stderr must not stop a job.
            Style::Lines { .. } => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }

    /// Says something above the live line, where there is one.
    pub(crate) fn say(&self, text: &str) {
        if !matches!(self.style, Style::Silent) {
            // A closed stderr must not stop a job.
            console::print(|| drop(writeln!(std::io::stderr(), "{text}")));
        }
    }

    /// Takes the live line away and says in one line how it ended.
    pub(crate) fn finish(&mut self, job: &JobHandle, finished: bool) {
        if let Style::Live(bar) = &self.style {
            console::set_live_line(None);
            bar.finish_and_clear();
        }
        if matches!(self.style, Style::Silent) || !finished {
            return;
        }
        let (records, _) = read(job);
        let took = self.started.elapsed();
        let rate = records as f64 / took.as_secs_f64().max(1e-3);
        let _ = writeln!(
            std::io::stderr(),
            "Job '{}' finished in {:.1} s: {} records read, {} per second",
            job.graph().name,
            took.as_secs_f64(),
            HumanCount(records),
            HumanCount(rate as u64)
        );
    }

    fn describe(&mut self, job: &JobHandle, now: Instant) -> String {
        let (records, times) = read(job);
        let rate = match &self.last {
            Some(last) => {
                let seconds = now.duration_since(last.at).as_secs_f64().max(1e-3);
                let current = (records.saturating_sub(last.records)) as f64 / seconds;
                // Readable beats exact: the figure follows over about a second.
                if last.rate > 0.0 { last.rate * 0.8 + current * 0.2 } else { current }
            }
            None => records as f64 / now.duration_since(self.started).as_secs_f64().max(1e-3),
        };
        let busiest = busiest(job, self.last.as_ref().map(|last| last.times.as_slice()), &times);
        let graph = job.graph();
        let state = State {
            job: &graph.name,
            fraction: fraction(job),
            elapsed: now.duration_since(self.started),
            rate: rate as u64,
            watermark: watermark(job),
            busiest: busiest.as_ref().map(|(name, busy)| (&**name, *busy)),
        };
        let line = state.line(self.width());
        self.last = Some(Reading { at: now, records, times, rate });
        line
    }

    /// How many characters there are for the line.
    fn width(&self) -> usize {
        match &self.style {
            // The spinner and a blank stand before it, and the last place stays free: some terminals break the line there.
            Style::Live(_) => terminal_size::terminal_size_of(std::io::stderr())
                .map_or(usize::MAX, |(width, _)| usize::from(width.0).saturating_sub(3)),
            _ => usize::MAX,
        }
    }
}

/// What the line says.
struct State<'a> {
    job: &'a str,
    fraction: Option<f64>,
    elapsed: Duration,
    rate: u64,
    watermark: Watermark,
    /// A vertex, and how busy it is in percent.
    busiest: Option<(&'a str, f64)>,
}

impl State<'_> {
    /// At most `width` characters. Where there is less room than all takes, the least important goes first: the end of the
    /// busiest vertex's name, the job's name, the bar, words that can be guessed, digits. Down to 57 characters, the line has
    /// how far the job is, how fast, its watermark, and who is busiest.
    fn line(&self, width: usize) -> String {
        const STEPS: u32 = 6;
        for step in 0..=STEPS {
            let before = self.before(step);
            let room = width.saturating_sub(before.chars().count());
            let Some((name, busy)) = self.busiest else {
                if room > 0 || step == STEPS {
                    return shorten(&before, width).into_owned();
                }
                continue;
            };
            let (label, busy) = (if step < 4 { "  busiest: " } else { "  " }, format!(" {busy:.0} %"));
            let room = room.saturating_sub(label.len() + busy.len());
            // Before anything else is given up, the name is made short, but not too short to be known.
            let enough = name.chars().count().min(if step == STEPS { 6 } else { 20 });
            if room >= enough {
                return format!("{before}{label}{}{busy}", shorten(name, room.min(40)));
            }
        }
        shorten(&self.before(STEPS), width).into_owned()
    }

    /// What stands before the busiest vertex, after so many steps of making it shorter.
    fn before(&self, step: u32) -> String {
        let mut parts = Vec::new();
        if step < 1 {
            parts.push(self.job.to_owned());
        }
        let bar_places = [20, 20, 10].get(step as usize).copied().unwrap_or(0);
        parts.push(match self.fraction {
            Some(fraction) if bar_places > 0 => {
                format!("{} {:>3.0} %", bar(fraction, bar_places), fraction * 100.0)
            }
            Some(fraction) => format!("{:>3.0} %", fraction * 100.0),
            None if step < 3 => HumanDuration(self.elapsed).to_string(),
            None => format!("{} s", self.elapsed.as_secs()),
        });
        let rate = HumanCount(self.rate).to_string();
        parts.push(if step < 4 {
            format!("{rate} records/s")
        } else {
            format!("{}/s", short_count(self.rate))
        });
        let watermark = self.watermark.to_string();
        parts.push(match step {
            0..4 => format!("watermark {watermark}"),
            4 => format!("wm {watermark}"),
            _ => format!("wm {}", without_fraction(&watermark)),
        });
        parts.join("  ")
    }
}

/// A count of at most six characters: `27004`, `1.23M`.
fn short_count(count: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    match UNITS.iter().find(|(unit, _)| count >= *unit && count >= 100_000) {
        Some((unit, name)) => format!("{:.1}{name}", count as f64 / *unit as f64),
        None => count.to_string(),
    }
}

/// A time without milliseconds.
fn without_fraction(time: &str) -> &str {
    time.split_once('.').map_or(time, |(seconds, _)| seconds)
}

fn bar(fraction: f64, places: usize) -> String {
    let full = (fraction.clamp(0.0, 1.0) * places as f64).round() as usize;
    format!("[{}{}]", "█".repeat(full), "·".repeat(places.saturating_sub(full)))
}

/// Records that the sources have read, and the times of all tasks.
fn read(job: &JobHandle) -> (u64, Vec<TimeTotals>) {
    let metrics = job.metrics();
    let tasks = &metrics.tasks;
    let sources = tasks.iter().filter_map(|task| task.operators.first());
    let records = sources
        .filter(|(_, _, metrics)| metrics.own_value(PROGRESS).is_some())
        .map(|(_, _, metrics)| metrics.records_out.get())
        .sum();
    (records, tasks.iter().map(|task| task.times.totals()).collect())
}

/// The gauges of a source operator.
const PROGRESS: &str = "sourceProgress";
const TOTAL: &str = "sourceTotal";

/// How much of the input has been read, when all sources know how much there is.
fn fraction(job: &JobHandle) -> Option<f64> {
    let (mut done, mut total) = (0, 0);
    // Each subtask counts what it has read; how much there is, each one knows for all.
    let metrics = job.metrics();
    for vertex in &job.graph().vertices {
        let tasks = metrics.tasks.iter().filter(|task| task.vertex == vertex.id);
        let mut of_vertex = None;
        for task in tasks {
            let Some((_, _, metrics)) = task.operators.first() else { continue };
            let Some(read) = metrics.own_value(PROGRESS) else { continue };
            let all = metrics.own_value(TOTAL).filter(|total| *total >= 0)?;
            done += read;
            of_vertex = of_vertex.max(Some(all));
        }
        total += of_vertex.unwrap_or(0);
    }
    (total > 0).then(|| done as f64 / total as f64)
}

/// The lowest watermark of all running tasks: how far event time has got in the whole job.
fn watermark(job: &JobHandle) -> Watermark {
    let metrics = job.metrics();
    let tasks = metrics.tasks.iter().filter(|task| task.state() == TaskState::Running);
    let outputs = tasks
        .filter_map(|task| task.operators.last())
        .map(|(_, _, metrics)| metrics.output_watermark.get().max(metrics.input_watermark.get()));
    outputs.min().map_or(Watermark::MAX, Watermark)
}

/// The vertex whose busiest subtask was busiest since the last reading, with that share in percent.
fn busiest(job: &JobHandle, before: Option<&[TimeTotals]>, now: &[TimeTotals]) -> Option<(Arc<str>, f64)> {
    let zero = TimeTotals::default();
    let metrics = job.metrics();
    let tasks = &metrics.tasks;
    let shares = tasks.iter().zip(now).enumerate().map(|(index, (task, totals))| {
        let earlier = before.and_then(|before| before.get(index)).unwrap_or(&zero);
        let recent = totals.since(earlier);
        (task, recent.busy() as f64 * 100.0 / recent.elapsed.max(1) as f64)
    });
    let running = shares.filter(|(task, _)| task.state() == TaskState::Running);
    running
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(task, busy)| (Arc::clone(&task.name), busy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State<'static> {
        State {
            job: "Flights from New York",
            fraction: Some(0.456),
            elapsed: Duration::from_secs(83),
            rate: 1_234_567,
            watermark: Watermark(1_357_000_000_123),
            busiest: Some(("Source: flights -> timestamps -> by airport and hour", 97.4)),
        }
    }

    #[test]
    fn every_width_from_sixty_shows_the_four_that_matter() {
        for width in 57..200 {
            let line = state().line(width);
            assert!(line.chars().count() <= width, "{width}: {line}");
            for part in [" 46 %", "/s  ", "2013-01-01", " 97 %", "  busiest: So", "  So"].iter().take(4) {
                assert!(line.contains(part), "{width}: '{part}' is missing in {line}");
            }
            assert!(line.contains("Source: fl") || width < 65, "{width}: {line}");
        }
    }

    #[test]
    fn the_least_important_goes_first() {
        assert_eq!(
            state().line(usize::MAX),
            "Flights from New York  [█████████···········]  46 %  1,234,567 records/s  \
             watermark 2013-01-01T00:26:40.123Z  busiest: Source: flights -> timestamps -> by air… 97 %"
        );
        for (width, expected) in [
            (125, "[█████████···········]  46 %  1,234,567 records/s  watermark"),
            (111, "[█████·····]  46 %  1,234,567 records/s  watermark"),
            (100, " 46 %  1,234,567 records/s  watermark 2013-01-01T00:26:40.123Z  busiest: Source: "),
            (77, " 46 %  1.2M/s  wm 2013-01-01T00:26:40.123Z  Source: "),
            (57, " 46 %  1.2M/s  wm 2013-01-01T00:26:40  Source: "),
        ] {
            let line = state().line(width);
            assert!(line.starts_with(expected), "{width}: {line}");
        }
        assert_eq!(state().line(10), " 46 %  1.…");
        let unknown = State { fraction: None, busiest: None, rate: 99_999, ..state() };
        assert_eq!(unknown.line(50), "83 s  99999/s  wm 2013-01-01T00:26:40.123Z");
    }
}
