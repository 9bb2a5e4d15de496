//! Log lines: to stderr or a file, as text or JSON, quiet by default.

use std::fs::OpenOptions;
use std::sync::Mutex;

use tidemill_core::config::options::{LogFormat, LogLevel};
use tidemill_core::config::{Configuration, options};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::Error;

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
                Error::Open { path: path.into(), option: options::LOG_FILE.key(), source }
            })?;
            (BoxMakeWriter::new(Mutex::new(file)), false)
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
