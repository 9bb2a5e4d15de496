//! What a test says about its job.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::batch::Batch;
use tidemill_core::config::Configuration;
use tidemill_core::time::Timestamp;
use tidemill_runtime::graph::ExecutionPlan;
use tidemill_runtime::source::{Source, SourceSpec};
use tidemill_runtime::{JobError, OperatorFactory};
use tidemill_serialization::Data;

use super::Brake;
use crate::commits::Committed;
use crate::log_source::Log;
use crate::random::Random;

/// Into how many parts inputs are cut.
pub(super) const PARTS: usize = 3;

/// How many records a source reads in one step: few, so that there are many steps.
const BLOCK: usize = 8;

/// The records of one source of a job, by split. A source reads each split in blocks of eight records, or as many as the test
/// says, in two batches of half of that, and a checkpoint lies between blocks.
///
/// ```
/// use tidemill_testkit::survival::Input;
///
/// let input = Input::new([vec![(1u64, 10), (2, 20)], vec![(3, 30)]]);
/// let source = input.reader();
/// # let _ = source;
/// ```
pub struct Input<T> {
    log: Log<T>,
    splits: Vec<Vec<(T, Timestamp)>>,
    block: usize,
}

impl<T> Clone for Input<T>
where
    T: Clone,
{
    fn clone(&self) -> Self {
        Self { log: self.log.clone(), splits: self.splits.clone(), block: self.block }
    }
}

impl<T: Data + Debug> Input<T> {
    /// An input with these splits.
    pub fn new(splits: impl IntoIterator<Item = Vec<(T, Timestamp)>>) -> Self {
        let splits: Vec<_> = splits.into_iter().collect();
        Self { log: Log::new(splits.len()).in_blocks(BLOCK), splits, block: BLOCK }
    }

    /// Records dealt out to `splits` splits in turn.
    pub fn dealt(splits: usize, records: impl IntoIterator<Item = (T, Timestamp)>) -> Self {
        let mut dealt: Vec<Vec<(T, Timestamp)>> = vec![Vec::new(); splits];
        for (index, record) in records.into_iter().enumerate() {
            dealt[index % splits].push(record);
        }
        Self::new(dealt)
    }

    /// Sets how many records a block has.
    #[must_use]
    pub fn in_blocks(self, records: usize) -> Self {
        Self { log: self.log.in_blocks(records), block: records, ..self }
    }

    /// Has what was read come out as `shape` makes it.
    #[must_use]
    pub fn shaped(self, shape: impl Fn(&[(T, Timestamp)]) -> Batch + Send + Sync + 'static) -> Self {
        Self { log: self.log.shaped(shape), ..self }
    }

    /// How many splits it has.
    pub fn splits(&self) -> usize {
        self.splits.len()
    }

    /// What the job reads it with.
    pub fn reader(&self) -> impl Source + use<T> {
        self.log.reader()
    }

    /// As [`reader`](Self::reader), with a watermark behind each batch, at its last timestamp.
    pub fn spec(&self) -> Arc<SourceSpec> {
        self.log.source()
    }

    fn part(&self, split: usize, part: usize) -> std::ops::Range<usize> {
        let length = self.splits[split].len();
        let bound = |part: usize| {
            if part == PARTS { length } else { length * part / PARTS / self.block * self.block }
        };
        bound(part)..bound(part + 1)
    }
}

/// An input, whatever its records are.
pub(super) trait Feed {
    /// Lets the job have one of the parts.
    fn feed(&self, part: usize);
    /// Whether all that the job was let have was read.
    fn is_read(&self) -> bool;
    /// How many records were read of each split, and of how many.
    fn seen(&self) -> Vec<(usize, usize)>;
    /// Whether the part is long enough to fail in before it is read.
    fn can_fail_in(&self, part: usize) -> bool;
    /// Lets reading fail once more in a part, somewhere.
    fn fail_in(&self, part: usize, random: &mut Random);
    fn end(&self);
}

impl<T: Data + Debug> Feed for Input<T> {
    fn feed(&self, part: usize) {
        for split in 0..self.splits.len() {
            self.log.push(split, self.splits[split][self.part(split, part)].iter().cloned());
        }
    }

    fn is_read(&self) -> bool {
        // A restored job may be further than what it was let have.
        self.seen().iter().all(|(read, pushed)| read >= pushed)
    }

    fn seen(&self) -> Vec<(usize, usize)> {
        (0..self.splits.len()).map(|split| (self.log.read(split), self.log.pushed(split))).collect()
    }

    fn can_fail_in(&self, part: usize) -> bool {
        (0..self.splits.len()).any(|split| self.part(split, part).len() > self.block)
    }

    fn fail_in(&self, part: usize, random: &mut Random) {
        let long = |split: &usize| self.part(*split, part).len() > self.block;
        let splits: Vec<usize> = (0..self.splits.len()).filter(long).collect();
        let split = splits[random.below(splits.len() as u64) as usize];
        // Before its last block, so that there is something left to read for which the reader is called again.
        let range = self.part(split, part);
        let at = range.start + 1 + random.below((range.len() - self.block) as u64) as usize;
        self.log.fail_once_at(split, at);
    }

    fn end(&self) {
        self.log.end_all();
    }
}

/// One run of a case's job.
pub struct Stage {
    /// What the job is to be configured with.
    pub configuration: Configuration,
    pub(super) committed: Committed<String>,
    pub(super) brake: Brake,
}

impl Stage {
    /// Where the results go, as lines of text.
    pub fn sink(&self) -> impl OperatorFactory + 'static {
        self.committed.sink()
    }

    /// Is on while records are to be on their way.
    pub fn brake(&self) -> Brake {
        self.brake.clone()
    }
}

type Build = Box<dyn Fn(&Stage) -> Result<ExecutionPlan, JobError>>;

/// A job and its inputs, of which each run gets new ones.
pub struct Case {
    pub(super) inputs: Vec<Box<dyn Feed>>,
    pub(super) build: Build,
    pub(super) expected: Option<Vec<String>>,
    pub(super) at_least: usize,
    /// Whether a part is fed when all of those before it has been processed.
    pub(super) in_steps: bool,
    /// By how much processing time jumps before a part, or the end, comes.
    pub(super) jumps: Vec<(usize, Duration)>,
    /// How many results there must be before the inputs end.
    pub(super) ends_after: usize,
    /// How often each job fails.
    pub(super) crashes: u64,
    /// Bytes of a network buffer.
    pub(super) segment_bytes: usize,
    /// Makes the results of the lines that were committed.
    pub(super) results: fn(Vec<String>) -> Vec<String>,
}

impl Case {
    /// A job that has at least so many results. `build` puts it together: sources over the readers of the inputs, and one or
    /// more sinks from [`Stage::sink`].
    pub fn new(at_least: usize, build: impl Fn(&Stage) -> Result<ExecutionPlan, JobError> + 'static) -> Self {
        Self {
            inputs: Vec::new(),
            build: Box::new(build),
            expected: None,
            at_least,
            in_steps: false,
            jumps: Vec::new(),
            ends_after: 0,
            crashes: 1,
            segment_bytes: 512,
            results: |lines| lines,
        }
    }

    /// Sets how often each job fails before it goes on for good, at most three times.
    #[must_use]
    pub fn crashes(mut self, crashes: u64) -> Self {
        assert!((1..=3).contains(&crashes), "a job is started again three times at most");
        self.crashes = crashes;
        self
    }

    /// Sets how large network buffers are, 512 bytes otherwise.
    #[must_use]
    pub fn segments_of(mut self, bytes: usize) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// Says what the committed lines stand for, which is what is compared: such as the table that lines of changes describe.
    #[must_use]
    pub fn standing_for(mut self, results: fn(Vec<String>) -> Vec<String>) -> Self {
        self.results = results;
        self
    }

    /// Lets one of the inputs fail in a part, as often as jobs are to fail.
    pub(super) fn fail_in(&self, part: usize, random: &mut Random) {
        let able: Vec<_> = self.inputs.iter().filter(|input| input.can_fail_in(part)).collect();
        assert!(!able.is_empty(), "no input is long enough to fail in part {part}");
        let failing = able[random.below(able.len() as u64) as usize];
        for _ in 0..self.crashes {
            failing.fail_in(part, random);
        }
    }

    /// What the lines that a stage has committed stand for, in order.
    pub(super) fn results_of(&self, stage: &Stage) -> Vec<String> {
        let mut results = (self.results)(stage.committed.sorted());
        results.sort_unstable();
        results
    }

    /// Adds an input.
    #[must_use]
    pub fn input<T: Data + Debug>(mut self, input: &Input<T>) -> Self {
        self.inputs.push(Box::new(input.clone()));
        self
    }

    /// Says what the results are, in any order; otherwise they are what the job says when nothing happens to it.
    #[must_use]
    pub fn expecting(mut self, mut lines: Vec<String>) -> Self {
        lines.sort_unstable();
        self.expected = Some(lines);
        self
    }

    /// Each part of the inputs comes when all before it has been processed.
    #[must_use]
    pub fn in_steps(mut self) -> Self {
        self.in_steps = true;
        self
    }

    /// Processing time jumps by `duration` before the last part of the inputs, when all before it has been processed. It begins
    /// with 0 and goes on as time does: by less than an hour in a test.
    #[must_use]
    pub fn jump_before_last_part(mut self, duration: Duration) -> Self {
        self.jumps.push((PARTS - 1, duration));
        self.in_steps()
    }

    /// Processing time jumps by `duration` when all has been processed, before the inputs end; they do not before there are
    /// `results`.
    #[must_use]
    pub fn jump_before_end(mut self, duration: Duration, results: usize) -> Self {
        self.jumps.push((PARTS, duration));
        self.ends_after = results;
        self.in_steps()
    }
}
