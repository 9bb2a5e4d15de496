//! What a job goes on from: state dealt out to the subtasks that there are now.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tidemill_checkpoint::metadata::NativeState;
use tidemill_checkpoint::storage::LeftBehind;
use tidemill_checkpoint::{
    CheckpointError, CheckpointFolder, CheckpointMetadata, CheckpointStorage, StateHandle,
};
use tidemill_core::{CheckpointId, Classified, Fault, OperatorId};
use tidemill_network::{GateSnapshot, NetworkError};
use tidemill_state::{
    NativeFolder, NativeSnapshot, OperatorSnapshot, OperatorStateMode, StateError, SubtaskSnapshot,
    redistribute,
};

use crate::checkpoint::in_flight;
use crate::checkpoint::local_backup::LocalBackup;
use crate::checkpoint::service::{CheckpointEnvironment, Completed, Restored};
use crate::error::JobError;
use crate::graph::{ChainingStrategy, ExecutionPlan, NodeKind};
use crate::source::SourceSplit;
use crate::task::Task;

/// Whose a checkpoint or savepoint is once a job has been restored from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClaimMode {
    /// It stays whoever's it was, and nothing of it is deleted or relied on once the job has a checkpoint of its own.
    #[default]
    NoClaim,
    /// It becomes the job's, which deletes it when newer ones take its place.
    Claim,
}

/// From what a job goes on.
#[derive(Clone, Debug)]
pub struct RestoreSettings {
    /// The folder of a checkpoint or savepoint.
    pub path: String,
    /// Whose it is from now on.
    pub claim: ClaimMode,
    /// Whether state of operators that the job does not have may be left out.
    pub allow_non_restored_state: bool,
}

/// What a job was restored from when it was submitted.
pub(crate) struct Origin {
    pub(crate) completed: Completed,
    /// Whether the job is the one that has taken it, and goes on as such.
    pub(crate) same_job: bool,
    /// The checkpoints of the same job before it, the oldest first.
    pub(crate) older: Vec<Completed>,
    /// The checkpoints of the same job that cannot be used: they are left where they are.
    pub(crate) damaged: BTreeSet<CheckpointId>,
    /// The number of the next checkpoint.
    pub(crate) next_id: CheckpointId,
}

impl Origin {
    pub(crate) fn restored(&self) -> Restored {
        Restored {
            id: self.completed.id,
            savepoint: self.completed.metadata.kind.is_savepoint(),
            path: self.completed.folder.uri(),
            claimed: self.completed.claimed,
        }
    }
}

/// The state of a job, dealt out to its subtasks.
pub(crate) struct RestoredJob {
    /// For each operator that has some: that of each subtask.
    operators: HashMap<OperatorId, Vec<Option<SubtaskSnapshot>>>,
    /// For each source: the splits that its readers do not have.
    splits: HashMap<OperatorId, Vec<SourceSplit>>,
    /// The operators that had finished in all their subtasks, or in some.
    finished: HashMap<OperatorId, Vec<bool>>,
    /// For each vertex and gate: what was on its way to each subtask.
    gates: BTreeMap<(usize, usize), Vec<Option<GateSnapshot>>>,
}

/// Under this name the splits that nobody has are stored.
const SPLITS: &str = "splits";

/// The bytes of splits.
pub(super) fn encode_splits(splits: &[SourceSplit]) -> Vec<u8> {
    let splits: Vec<(Arc<str>, Vec<u8>)> =
        splits.iter().map(|split| (Arc::clone(&split.id), split.state.clone())).collect();
    let state = OperatorSnapshot::of(SPLITS, OperatorStateMode::Split, &splits);
    SubtaskSnapshot { operator: vec![state], ..SubtaskSnapshot::default() }.encode()
}

fn decode_splits(bytes: &[u8]) -> Result<Vec<SourceSplit>, StateError> {
    let mut splits = Vec::new();
    for state in SubtaskSnapshot::decode(bytes)?.operator {
        splits.extend(state.read::<(Arc<str>, Vec<u8>)>()?);
    }
    Ok(splits.into_iter().map(|(id, state)| SourceSplit { id, state }).collect())
}

/// Why something could not be restored, before it is known of which job.
pub(super) struct Refused {
    reason: String,
    code: &'static str,
    fault: Fault,
    damaged: bool,
}

impl Refused {
    pub(super) fn user(code: &'static str, reason: String) -> Self {
        Self { reason, code, fault: Fault::User, damaged: false }
    }

    fn of_storage(what: &str, error: &CheckpointError) -> Self {
        Self { damaged: error.is_damage(), ..Refused::of(what, error) }
    }

    fn of_state(what: &str, error: &StateError) -> Self {
        let damaged = matches!(error, StateError::Snapshot(_) | StateError::NativeFile { .. });
        Self { damaged, ..Refused::of(what, error) }
    }

    fn at(mut self, place: &str) -> Self {
        self.reason = format!("{place}: {}", self.reason);
        self
    }

    fn of(what: &str, error: &(impl Classified + std::fmt::Display)) -> Self {
        Self { reason: format!("{what}: {error}"), code: error.code(), fault: error.fault(), damaged: false }
    }

    fn in_job(self, plan: &ExecutionPlan) -> JobError {
        let job = plan.job.name.clone();
        JobError::Restore {
            job,
            reason: self.reason,
            code: self.code,
            fault: self.fault,
            damaged: self.damaged,
        }
    }
}

impl From<NetworkError> for Refused {
    fn from(error: NetworkError) -> Self {
        Refused::of("records that were on their way", &error)
    }
}

impl RestoreSettings {
    /// Reads the metadata of what the job goes on from.
    pub(crate) fn read(
        &self,
        storage: &CheckpointStorage,
        plan: &ExecutionPlan,
    ) -> Result<(CheckpointFolder, CheckpointMetadata), JobError> {
        let refused = |error: CheckpointError| Refused::of_storage(&self.path, &error).in_job(plan);
        let folder = storage.at(&self.path).map_err(refused)?;
        let metadata = storage.block_on(folder.read_metadata()).map_err(refused)?;
        Ok((folder, metadata))
    }
}

/// Has the job keep the numbers of key groups that its state was written with, where it does not say how many it wants.
fn adopt_max_parallelism(plan: &mut ExecutionPlan, metadata: &CheckpointMetadata) {
    let stored: HashMap<OperatorId, u32> =
        metadata.operators.iter().map(|state| (state.id, state.max_parallelism)).collect();
    let job = Arc::make_mut(&mut plan.job);
    for (vertex, vertex_plan) in job.vertices.iter_mut().zip(&plan.vertices) {
        let nodes = vertex_plan.nodes.iter().map(|node| &plan.graph.nodes[*node]);
        let chosen = plan.settings.max_parallelism.is_some()
            || nodes.clone().any(|node| node.max_parallelism.is_some());
        let known = vertex.operators.iter().find_map(|operator| stored.get(&operator.id));
        if let Some(known) = known.filter(|known| !chosen && **known >= vertex.parallelism) {
            vertex.max_parallelism = *known;
        }
    }
}

/// Has a plan fit what a checkpoint holds: operators that records were on their way to are not chained behind others, whatever their
/// parallelism is now, and max parallelism is what state was divided by.
fn adopt(plan: &mut ExecutionPlan, metadata: &CheckpointMetadata) -> Result<(), JobError> {
    let holds = metadata
        .operators
        .iter()
        .filter(|state| state.subtasks.iter().any(|subtask| !subtask.input_channels.is_empty()));
    let holds: HashSet<OperatorId> = holds.map(|state| state.id).collect();
    let ids = plan.operator_ids();
    let behind = plan.vertices.iter().flat_map(|vertex| vertex.nodes.iter().skip(1).copied());
    let apart: Vec<usize> =
        behind.filter(|node| ids.get(*node).is_some_and(|id| holds.contains(id))).collect();
    if !apart.is_empty() {
        let mut graph = plan.graph.clone();
        for index in apart {
            let Some(node) = graph.nodes.get_mut(index) else { continue };
            tracing::info!(
                job = plan.job.name,
                "'{}' is not chained: records were on their way to it",
                node.name
            );
            node.chaining = ChainingStrategy::Head;
        }
        *plan = ExecutionPlan::new(graph, &plan.settings)?;
    }
    adopt_max_parallelism(plan, metadata);
    Ok(())
}

impl RestoredJob {
    /// Reads the state of a checkpoint and deals it out to the subtasks of the job, or of some of its vertices. `strict`: state of operators that the job
    /// does not have is an error.
    pub(crate) fn load(
        source: &Source<'_>,
        plan: &ExecutionPlan,
        vertices: Option<&[usize]>,
        strict: bool,
    ) -> Result<Self, JobError> {
        Self::try_load(source, plan, vertices, strict).map_err(|refused| refused.in_job(plan))
    }

    fn try_load(
        source: &Source<'_>,
        plan: &ExecutionPlan,
        vertices: Option<&[usize]>,
        strict: bool,
    ) -> Result<Self, Refused> {
        let metadata = source.metadata;
        if strict {
            check_all_known(metadata, plan)?;
        }
        let read = |handle| source.read(handle);
        let mut job = Self {
            operators: HashMap::new(),
            splits: HashMap::new(),
            finished: HashMap::new(),
            gates: BTreeMap::new(),
        };
        // Sources that had finished only because the job was drained read on, and what they read has not been finished with.
        let mut goes_on = false;
        for (index, vertex) in plan.job.vertices.iter().enumerate() {
            if vertices.is_some_and(|wanted| !wanted.contains(&index)) {
                continue;
            }
            for operator in &vertex.operators {
                let Some(stored) = metadata.operators.iter().find(|state| state.id == operator.id) else {
                    continue;
                };
                let of_operator =
                    |error: StateError| Refused::of_state(&format!("operator '{}'", operator.name), &error);
                let mut snapshots = vec![SubtaskSnapshot::default(); stored.parallelism as usize];
                let mut finished = vec![false; stored.parallelism as usize];
                let mut in_flight: BTreeMap<u32, Vec<(u32, GateSnapshot)>> = BTreeMap::new();
                for state in &stored.subtasks {
                    if let Some(handle) = &state.managed {
                        snapshots[state.index as usize] = source.snapshot(handle, of_operator)?;
                    }
                    for native in &state.native {
                        let snapshot =
                            source.download(native).map_err(|refused| refused.at(&source.folder.uri()))?;
                        snapshots[state.index as usize].native.push(snapshot);
                    }
                    finished[state.index as usize] = state.finished;
                    for channel in &state.input_channels {
                        let gate = GateSnapshot::decode(&read(&channel.handle)?)?;
                        in_flight.entry(channel.edge).or_default().push((state.index, gate));
                    }
                }
                let holds_splits = |snapshot: &SubtaskSnapshot| {
                    is_source(plan, index) && snapshot.operator.iter().any(|state| !state.items.is_empty())
                };
                goes_on |= finished.contains(&true) && snapshots.iter().any(holds_splits);
                let dealt = redistribute(snapshots, vertex.max_parallelism, vertex.parallelism)
                    .map_err(of_operator)?;
                job.operators.insert(operator.id, dealt.into_iter().map(Some).collect());
                if let Some(handle) = &stored.coordinator {
                    let splits = decode_splits(&read(handle)?).map_err(of_operator)?;
                    goes_on |= !splits.is_empty();
                    job.splits.insert(operator.id, splits);
                }
                let finished = if finished.iter().all(|finished| *finished) {
                    vec![true; vertex.parallelism as usize]
                } else if stored.parallelism == vertex.parallelism {
                    finished
                } else {
                    vec![false; vertex.parallelism as usize]
                };
                job.finished.insert(operator.id, finished);
                if !in_flight.is_empty() && vertex.operators[0].id != operator.id {
                    return Err(Refused::user(
                        "TM-RESTORE-CHAINED",
                        format!(
                            "it holds records on their way to '{}', which is chained behind '{}' now: restore the job from a \
                             savepoint that was not taken with unaligned checkpoints, or keep it apart as it was",
                            operator.name, vertex.operators[0].name
                        ),
                    ));
                }
                for (gate, of_subtasks) in in_flight {
                    let dealt = in_flight::deal(plan, index, gate as usize, stored.parallelism, of_subtasks)?;
                    job.gates.insert((index, gate as usize), dealt);
                }
            }
        }
        if goes_on {
            job.finished.clear();
        }
        Ok(job)
    }

    /// The splits that no reader of a source has.
    pub(crate) fn splits_left(&mut self, operator: OperatorId) -> Option<Vec<SourceSplit>> {
        self.splits.remove(&operator)
    }

    /// Gives a task what is its own.
    pub(crate) fn give_to(
        &mut self,
        plan: &ExecutionPlan,
        task: &mut Task,
        vertex: usize,
    ) -> Result<(), JobError> {
        let subtask = task.metrics.subtask as usize;
        for (node, context) in task.contexts.iter().enumerate() {
            let own = self.operators.get_mut(&context.operator_id).and_then(|all| all.get_mut(subtask));
            task.restored[node] = own.and_then(Option::take);
            let finished = self.finished.get(&context.operator_id).and_then(|all| all.get(subtask));
            task.chain.nodes[node].finished_before = finished.copied().unwrap_or(false);
        }
        let Some(gates) = &mut task.gates else { return Ok(()) };
        for ((_, gate), dealt) in self.gates.range_mut((vertex, 0)..=(vertex, usize::MAX)) {
            let Some(own) = dealt.get_mut(subtask).and_then(Option::take) else { continue };
            gates.restore(*gate, own).map_err(|error| Refused::from(error).in_job(plan))?;
        }
        Ok(())
    }
}

fn is_source(plan: &ExecutionPlan, vertex: usize) -> bool {
    let head = plan.vertices[vertex].nodes.first();
    head.is_some_and(|head| matches!(plan.graph.nodes[*head].kind, NodeKind::Source(_)))
}

/// Where the state of a checkpoint is read from.
pub(crate) struct Source<'a> {
    pub(crate) environment: &'a CheckpointEnvironment,
    pub(crate) folder: &'a CheckpointFolder,
    pub(crate) metadata: &'a CheckpointMetadata,
    /// What of it may be on this machine.
    pub(crate) backup: Option<&'a LocalBackup>,
}

impl Source<'_> {
    fn read(&self, handle: &StateHandle) -> Result<Bytes, Refused> {
        if let Some(here) = self.backup.and_then(|backup| backup.read(handle)) {
            return Ok(here.into());
        }
        let read = self.environment.storage.block_on(self.folder.read(handle));
        read.map_err(|error| Refused::of_storage(&self.folder.uri(), &error))
    }

    /// Reads the state of a subtask; from a file on this machine, in which its entries stay, if it is large.
    fn snapshot(
        &self,
        handle: &StateHandle,
        of_operator: impl Fn(StateError) -> Refused,
    ) -> Result<SubtaskSnapshot, Refused> {
        let spill = self.environment.spill();
        // It may be compressed, and several times as large.
        if !spill.is_large(handle.length().saturating_mul(4)) {
            return SubtaskSnapshot::decode(&self.read(handle)?).map_err(of_operator);
        }
        let file = spill.new_file().map_err(&of_operator)?;
        if self.backup.is_some_and(|backup| backup.fetch(handle, file.path())) {
            match SubtaskSnapshot::open(file, &spill) {
                // The storage has it whole.
                Err(error @ (StateError::Snapshot(_) | StateError::Spill { .. })) => {
                    tracing::warn!("a copy on this machine is not used: {error}");
                }
                opened => return opened.map_err(of_operator),
            }
        }
        let file = spill.new_file().map_err(&of_operator)?;
        let fetched = self.environment.storage.block_on(self.folder.download(handle, file.path()));
        fetched.map_err(|error| Refused::of_storage(&self.folder.uri(), &error))?;
        SubtaskSnapshot::open(file, &spill).map_err(of_operator)
    }

    /// Fetches the files of a state backend to a folder of their own.
    fn download(&self, native: &NativeState) -> Result<NativeSnapshot, Refused> {
        let of_state = |error: StateError| Refused::of_state("the files of a state backend", &error);
        let temporary = &self.environment.temporary;
        let made = temporary.create().and_then(|folder| {
            let place = folder.join(format!("restore-{}", UNIQUE.fetch_add(1, Ordering::Relaxed)));
            std::fs::create_dir(&place).map(|()| place)
        });
        let place = made.map_err(|error| Refused {
            reason: format!(
                "no folder can be made in {}: {error}. Set 'io.tmp.dirs' to another",
                temporary.parent().display()
            ),
            code: "TM-RESTORE-FOLDER",
            fault: Fault::External,
            damaged: false,
        })?;
        let local = NativeFolder::temporary_in(Some(temporary.clone()), &place);
        let mut elsewhere = Vec::new();
        for file in &native.files {
            // Names of files come from outside; the store's own have no folders in them.
            let name = std::path::Path::new(&file.name);
            let Some(name) = name.file_name().filter(|plain| *plain == name) else { continue };
            let to = place.join(name);
            if !self.backup.is_some_and(|backup| backup.fetch(&file.handle, &to)) {
                elsewhere.push((file.handle.clone(), to));
            }
        }
        let fetched = self.environment.storage.block_on(self.folder.download_all(elsewhere));
        fetched.map_err(|error| Refused::of_storage("the files of a state backend", &error))?;
        let snapshot = NativeSnapshot::decode(&native.descriptor, local).map_err(of_state)?;
        snapshot.check_files().map_err(of_state)?;
        Ok(snapshot)
    }
}

static UNIQUE: AtomicU64 = AtomicU64::new(0);

/// The operators that a checkpoint holds state of and that the job does not have.
fn unknown(metadata: &CheckpointMetadata, plan: &ExecutionPlan) -> Vec<String> {
    let known = |id: OperatorId| {
        plan.job.vertices.iter().any(|vertex| vertex.operators.iter().any(|operator| operator.id == id))
    };
    let holds_state =
        |state: &&tidemill_checkpoint::metadata::OperatorState| state.handles().next().is_some();
    metadata
        .operators
        .iter()
        .filter(|state| !known(state.id))
        .filter(holds_state)
        .map(|state| match &state.uid {
            Some(uid) => format!("'{}' (uid '{uid}')", state.name),
            None => format!("'{}' (without a uid)", state.name),
        })
        .collect()
}

/// Says which operators do not go on where they were: those whose state is left out, and those that begin without any.
fn tell_not_restored(metadata: &CheckpointMetadata, plan: &ExecutionPlan) {
    let left_out = unknown(metadata, plan);
    if !left_out.is_empty() {
        tracing::warn!(
            job = plan.job.name,
            "the state of operators that the job does not have is left out: {}",
            left_out.join(", ")
        );
    }
    let stored: HashSet<OperatorId> = metadata.operators.iter().map(|state| state.id).collect();
    let keeps_state = |kind: &NodeKind| match kind {
        NodeKind::Source(_) => true,
        NodeKind::Operator(factory) | NodeKind::Sink(factory) => factory.is_stateful(),
    };
    let ids = plan.operator_ids();
    let new = plan
        .graph
        .nodes
        .iter()
        .zip(&ids)
        .filter(|(node, id)| keeps_state(&node.kind) && !stored.contains(id));
    let new: Vec<String> = new.map(|(node, _)| format!("'{}'", node.name)).collect();
    if !new.is_empty() {
        tracing::warn!(
            job = plan.job.name,
            "there is no state of these operators, which begin anew: {}",
            new.join(", ")
        );
    }
}

/// State that belongs to no operator of the job would be lost without a word.
fn check_all_known(metadata: &CheckpointMetadata, plan: &ExecutionPlan) -> Result<(), Refused> {
    let lost = unknown(metadata, plan);
    if lost.is_empty() {
        return Ok(());
    }
    Err(Refused::user(
        "TM-RESTORE-NO-OPERATOR",
        format!(
            "it holds state of operators that the job does not have: {}. Give the operators the uids that they had, or leave \
             this state out with --allow-non-restored-state",
            lost.join(", ")
        ),
    ))
}

/// Reads all that a job goes on from.
pub(crate) fn from_settings(
    settings: &RestoreSettings,
    environment: &CheckpointEnvironment,
    plan: &mut ExecutionPlan,
) -> Result<(RestoredJob, Origin), JobError> {
    let (folder, metadata) = settings.read(&environment.storage, plan)?;
    adopt(plan, &metadata)?;
    let strict = !settings.allow_non_restored_state;
    let source = Source { environment, folder: &folder, metadata: &metadata, backup: None };
    let job = RestoredJob::load(&source, plan, None, strict)?;
    tell_not_restored(&metadata, plan);
    let claimed = settings.claim == ClaimMode::Claim;
    let next_id = metadata.checkpoint_id + 1;
    let completed = Completed::of(folder, metadata, claimed);
    let origin = Origin { completed, same_job: false, older: Vec::new(), damaged: BTreeSet::new(), next_id };
    Ok((job, origin))
}

/// Reads the newest checkpoint of an earlier run that can be read.
pub(crate) fn from_run(
    run: LeftBehind,
    allow_non_restored_state: bool,
    environment: &CheckpointEnvironment,
    plan: &mut ExecutionPlan,
) -> Result<(RestoredJob, Origin), JobError> {
    let mut damaged: BTreeSet<CheckpointId> = BTreeSet::new();
    for (id, message) in run.damaged {
        tracing::error!(job = plan.job.name, "checkpoint {id} cannot be used, another is tried: {message}");
        damaged.insert(id);
    }
    let mut failure = None;
    let mut checkpoints = run.checkpoints.into_iter();
    for (folder, metadata) in checkpoints.by_ref() {
        let mut fitting = plan.clone();
        adopt(&mut fitting, &metadata)?;
        let source = Source { environment, folder: &folder, metadata: &metadata, backup: None };
        match RestoredJob::load(&source, &fitting, None, !allow_non_restored_state) {
            Ok(job) => {
                tell_not_restored(&metadata, &fitting);
                *plan = fitting;
                let completed = Completed::of(folder, metadata, true);
                let older = checkpoints.map(|(folder, metadata)| Completed::of(folder, metadata, true));
                let mut older: Vec<Completed> = older.collect();
                older.reverse();
                let next_id = run.last_id + 1;
                return Ok((job, Origin { completed, same_job: true, older, damaged, next_id }));
            }
            Err(error) if error.is_damage() => {
                let (id, uri) = (metadata.checkpoint_id, folder.uri());
                tracing::error!(
                    job = plan.job.name,
                    "checkpoint {id} at {uri} cannot be used, the one before it is tried: {error}"
                );
                damaged.insert(id);
                failure.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(failure.unwrap_or_else(|| JobError::Cancelled(plan.job.name.clone())))
}
