//! Log lines: to stderr or a file, as text or JSON, quiet by default.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemill_core::config::options::{LogFormat, LogLevel};
use tidemill_core::config::{Configuration, options};
use tidemill_runtime::console;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::Error;
use crate::cli::style::warning_tag;

/// Starts logging as the configuration says. The first call of a process decides.
pub(super) fn start(configuration: &Configuration) -> Result<(), Error> {
    let level = match configuration.get(&options::LOG_LEVEL)? {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let (writer, colours) = match configuration.get_optional(&options::LOG_FILE)? {
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(&path).map_err(|source| {
                Error::Open { path: path.as_str().into(), option: options::LOG_FILE.key(), source }
            })?;
            (
                BoxMakeWriter::new(Arc::new(LogFile {
                    file,
                    path: path.into(),
                    told: AtomicBool::new(false),
                })),
                false,
            )
        }
        None => (
            BoxMakeWriter::new(std::io::stderr),
            anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never,
        ),
    };
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(writer).with_ansi(colours);
    // A program that logs in its own way, or a second job of one process, keeps what there is.
    let _ = match configuration.get(&options::LOG_FORMAT)? {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    Ok(())
}

/// The file of the log. When it takes no more, that is said once: the job goes on without it.
struct LogFile<F> {
    file: F,
    path: PathBuf,
    told: AtomicBool,
}

impl<F> LogFile<F>
where
    for<'a> &'a F: Write,
{
    /// What is to be said if this is the first line that could not be written.
    fn write_line(&self, line: &[u8]) -> Option<String> {
        // Opened for appending: lines of different threads do not mix.
        let error = (&self.file).write_all(line).err()?;
        (!self.told.swap(true, Ordering::Relaxed)).then(|| {
            format!(
                "cannot write the log to {} ({}): {error}; it lacks what could not be written",
                self.path.display(),
                options::LOG_FILE.key()
            )
        })
    }
}

impl<F> Write for &LogFile<F>
where
    for<'a> &'a F: Write,
{
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(problem) = self.write_line(line) {
            console::print(|| {
                let _ = writeln!(anstream::stderr(), "{} {problem}", warning_tag());
            });
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_told_once() {
        let file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let log = LogFile { file, path: "/dev/full".into(), told: AtomicBool::new(false) };
        let told = log.write_line(b"one\n").unwrap();
        assert!(told.contains("/dev/full (tidemill.log.file): No space left on device"), "{told}");
        assert_eq!(log.write_line(b"two\n"), None);
    }
}
