//! Showing how a job on a cluster is doing.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tidemill_core::config::options::Progress;

use super::cluster::{ClusterJob, JobStatus};
use crate::cli::jobs::in_words;

/// How often a cluster is asked.
pub(super) const REFRESH: Duration = Duration::from_millis(500);
/// How often a line is printed where no terminal can show a live one.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// A line about a job: drawn over and over on a terminal, printed now and then elsewhere.
pub(super) struct Watch {
    style: Style,
    next: Instant,
}

enum Style {
    Silent,
    Live(ProgressBar),
    Lines { next: Instant },
}

impl Watch {
    pub(super) fn new(progress: Progress) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let style = match progress {
            Progress::Never => Style::Silent,
            Progress::Auto if !terminal => Style::Silent,
            Progress::Always if !terminal => Style::Lines { next: Instant::now() },
            _ => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                    bar.set_style(style);
                }
                Style::Live(bar)
            }
        };
        Self { style, next: Instant::now() }
    }

    /// Says what is done while there is no job yet.
    pub(super) fn say(&self, text: &str) {
        if let Style::Live(bar) = &self.style {
            bar.set_message(text.to_owned());
            bar.tick();
        }
    }

    /// Shows how a job is doing, unless that was shown a moment ago. What cannot be found out is not shown.
    pub(super) fn tick(&mut self, job: Option<&ClusterJob<'_>>) {
        let now = Instant::now();
        let is_due = match &self.style {
            Style::Silent => false,
            Style::Live(bar) => {
                bar.tick();
                now >= self.next
            }
            Style::Lines { next } => now >= *next,
        };
        let Some(job) = job.filter(|_| is_due) else { return };
        self.next = now + REFRESH;
        if let Ok(status) = job.status() {
            self.show(&status, job.checkpoints());
        }
    }

    /// Shows what was found out.
    pub(super) fn show(&mut self, status: &JobStatus, checkpoints: Option<String>) {
        let now = Instant::now();
        match &mut self.style {
            Style::Silent => {}
            Style::Live(bar) => {
                bar.set_message(line(status, checkpoints));
                bar.tick();
            }
            Style::Lines { next } if now < *next => {}
            Style::Lines { next } => {
                *next = now + LINE_EVERY;
                // A closed stderr changes nothing about the job.
                let _ = writeln!(std::io::stderr(), "{}", line(status, checkpoints));
            }
        }
    }

    /// Whether anything is shown at all.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self.style, Style::Silent)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Style::Live(bar) = &self.style {
            bar.finish_and_clear();
        }
    }
}

fn line(status: &JobStatus, checkpoints: Option<String>) -> String {
    let mut parts = vec![format!("{} {}", status.state, in_words(status.duration))];
    if status.tasks.0 < status.tasks.1 {
        parts.push(format!("{}/{} tasks", status.tasks.0, status.tasks.1));
    }
    if let Some(records) = status.records {
        parts.push(format!("{} records", HumanCount(records)));
    }
    parts.extend(checkpoints);
    format!("'{}': {}", status.name, parts.join(", "))
}

/// What is said when a job has ended well.
pub(super) fn ended(status: &JobStatus, checkpoints: Option<String>) -> String {
    let mut text = format!("Job '{}' finished in {}", status.name, in_words(status.duration));
    if let Some(records) = status.records.filter(|records| *records > 0) {
        text.push_str(&format!(": {} records read", HumanCount(records)));
    }
    if let Some(checkpoints) = checkpoints {
        text.push_str(&format!(", {checkpoints}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_is_known() {
        let status = JobStatus {
            name: "counts".to_owned(),
            state: "RUNNING".to_owned(),
            duration: Duration::from_millis(12_340),
            records: Some(1_234_567),
            tasks: (3, 4),
        };
        assert_eq!(
            line(&status, Some("1 checkpoint (last 14 ms, 4.00 KiB)".to_owned())),
            "'counts': RUNNING 12.3 s, 3/4 tasks, 1,234,567 records, 1 checkpoint (last 14 ms, 4.00 KiB)"
        );
        assert_eq!(ended(&status, None), "Job 'counts' finished in 12.3 s: 1,234,567 records read");
        let unknown = JobStatus { records: None, tasks: (4, 4), ..status };
        assert_eq!(line(&unknown, None), "'counts': RUNNING 12.3 s");
    }
}
