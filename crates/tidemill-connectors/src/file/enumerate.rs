//! Hands out the files of a source, and looks for new ones if it is to.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use tidemill_runtime::OperatorError;
use tidemill_runtime::source::{SourceSplit, SplitAssignment, SplitEnumerator};
use tidemill_serialization::{pack, unpack};

use super::FileSource;
use super::split::FileSplit;
use crate::error::ConnectorError;

/// What the state calls the files that were seen; no path begins so.
const SEEN: &str = "\0seen";

pub(super) struct FileEnumerator {
    source: FileSource,
    parallelism: u32,
    splits: VecDeque<SourceSplit>,
    /// The files that have been seen, when new ones are looked for.
    seen: BTreeSet<String>,
    /// When that was done last; `None` if it is to be done at once.
    looked: Option<Instant>,
}

impl FileEnumerator {
    pub(super) fn new(source: FileSource, parallelism: u32) -> Self {
        Self { source, parallelism, splits: VecDeque::new(), seen: BTreeSet::new(), looked: None }
    }

    pub(super) fn restore(&mut self, splits: Vec<SourceSplit>) -> Result<(), ConnectorError> {
        for split in splits {
            if &*split.id != SEEN {
                self.splits.push_back(split);
                continue;
            }
            let seen: Vec<String> = unpack(&split.state)
                .map_err(|error| ConnectorError::State { what: "file source", detail: error.to_string() })?;
            self.seen.extend(seen);
        }
        Ok(())
    }

    /// Adds the files that are there now and have not been seen.
    pub(super) fn look(&mut self) -> Result<(), ConnectorError> {
        let mut files = self.source.files()?;
        if self.source.inner.monitor.is_some() {
            files.retain(|file| self.seen.insert(file.path.clone()));
            self.looked = Some(Instant::now());
        } else {
            self.source.inner.set_total(files.iter().map(|file| file.bytes).sum());
        }
        let splits = self.source.splits(files, self.parallelism)?;
        self.splits.extend(splits.iter().map(FileSplit::to_split));
        Ok(())
    }
}

impl SplitEnumerator for FileEnumerator {
    fn next_split(&mut self, _subtask: u32) -> Result<SplitAssignment, OperatorError> {
        if let Some(split) = self.splits.pop_front() {
            return Ok(SplitAssignment::Split(split));
        }
        let Some(interval) = self.source.inner.monitor else { return Ok(SplitAssignment::NoMore) };
        if self.looked.is_none_or(|looked| looked.elapsed() >= interval) {
            self.look()?;
        }
        Ok(self.splits.pop_front().map_or(SplitAssignment::NoneYet, SplitAssignment::Split))
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        let mut splits: Vec<SourceSplit> = self.splits.iter().cloned().collect();
        if self.source.inner.monitor.is_some() {
            let seen: Vec<String> = self.seen.iter().cloned().collect();
            splits.push(SourceSplit { id: SEEN.into(), state: pack(&seen) });
        }
        splits
    }
}
