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

/// How often a line is printed where no terminal can show a live one.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub(super) struct LiveLine {
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
    pub(super) fn new(progress: Progress) -> Self {
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
    pub(super) fn update(&mut self, job: &JobHandle) {
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

    /// Takes the live line away and says in one line how it ended.
    pub(super) fn finish(&mut self, job: &JobHandle, finished: bool) {
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
        let mut parts = vec![job.graph().name.clone()];
        match fraction(job) {
            Some(fraction) => parts.push(format!("{} {:>3.0} %", bar(fraction), fraction * 100.0)),
            None => parts.push(HumanDuration(now.duration_since(self.started)).to_string()),
        }
        parts.push(format!("{} records/s", HumanCount(rate as u64)));
        parts.push(format!("watermark {}", watermark(job)));
        if let Some((name, busy)) = busiest {
            parts.push(format!("busiest: {name} {busy:.0} %"));
        }
        self.last = Some(Reading { at: now, records, times, rate });
        parts.join("  ")
    }
}

/// A bar of twenty places.
fn bar(fraction: f64) -> String {
    let full = (fraction.clamp(0.0, 1.0) * 20.0).round() as usize;
    format!("[{}{}]", "█".repeat(full), "·".repeat(20 - full))
}

/// Records that the sources have read, and the times of all tasks.
fn read(job: &JobHandle) -> (u64, Vec<TimeTotals>) {
    let tasks = &job.metrics().tasks;
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
    for vertex in &job.graph().vertices {
        let tasks = job.metrics().tasks.iter().filter(|task| task.vertex == vertex.id);
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
    let tasks = job.metrics().tasks.iter().filter(|task| task.state() == TaskState::Running);
    let outputs = tasks
        .filter_map(|task| task.operators.last())
        .map(|(_, _, metrics)| metrics.output_watermark.get().max(metrics.input_watermark.get()));
    outputs.min().map_or(Watermark::MAX, Watermark)
}

/// The vertex whose busiest subtask was busiest since the last reading, with that share in percent.
fn busiest(job: &JobHandle, before: Option<&[TimeTotals]>, now: &[TimeTotals]) -> Option<(String, f64)> {
    let zero = TimeTotals::default();
    let tasks = &job.metrics().tasks;
    let shares = tasks.iter().zip(now).enumerate().map(|(index, (task, totals))| {
        let earlier = before.and_then(|before| before.get(index)).unwrap_or(&zero);
        let recent = totals.since(earlier);
        (task, recent.busy() as f64 * 100.0 / recent.elapsed.max(1) as f64)
    });
    let running = shares.filter(|(task, _)| task.state() == TaskState::Running);
    running
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(task, busy)| (shorten(&task.name, 40), busy))
}

/// At most `limit` characters of a name.
pub(super) fn shorten(name: &str, limit: usize) -> String {
    if name.chars().count() <= limit {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(limit - 1).collect();
    short.push('…');
    short
}
