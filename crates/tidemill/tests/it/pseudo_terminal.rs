//! A program on a terminal of its own: what it shows is what a terminal would show.

use std::io::{Read, Write};
use std::num::NonZero;
use std::path::Path;
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long something may take to be shown, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

const LINES: NonZero<u16> = NonZero::new(24).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(100).unwrap();

pub(crate) const ENTER: &str = "\r";
pub(crate) const TAB: &str = "\t";
pub(crate) const UP: &str = "\x1b[A";
pub(crate) const CTRL_A: &str = "\x01";
pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const CTRL_D: &str = "\x04";

pub(crate) struct Terminal {
    child: Child,
    keys: pty_process::blocking::Pty,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// All that was ever written.
    written: String,
}

impl Terminal {
    /// Starts `tidemill` in `folder`, with data and jobs of its own there.
    pub(crate) fn tidemill(folder: &Path, arguments: &[&str]) -> Self {
        let (keys, its_end) = pty_process::blocking::open().unwrap();
        keys.resize(pty_process::Size::new(LINES.get(), COLUMNS.get())).unwrap();
        let child = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_tidemill"))
            .args(arguments)
            .current_dir(folder)
            .env("TERM", "xterm-256color")
            .env("XDG_DATA_HOME", folder)
            .env("XDG_RUNTIME_DIR", folder)
            .env_remove("TIDEMILL_CONF_DIR")
            .env_remove("FLINK_CONF_DIR")
            .env_remove("NO_COLOR")
            .spawn(its_end)
            .unwrap();
        let (sender, output) = channel();
        let mut reader = std::fs::File::from(rustix::io::dup(&keys).unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // It is an error when the program is gone.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, output, screen: vt100::Parser::new(LINES, COLUMNS, 0), written: String::new() }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Types a line.
    pub(crate) fn enter(&mut self, line: &str) {
        self.press(line);
        self.press(ENTER);
    }

    pub(crate) fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Takes what comes next into account; false when nothing will come any more.
    fn take(&mut self, timeout: Duration) -> bool {
        use std::sync::mpsc::RecvTimeoutError;
        match self.output.recv_timeout(timeout) {
            Ok(bytes) => {
                self.screen.process(&bytes);
                self.written += &String::from_utf8_lossy(&bytes);
                true
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        }
    }

    /// Waits until the screen is as is wanted.
    pub(crate) fn wait_until(&mut self, what: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if is_wanted(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "{what} is not shown:\n{text}\n---\n{}", self.written);
            assert!(
                self.take(Duration::from_millis(200)) || is_wanted(&self.text()),
                "{what}: ended with\n{text}"
            );
        }
    }

    pub(crate) fn wait_for(&mut self, wanted: &str) -> String {
        self.wait_until(wanted, |text| text.contains(wanted))
    }

    /// Waits for an empty prompt on the last line that is written to, behind all that was typed before.
    pub(crate) fn wait_for_prompt(&mut self) -> String {
        self.wait_until("the prompt", |text| text.trim_end().ends_with("Tidemill SQL>"))
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the end of the program, and answers its exit code and the last screen.
    pub(crate) fn end(mut self) -> (i32, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let more = self.take(Duration::from_millis(50));
            if let Some(status) = self.child.try_wait().unwrap()
                && !more
            {
                return (status.code().unwrap_or(-1), self.text());
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.text());
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
