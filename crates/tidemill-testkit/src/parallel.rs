//! Several subtasks of one operator, with records dealt to them as the network does.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::graph::ShipStrategy;
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_network::GateItem;
use tidemill_runtime::graph::{EdgeType, TypedEdge};
use tidemill_runtime::{OperatorError, OperatorFactory};
use tidemill_serialization::Data;
use tidemill_state::SubtaskSnapshot;

use crate::checker::{Contract, checked_with};
use crate::exchange::{ExchangeHarness, ExchangeShape};
use crate::random::Random;
use crate::records::RecordType;
use crate::rescale::redistribute;
use crate::subject::{Call, Emitted, Setup, Subject};

/// How the records of one input reach the subtasks.
#[derive(Clone)]
pub(crate) struct InputType {
    pub(crate) records: RecordType,
    edge: Arc<dyn EdgeType>,
    strategy: ShipStrategy,
}

impl InputType {
    fn of<T: Data + Debug>(edge: impl EdgeType + 'static, strategy: ShipStrategy) -> Self {
        Self { records: RecordType::of::<T>(), edge: Arc::new(edge), strategy }
    }

    /// As `edge` deals out records by `strategy`.
    pub(crate) fn new(records: RecordType, edge: Arc<dyn EdgeType>, strategy: ShipStrategy) -> Self {
        Self { records, edge, strategy }
    }

    /// By the key group of the routing hash that `hash` gives.
    pub(crate) fn keyed<T: Data + Debug>(hash: impl Fn(&T) -> u64 + Clone + Send + Sync + 'static) -> Self {
        Self::of::<T>(TypedEdge::keyed(hash), ShipStrategy::Hash)
    }

    /// In equal parts.
    pub(crate) fn rebalanced<T: Data + Debug>() -> Self {
        Self::of::<T>(TypedEdge::<T>::new(), ShipStrategy::Rebalance)
    }

    /// All to each.
    pub(crate) fn broadcast<T: Data + Debug>() -> Self {
        Self::of::<T>(TypedEdge::<T>::new(), ShipStrategy::Broadcast)
    }
}

/// Drives all subtasks of an operator. Records of an input are dealt to them by its key, in equal parts, or all to each.
///
/// They come through the channels of an exchange. Where operators are snapshotted at random points, so are these channels,
/// while the records are on their way.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_core::hash::RoutingHash;
/// use tidemill_testkit::{Contract, ParallelHarness, faults};
///
/// let factory = Arc::new(faults::pass::<u64>());
/// let harness = ParallelHarness::open(factory, Contract::default(), 2, 128)?
///     .keyed_input(0, |number: &u64| number.routing_hash());
/// assert_eq!(harness.parallelism(), 2);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub struct ParallelHarness {
    random: Random,
    channel_restores: u64,
    subjects: Vec<Subject>,
    setup: Setup,
    inputs: BTreeMap<usize, InputType>,
}

impl ParallelHarness {
    /// Opens `parallelism` subtasks; `max_parallelism` is the number of key groups.
    ///
    /// # Errors
    /// What an operator fails with, as do all other calls.
    pub fn open(
        factory: Arc<dyn OperatorFactory>,
        contract: Contract,
        parallelism: u32,
        max_parallelism: u32,
    ) -> Result<Self, OperatorError> {
        let setup = Setup { max_parallelism, ..Setup::new(Arc::new(checked_with(factory, contract))) };
        Self::of(setup, BTreeMap::new(), parallelism)
    }

    pub(crate) fn of(
        setup: Setup,
        inputs: BTreeMap<usize, InputType>,
        parallelism: u32,
    ) -> Result<Self, OperatorError> {
        let random = Random::seeded(setup.seed);
        let mut harness = Self { random, channel_restores: 0, subjects: Vec::new(), setup, inputs };
        harness.start(vec![None; parallelism as usize])?;
        Ok(harness)
    }

    fn start(&mut self, restored: Vec<Option<SubtaskSnapshot>>) -> Result<(), OperatorError> {
        let parallelism = restored.len() as u32;
        for (subtask, restored) in restored.into_iter().enumerate() {
            let setup = Setup { subtask: subtask as u32, parallelism, ..self.setup.clone() };
            self.subjects.push(Subject::open(setup, restored)?);
        }
        Ok(())
    }

    /// Deals the records of input `input` by the routing hash of their key.
    #[must_use]
    pub fn keyed_input<T: Data + Debug>(
        mut self,
        input: usize,
        hash: impl Fn(&T) -> u64 + Clone + Send + Sync + 'static,
    ) -> Self {
        self.inputs.insert(input, InputType::keyed(hash));
        self
    }

    /// Deals the records of input `input` in equal parts.
    #[must_use]
    pub fn rebalanced_input<T: Data + Debug>(mut self, input: usize) -> Self {
        self.inputs.insert(input, InputType::rebalanced::<T>());
        self
    }

    /// Sends the records of input `input` to every subtask.
    #[must_use]
    pub fn broadcast_input<T: Data + Debug>(mut self, input: usize) -> Self {
        self.inputs.insert(input, InputType::broadcast::<T>());
        self
    }

    /// How many subtasks there are.
    pub fn parallelism(&self) -> u32 {
        self.subjects.len() as u32
    }

    /// Sets how many records each subtask emits in one call.
    pub fn set_batch_records(&mut self, records: usize) {
        self.setup.batch_records = records;
        self.subjects.iter_mut().for_each(|subject| subject.set_batch_records(records));
    }

    /// Processes records of an input.
    ///
    /// # Errors
    /// What an operator fails with.
    pub fn process<T: Data + Debug>(
        &mut self,
        input: usize,
        batch: TypedBatch<T>,
    ) -> Result<(), OperatorError> {
        self.process_batch(input, Batch::new(batch))
    }

    pub(crate) fn process_batch(&mut self, input: usize, batch: Batch) -> Result<(), OperatorError> {
        let kind =
            self.inputs.get(&input).unwrap_or_else(|| panic!("input {input} was not declared")).clone();
        let consumers = self.parallelism();
        let shape = ExchangeShape {
            max_parallelism: self.setup.max_parallelism,
            // One buffer holds it all with its hashes, so that each channel gets one batch.
            segment_size: batch.byte_size() + batch.len() * size_of::<u64>() + 1,
            ..ExchangeShape::new(kind.strategy, 1, consumers)
        };
        // Channels that are to be interrupted had better hold something.
        let shape = match self.setup.snapshot_one_in {
            None => shape,
            Some(_) => ExchangeShape { segment_size: shape.segment_size / 4 + 1, ..shape.tight() },
        };
        let mut exchange = ExchangeHarness::of(kind.edge, kind.records.clone(), shape);
        exchange.batch(0, batch);
        exchange.flush(0);
        loop {
            let mut waits = false;
            for consumer in 0..consumers {
                if self.setup.snapshot_one_in.is_some_and(|times| self.random.one_in(times)) {
                    exchange.restart();
                }
                match exchange.poll(consumer) {
                    Some((_, GateItem::Batch(batch))) => {
                        waits = true;
                        let records = kind.records.clone();
                        self.subjects[consumer as usize].run(Call::Batch { input, batch, records })?;
                    }
                    Some((_, other)) => panic!("{other:?} was not sent"),
                    None => {}
                }
            }
            if !waits && exchange.is_done(0) {
                self.channel_restores += exchange.restores();
                return Ok(());
            }
        }
    }

    fn all(
        &mut self,
        mut call: impl FnMut(&mut Subject) -> Result<(), OperatorError>,
    ) -> Result<(), OperatorError> {
        self.subjects.iter_mut().try_for_each(&mut call)
    }

    /// Advances event time at all subtasks.
    ///
    /// # Errors
    /// What an operator fails with.
    pub fn watermark(&mut self, timestamp: Timestamp) -> Result<(), OperatorError> {
        self.all(|subject| subject.run(Call::Watermark(Watermark(timestamp))))
    }

    /// All inputs of all subtasks go idle, or are active again.
    ///
    /// # Errors
    /// What an operator fails with.
    pub fn idle(&mut self, idle: bool) -> Result<(), OperatorError> {
        self.all(|subject| subject.run(Call::Idle(idle)))
    }

    /// Moves processing time to `now` and fires what is due.
    ///
    /// # Errors
    /// What an operator fails with.
    pub fn processing_time(&mut self, now: Timestamp) -> Result<(), OperatorError> {
        self.setup.clock.set(now);
        self.all(Subject::fire_processing_time)
    }

    /// Ends the input of all subtasks.
    ///
    /// # Errors
    /// What an operator fails with.
    pub fn finish(&mut self) -> Result<(), OperatorError> {
        self.all(|subject| subject.run(Call::Finish))
    }

    /// Snapshots all subtasks and goes on with `parallelism` new ones, restored from that.
    ///
    /// # Errors
    /// What an operator fails with.
    pub fn rescale(&mut self, parallelism: u32) -> Result<(), OperatorError> {
        let (watermark, idle) = self.subjects[0].status();
        let mut snapshots = Vec::new();
        let mut emitted = Vec::new();
        for subject in &mut self.subjects {
            snapshots.push(subject.snapshot()?);
            emitted.append(&mut subject.emitted);
        }
        self.subjects.clear();
        let dealt = redistribute(&snapshots, parallelism, self.setup.max_parallelism);
        self.start(dealt.into_iter().map(Some).collect())?;
        self.subjects[0].emitted = emitted;
        self.all(|subject| subject.resume_at(watermark, idle))
    }

    /// How often operators were replaced at random.
    pub fn restores(&self) -> u64 {
        self.subjects.iter().map(|subject| subject.restores).sum()
    }

    /// How often channels were replaced at random while records were on their way.
    pub fn channel_restores(&self) -> u64 {
        self.channel_restores
    }

    /// What each subtask has emitted since it was last taken.
    pub fn take(&mut self) -> Vec<Vec<Emitted>> {
        self.subjects.iter_mut().map(|subject| std::mem::take(&mut subject.emitted)).collect()
    }
}
