//! What has which colour. The streams that [`main`](super::main) opens take colours out where there is no terminal, or
//! NO_COLOR is set.

use anstyle::{AnsiColor, Style};

/// A heading.
pub(crate) const HEADING: Style = Style::new().bold();
/// A key.
pub(crate) const KEY: Style = AnsiColor::Cyan.on_default();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();
/// A value that was set.
pub(crate) const SET: Style = AnsiColor::Green.on_default();

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const NOTE: Style = AnsiColor::Cyan.on_default().bold();

pub(crate) fn error_tag() -> String {
    format!("{ERROR}error:{ERROR:#}")
}

pub(crate) fn warning_tag() -> String {
    format!("{WARNING}warning:{WARNING:#}")
}

pub(crate) fn note_tag() -> String {
    format!("{NOTE}note:{NOTE:#}")
}
