//! Drives a source or a sink without a cluster.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::RecordBatch;
use tidemill_core::time::Timestamp;
use tidemill_core::{ArrowBatch, Batch, CheckpointBarrier};
use tidemill_runtime::source::{
    ReaderStatus, Source, SourceOutput, SourceReader, SourceSplit, SplitAssignment, SplitEnumerator,
};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress, SnapshotContext};
use tidemill_state::{ManualClock, SubtaskSnapshot};

pub fn context(subtask: u32, parallelism: u32) -> OperatorContext {
    OperatorContext::detached(subtask, parallelism, 128, Arc::new(ManualClock::at(0)))
}

/// One subtask of a source and the enumerator behind it.
pub struct SourceDriver {
    pub context: OperatorContext,
    enumerator: Box<dyn SplitEnumerator>,
    pub reader: Box<dyn SourceReader>,
    output: SourceOutput,
    pub batches: Vec<(Arc<str>, Batch)>,
    pub finished: Vec<Arc<str>>,
    pub ended: bool,
}

impl SourceDriver {
    pub fn new(source: &dyn Source, parallelism: u32, step: usize) -> Result<Self, OperatorError> {
        let enumerator = source.create_enumerator(parallelism, None)?;
        Self::with_enumerator(source, enumerator, parallelism, step)
    }

    fn with_enumerator(
        source: &dyn Source,
        enumerator: Box<dyn SplitEnumerator>,
        parallelism: u32,
        step: usize,
    ) -> Result<Self, OperatorError> {
        let context = context(0, parallelism);
        let reader = source.create_reader(&context)?;
        Ok(Self {
            context,
            enumerator,
            reader,
            output: SourceOutput::new(step),
            batches: Vec::new(),
            finished: Vec::new(),
            ended: false,
        })
    }

    /// One poll, as the task does it.
    pub fn poll(&mut self) -> Result<ReaderStatus, OperatorError> {
        let status = self.reader.poll(&mut self.output)?;
        let (batches, finished) = self.output.take();
        self.batches.extend(batches);
        self.finished.extend(finished);
        match status {
            ReaderStatus::NeedsSplit => match self.enumerator.next_split(0)? {
                SplitAssignment::Split(split) => self.reader.add_split(split)?,
                SplitAssignment::NoMore => self.reader.no_more_splits(),
                SplitAssignment::NoneYet => {}
            },
            ReaderStatus::End => self.ended = true,
            _ => {}
        }
        Ok(status)
    }

    pub fn run(&mut self) -> Result<(), OperatorError> {
        while !self.ended {
            self.poll()?;
        }
        Ok(())
    }

    /// Replaces enumerator and reader by new ones that go on from a snapshot.
    pub fn restore(self, source: &dyn Source, parallelism: u32, step: usize) -> Result<Self, OperatorError> {
        let (left, at_hand): (Vec<SourceSplit>, Vec<SourceSplit>) =
            (self.enumerator.snapshot(), self.reader.snapshot());
        let enumerator = source.create_enumerator(parallelism, Some(left))?;
        let mut new = Self::with_enumerator(source, enumerator, parallelism, step)?;
        for split in at_hand {
            new.reader.add_split(split)?;
        }
        (new.batches, new.finished) = (self.batches, self.finished);
        Ok(new)
    }

    pub fn rows(&self) -> Vec<RecordBatch> {
        let records = |batch: &Batch| batch.downcast_ref::<ArrowBatch>().unwrap().records.clone();
        self.batches.iter().map(|(_, batch)| records(batch)).collect()
    }
}

/// All that a source reads.
pub fn read_all(source: &dyn Source, step: usize) -> Result<SourceDriver, OperatorError> {
    let mut driver = SourceDriver::new(source, 1, step)?;
    driver.run()?;
    Ok(driver)
}

/// The message of what must fail.
pub fn failure<T>(result: Result<T, OperatorError>) -> String {
    match result {
        Ok(_) => panic!("must fail"),
        Err(error) => error.to_string(),
    }
}

/// One subtask of a sink.
pub struct SinkDriver {
    pub clock: ManualClock,
    pub context: OperatorContext,
    pub sink: Box<dyn Operator>,
    output: Output,
}

impl SinkDriver {
    pub fn new(sink: Box<dyn Operator>, subtask: u32, parallelism: u32) -> Self {
        let clock = ManualClock::at(0);
        let context = OperatorContext::detached(subtask, parallelism, 128, Arc::new(clock.clone()));
        Self { clock, context, sink, output: Output::default() }
    }

    pub fn open(&mut self, restored: Option<SubtaskSnapshot>) -> Result<(), OperatorError> {
        self.sink.open(&self.context, restored)
    }

    pub fn write(&mut self, batch: Batch) -> Result<(), OperatorError> {
        let mut waiting = VecDeque::from([batch]);
        while let Some(batch) = waiting.pop_front() {
            if self.sink.process(0, batch, &mut self.output)? == Progress::More {
                waiting.extend(self.output.take_kept());
            }
        }
        Ok(())
    }

    pub fn advance(&mut self, now: Timestamp) -> Result<(), OperatorError> {
        self.clock.set(now);
        while self.sink.next_processing_time().is_some_and(|due| due <= now) {
            self.sink.processing_time(now, &mut self.output)?;
        }
        Ok(())
    }

    /// Ends the input.
    pub fn end(&mut self) -> Result<(), OperatorError> {
        while self.sink.finish(&mut self.output)? != Progress::Done {}
        Ok(())
    }

    /// Ends the input and the operator.
    pub fn finish(&mut self) -> Result<(), OperatorError> {
        self.end()?;
        self.sink.close();
        Ok(())
    }

    /// Takes a snapshot, through bytes and back.
    pub fn snapshot(&mut self, checkpoint: u64) -> SubtaskSnapshot {
        let context = SnapshotContext::of(CheckpointBarrier::new(checkpoint, 0));
        let snapshot = self.sink.snapshot(&context).unwrap();
        SubtaskSnapshot::decode(&snapshot.encode()).unwrap()
    }
}
