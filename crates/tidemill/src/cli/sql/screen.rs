//! A whole terminal: drawn anew each time, keys read one by one. It is given back as it was when the screen is dropped.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Character(char),
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Escape,
    /// Ctrl-C, Ctrl-D, or nobody is there any more.
    Leave,
}

/// The terminal, for as long as it shows one thing only.
pub(super) struct Screen {
    before: Termios,
    typed: VecDeque<u8>,
}

const OPEN: &str = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J";
const CLOSE: &str = "\x1b[?25h\x1b[?1049l";

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        let screen = Self { before, typed: VecDeque::new() };
        screen.write(OPEN)?;
        Ok(screen)
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Columns and lines.
    pub(super) fn size(&self) -> (usize, usize) {
        let size = terminal_size::terminal_size_of(io::stdout());
        size.map_or((80, 24), |(width, height)| (usize::from(width.0).max(1), usize::from(height.0).max(1)))
    }

    /// Shows these lines and nothing else.
    pub(super) fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut text = String::from("\x1b[H");
        for (number, line) in lines.iter().enumerate() {
            text += if number == 0 { "" } else { "\r\n" };
            text += line;
            text += "\x1b[K";
        }
        text += "\x1b[J";
        self.write(&text)
    }

    /// The next key, when one is pressed within `timeout`.
    pub(super) fn key(&mut self, timeout: Duration) -> io::Result<Option<Key>> {
        if self.typed.is_empty() && !self.read(timeout)? {
            return Ok(None);
        }
        if self.typed.is_empty() {
            return Ok(Some(Key::Leave));
        }
        Ok(next_key(&mut self.typed))
    }

    /// Whether something has come: nothing, when it is the end.
    fn read(&mut self, timeout: Duration) -> io::Result<bool> {
        let stdin = io::stdin();
        let mut wanted = [PollFd::new(&stdin, PollFlags::IN)];
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        match poll(&mut wanted, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut buffer = [0; 256];
        let count = rustix::io::read(&stdin, &mut buffer)?;
        self.typed.extend(buffer.iter().take(count));
        Ok(true)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.write(CLOSE);
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

fn next_key(typed: &mut VecDeque<u8>) -> Option<Key> {
    let first = typed.pop_front()?;
    match first {
        3 | 4 => Some(Key::Leave),
        0x1b => Some(sequence(typed)),
        _ => {
            let mut bytes = vec![first];
            while std::str::from_utf8(&bytes).is_err() && bytes.len() < 4 {
                bytes.push(typed.pop_front()?);
            }
            std::str::from_utf8(&bytes).ok()?.chars().next().map(Key::Character)
        }
    }
}

/// What a terminal sends for a key that is no character.
fn sequence(typed: &mut VecDeque<u8>) -> Key {
    if !matches!(typed.front(), Some(b'[' | b'O')) {
        return Key::Escape;
    }
    typed.pop_front();
    let mut number = 0u32;
    while let Some(byte) = typed.pop_front() {
        match byte {
            b'0'..=b'9' => number = number.saturating_mul(10).saturating_add(u32::from(byte - b'0')),
            b'A' => return Key::Up,
            b'B' => return Key::Down,
            b'C' => return Key::Right,
            b'D' => return Key::Left,
            b'H' => return Key::Home,
            b'F' => return Key::End,
            b'~' => {
                return match number {
                    1 | 7 => Key::Home,
                    4 | 8 => Key::End,
                    5 => Key::PageUp,
                    6 => Key::PageDown,
                    _ => Key::Escape,
                };
            }
            b';' => number = 0,
            _ => return Key::Escape,
        }
    }
    Key::Escape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart() {
        let mut typed: VecDeque<u8> =
            b"q\x1b[A\x1bOB\x1b[5~\x1b[1;5C\xc3\xa9\x03\x1b".iter().copied().collect();
        let keys: Vec<Key> = std::iter::from_fn(|| next_key(&mut typed)).collect();
        let character = Key::Character;
        assert_eq!(
            keys,
            [
                character('q'),
                Key::Up,
                Key::Down,
                Key::PageUp,
                Key::Right,
                character('é'),
                Key::Leave,
                Key::Escape
            ]
        );
    }
}
