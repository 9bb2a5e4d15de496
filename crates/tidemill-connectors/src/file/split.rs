//! A split of a file source: a file or a part of one, and how far it has been read.

use std::sync::Arc;

use tidemill_runtime::source::SourceSplit;
use tidemill_serialization::{Record, pack, unpack};

use crate::error::ConnectorError;

/// The end of a split that is a whole file: however long that is when it is read.
pub(crate) const END_OF_FILE: u64 = u64::MAX;

/// The records of a file that begin in a range of its bytes.
#[derive(Record, Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileSplit {
    pub(crate) path: String,
    /// Where the range begins; a record that begins before it belongs to the split before.
    pub(crate) start: u64,
    /// Where it ends, or [`END_OF_FILE`].
    pub(crate) end: u64,
    /// The bytes that the split has, as the file lies on the disk.
    pub(crate) length: u64,
    /// Where the next record is, in what the file holds when decompressed; `None` before the first.
    pub(crate) position: Option<u64>,
    /// Newlines before that, from the beginning of the split.
    pub(crate) lines: u64,
}

impl FileSplit {
    pub(crate) fn whole(path: String, length: u64) -> Self {
        Self { path, start: 0, end: END_OF_FILE, length, position: None, lines: 0 }
    }

    /// The parts of a file, of about `size` bytes each; the last one goes on to the end of the file.
    pub(crate) fn ranges(path: &str, length: u64, size: u64) -> Vec<Self> {
        let count = length.div_ceil(size.max(1)).max(1);
        (0..count)
            .map(|part| {
                let start = part * size;
                let is_last = part + 1 == count;
                let end = if is_last { END_OF_FILE } else { start + size };
                let length = if is_last { length - start } else { size };
                Self { path: path.to_owned(), start, end, length, position: None, lines: 0 }
            })
            .collect()
    }

    pub(crate) fn id(&self) -> Arc<str> {
        match (self.start, self.end) {
            (0, END_OF_FILE) => self.path.as_str().into(),
            (start, END_OF_FILE) => format!("{} from byte {start}", self.path).into(),
            (start, end) => format!("{} bytes {start} to {end}", self.path).into(),
        }
    }

    pub(crate) fn to_split(&self) -> SourceSplit {
        SourceSplit { id: self.id(), state: pack(self) }
    }

    pub(crate) fn from_split(split: &SourceSplit) -> Result<Self, ConnectorError> {
        unpack(&split.state)
            .map_err(|error| ConnectorError::State { what: "file source", detail: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_the_file_once() {
        for (length, size) in [(0, 10), (1, 10), (10, 10), (11, 10), (100, 7)] {
            let ranges = FileSplit::ranges("f", length, size);
            assert_eq!(ranges.iter().map(|range| range.length).sum::<u64>(), length);
            assert_eq!(ranges[0].start, 0);
            assert_eq!(ranges[ranges.len() - 1].end, END_OF_FILE);
            assert!(ranges.windows(2).all(|two| two[0].end == two[1].start));
        }
    }

    #[test]
    fn damaged_states_are_errors() {
        let split = FileSplit::whole("a/b.csv".to_owned(), 7).to_split();
        assert_eq!(FileSplit::from_split(&split).unwrap().path, "a/b.csv");
        for length in 0..split.state.len() {
            let cut = SourceSplit { id: Arc::clone(&split.id), state: split.state[..length].to_vec() };
            assert!(FileSplit::from_split(&cut).is_err());
        }
        let mut other = split.clone();
        other.state[0] = 9;
        assert!(FileSplit::from_split(&other).unwrap_err().to_string().contains("version 9"));
    }
}
