//! What a file sink stores, and how it goes on from that.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::SystemTime;

use tidemill_core::hash;
use tidemill_runtime::OperatorContext;
use tidemill_serialization::Record;
use tidemill_state::{OperatorSnapshot, OperatorStateMode, StateError, SubtaskSnapshot};

use crate::error::ConnectorError;
use crate::file_sink::parts::{PartId, commit, remove, remove_left_over, reopen, sync_folder, take_lock};
use crate::file_sink::writer::{FileSinkOperator, Part};

/// The names under which it is stored.
const WRITERS: &str = "file-sink-writers";
const PENDING: &str = "file-sink-pending";
const PARTITIONS: &str = "file-sink-partitions";

/// How far a subtask is.
#[derive(Record, Clone, Debug, PartialEq, Eq)]
struct StoredWriter {
    run: Option<u64>,
    subtask: u32,
    /// The number of the part in progress, or of the next one.
    number: u64,
    /// How many bytes of a single file in progress count; `None` when there is none.
    length: Option<u64>,
}

/// A part that is visible once the checkpoint is complete.
#[derive(Record, Clone, Debug, PartialEq, Eq)]
struct StoredPart {
    run: Option<u64>,
    subtask: u32,
    number: u64,
    length: u64,
    /// The path of its partition.
    #[record(default)]
    partition: String,
}

impl StoredPart {
    fn id(&self) -> PartId {
        let partition = self.partition.as_str().into();
        PartId { run: self.run, subtask: self.subtask, number: self.number, partition }
    }
}

/// A partition that has not been committed.
#[derive(Record, Clone, Debug, PartialEq, Eq)]
struct StoredPartition {
    path: String,
    /// When its first row came.
    began: i64,
}

/// What a snapshot says. All subtasks get back what all of them have said: each sees to what it wrote itself, and to what
/// those did whose number is its own modulo the parallelism. So what is to be made visible and what may be removed is in one
/// hand, however many there are.
#[derive(Default)]
pub(super) struct Stored {
    writers: Vec<StoredWriter>,
    parts: Vec<StoredPart>,
    partitions: Vec<StoredPartition>,
}

impl Stored {
    pub(super) fn of(sink: &FileSinkOperator) -> Self {
        let length = sink.single_part().map(|part| part.written);
        let writer = StoredWriter { run: sink.run, subtask: sink.subtask, number: sink.next, length };
        let stored = sink.pending.iter().map(|pending| {
            let PartId { run, subtask, number, partition } = &pending.part;
            let (run, subtask, number) = (*run, *subtask, *number);
            StoredPart { run, subtask, number, length: pending.length, partition: partition.to_string() }
        });
        let open = sink.shape.commits.iter().flat_map(|commits| commits.open_partitions());
        let partitions = open.map(|(path, began)| StoredPartition { path: path.to_string(), began });
        Self { writers: vec![writer], parts: stored.collect(), partitions: partitions.collect() }
    }

    /// The partitions that have not been committed, and when their first rows came.
    pub(super) fn partitions(&self) -> Vec<(Arc<str>, i64)> {
        self.partitions.iter().map(|partition| (partition.path.as_str().into(), partition.began)).collect()
    }

    pub(super) fn encode(&self) -> SubtaskSnapshot {
        let writers = OperatorSnapshot::of(WRITERS, OperatorStateMode::Union, &self.writers);
        let pending = OperatorSnapshot::of(PENDING, OperatorStateMode::Union, &self.parts);
        let mut operator = vec![writers, pending];
        if !self.partitions.is_empty() {
            operator.push(OperatorSnapshot::of(PARTITIONS, OperatorStateMode::Union, &self.partitions));
        }
        SubtaskSnapshot { operator, ..SubtaskSnapshot::default() }
    }

    pub(super) fn decode(snapshot: &SubtaskSnapshot) -> Result<Self, StateError> {
        let mut stored = Self::default();
        for state in &snapshot.operator {
            match state.name.as_str() {
                WRITERS => stored.writers.extend(state.read::<StoredWriter>()?),
                PENDING => stored.parts.extend(state.read::<StoredPart>()?),
                PARTITIONS => stored.partitions.extend(state.read::<StoredPartition>()?),
                _ => {}
            }
        }
        Ok(stored)
    }
}

/// A number that no other run has.
pub(super) fn random_run() -> u64 {
    // The keys of such a hasher are random; the rest is for machines that are poor in that.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    hasher.write_u128(since_epoch.as_nanos());
    hasher.finish()
}

impl FileSinkOperator {
    /// Brings the files to where the restored checkpoint has them.
    pub(super) fn recover(
        &mut self,
        context: &OperatorContext,
        stored: Option<Stored>,
    ) -> Result<(), ConnectorError> {
        if self.is_single() {
            return self.recover_single(stored);
        }
        let stored = stored.unwrap_or_default();
        let mut runs: BTreeSet<u64> = stored.writers.iter().filter_map(|writer| writer.run).collect();
        runs.extend(stored.parts.iter().filter_map(|part| part.run));
        if self.checkpoints {
            runs.extend(self.begin_run(context)?);
        }
        let parallelism = context.parallelism;
        self.commit_restored(&stored, parallelism)?;
        self.clear_runs(&runs, parallelism)?;
        self.clear_plain(&stored, parallelism)?;
        self.count_on(&stored)
    }

    /// Chooses what the names of parts carry: the same for all attempts of a job, which can so tell what their predecessors
    /// have left. Returns it when there may be such.
    fn begin_run(&mut self, context: &OperatorContext) -> Result<Option<u64>, ConnectorError> {
        let operator = format!("{} of {}", context.operator_id, context.job_name);
        let run = hash::combine(self.shape.run, hash::bytes(operator.as_bytes()));
        let path = self.shape.target.lock_file(run, self.subtask);
        if let Some(file) = take_lock(&path)? {
            self.run = Some(run);
            self.lock = Some((path, file));
            return Ok(Some(run));
        }
        // The same sink is at work in another job.
        let run = random_run();
        let path = self.shape.target.lock_file(run, self.subtask);
        self.lock = take_lock(&path)?.map(|file| (path, file));
        self.run = Some(run);
        Ok(None)
    }

    /// The checkpoint is complete, so what it holds is to be visible.
    fn commit_restored(&self, stored: &Stored, parallelism: u32) -> Result<(), ConnectorError> {
        let target = &self.shape.target;
        let mut folders = BTreeSet::new();
        for part in stored.parts.iter().filter(|part| part.subtask % parallelism == self.subtask) {
            commit(target, &part.id(), part.length)?;
            folders.insert(part.partition.as_str());
        }
        folders.into_iter().try_for_each(|partition| sync_folder(&target.partition(partition)))
    }

    /// Removes what these runs have left hidden: whatever the checkpoint knows is visible by now.
    fn clear_runs(&self, runs: &BTreeSet<u64>, parallelism: u32) -> Result<(), ConnectorError> {
        let target = &self.shape.target;
        let listing = target.list()?;
        let locks = listing.locks.into_iter().filter(|(run, _)| runs.contains(run));
        let mut left_over: BTreeMap<(u64, u32), Vec<_>> = locks.map(|writer| (writer, Vec::new())).collect();
        for (part, is_visible) in listing.parts {
            if let Some(run) = part.run.filter(|run| !is_visible && runs.contains(run)) {
                left_over.entry((run, part.subtask)).or_default().push(target.hidden(&part));
            }
        }
        for ((run, subtask), hidden) in left_over {
            if self.run == Some(run) && subtask == self.subtask {
                hidden.iter().try_for_each(|path| remove(path))?;
            } else if subtask % parallelism == self.subtask {
                remove_left_over(&target.lock_file(run, subtask), &hidden)?;
            }
        }
        Ok(())
    }

    /// Without checkpoints parts are visible before their rows are known to come no more: those that will be written again
    /// are removed. A folder belongs to one job then, so that other hidden parts are of no use to anybody.
    fn clear_plain(&mut self, stored: &Stored, parallelism: u32) -> Result<(), ConnectorError> {
        let target = &self.shape.target;
        let plain = || stored.writers.iter().filter(|writer| writer.run.is_none());
        let continues = plain().any(|writer| writer.subtask == self.subtask);
        for (part, is_visible) in target.list()?.parts {
            if part.run.is_some() || part.subtask % parallelism != self.subtask {
                continue;
            }
            let comes_again = match plain().find(|writer| writer.subtask == part.subtask) {
                Some(writer) => part.number >= writer.number,
                None => !is_visible && !self.checkpoints && !continues,
            };
            if comes_again {
                remove(&if is_visible { target.complete(&part) } else { target.hidden(&part) })?;
            }
        }
        Ok(())
    }

    /// Finds the first number that has not been used.
    fn count_on(&mut self, stored: &Stored) -> Result<(), ConnectorError> {
        let own = |run: Option<u64>, subtask: u32| run == self.run && subtask == self.subtask;
        let writers = stored.writers.iter().filter(|writer| own(writer.run, writer.subtask));
        let there = self.shape.target.list()?.parts;
        let visible = there.iter().filter(|(part, is_visible)| *is_visible && own(part.run, part.subtask));
        let free = writers.map(|writer| writer.number).chain(visible.map(|(part, _)| part.number + 1));
        self.next = free.max().unwrap_or(0);
        Ok(())
    }

    fn recover_single(&mut self, stored: Option<Stored>) -> Result<(), ConnectorError> {
        let target = &self.shape.target;
        let single = PartId::single();
        let (hidden, complete) = (target.hidden(&single), target.complete(&single));
        let Some(stored) = stored else { return remove(&hidden) };
        self.next = stored.writers.iter().map(|writer| writer.number).max().unwrap_or(0);
        for part in &stored.parts {
            commit(target, &single, part.length)?;
            sync_folder(target.folder())?;
        }
        if let Some(length) = stored.writers.iter().find_map(|writer| writer.length) {
            let file = reopen(&hidden, &complete, length)?;
            let now = self.now();
            let part = Part::new(single, file, hidden, length, now);
            self.parts.insert(Arc::clone(&part.id.partition), part);
            // The checkpoint may be needed once more.
            self.is_snapshotted = true;
        }
        Ok(())
    }
}
