//! `tidemill state`: what a checkpoint or savepoint holds.

use std::collections::BTreeMap;
use std::io::Write;

use clap::{Args, Subcommand};
use indicatif::HumanBytes;
use serde_json::{Map, Value, json};
use tidemill_checkpoint::metadata::{CheckpointKind, OperatorState};
use tidemill_checkpoint::{
    CheckpointError, CheckpointFolder, CheckpointMetadata, CheckpointStorage, StorageSettings,
};
use tidemill_core::{Classified, ScratchFolder};
use tidemill_serialization::SerializerSnapshot;
use tidemill_serialization::TimestampMs;
use tidemill_serialization::schema::{Body, Field, Schema};
use tidemill_state::{NativeFolder, NativeSnapshot, Spill, StateError, StateKind, SubtaskSnapshot};

use super::jobs::whole;
use super::style::{DIM, HEADING, KEY};
use super::{Outcome, show_remarks};
use crate::Error;
use crate::config::{ConfigArgs, load_args};

/// How much of a snapshot that was compressed may be in memory while it is expanded.
const IN_MEMORY: usize = 8 << 20;

#[derive(Args, Debug)]
pub(super) struct StateCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// List operators and their states, with types, fields and sizes
    Types {
        /// The folder of the checkpoint or savepoint: a path or URI
        path: String,
        /// Show them as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

pub(super) fn run(command: StateCommand, out: &mut dyn Write, err: &mut dyn Write) -> Result<Outcome, Error> {
    let Subcommands::Types { path, json: as_json, config } = command.command;
    let loaded = load_args(&config)?;
    show_remarks(&loaded, err)?;
    let settings = StorageSettings::from_configuration(&loaded.configuration)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("tidemill-io")
        .enable_all()
        .build()?;
    let refused = |error: CheckpointError| Error::Checkpoint {
        path: path.clone(),
        reason: error.to_string(),
        code: error.code(),
        fault: error.fault(),
    };
    // The folders of the configuration are not what is asked for, and need not be usable.
    let settings = StorageSettings { checkpoint_dir: None, savepoint_dir: None, ..settings };
    let storage = CheckpointStorage::open(settings, runtime.handle().clone()).map_err(refused)?;
    let folder = storage.at(&whole(&path)?).map_err(refused)?;
    let metadata = storage.block_on(folder.read_metadata()).map_err(refused)?;
    let mut operators = Vec::new();
    for operator in &metadata.operators {
        operators.push(Holds::read(&storage, &folder, operator, &path)?);
    }
    if as_json {
        writeln!(out, "{:#}", describe(&folder, &metadata, &operators))?;
    } else {
        show(&folder, &metadata, &operators, out)?;
    }
    Ok(Outcome::Good)
}

/// What an operator has stored.
struct Holds<'a> {
    operator: &'a OperatorState,
    /// Its states, by kind and name.
    states: BTreeMap<(Section, String), State>,
    /// The backends whose files are in it, and the bytes of these.
    native: BTreeMap<String, u64>,
    in_flight: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Keyed,
    Timers,
    Operator,
}

/// A state of all subtasks together.
struct State {
    kind: String,
    /// What each of its types is for, and the serializers that were found for it: more than one where a record has changed and not
    /// all was written anew.
    types: Vec<(&'static str, Vec<SerializerSnapshot>)>,
    /// Whether each entry has the time at which it was last touched.
    stamped: bool,
    /// The bytes of its entries; `None` where they are in files of a backend together with those of others.
    bytes: Option<u64>,
}

impl<'a> Holds<'a> {
    fn read(
        storage: &CheckpointStorage,
        folder: &CheckpointFolder,
        operator: &'a OperatorState,
        path: &str,
    ) -> Result<Self, Error> {
        let mut holds = Self { operator, states: BTreeMap::new(), native: BTreeMap::new(), in_flight: 0 };
        for subtask in &operator.subtasks {
            let damaged = |error: StateError| Error::Checkpoint {
                path: path.to_owned(),
                reason: format!("operator '{}', subtask {}: {error}", operator.name, subtask.index),
                code: error.code(),
                fault: error.fault(),
            };
            let channels = subtask.input_channels.iter().chain(&subtask.output_channels);
            holds.in_flight += channels.map(|channel| channel.handle.length()).sum::<u64>();
            for native in &subtask.native {
                let snapshot =
                    NativeSnapshot::decode(&native.descriptor, NativeFolder::kept("")).map_err(damaged)?;
                let bytes = native.files.iter().map(|file| file.handle.length()).sum::<u64>();
                *holds.native.entry(snapshot.backend.clone()).or_default() += bytes;
                for table in snapshot.tables {
                    let section = section(table.schema.kind);
                    holds.keyed(
                        section,
                        table.state,
                        table.schema.kind,
                        table.schema.types,
                        table.stamped,
                        None,
                    );
                }
            }
            let Some(handle) = &subtask.managed else { continue };
            // Only what is around the entries is read into memory.
            let spill = Spill::new(ScratchFolder::within(std::env::temp_dir()), IN_MEMORY);
            let file = spill.new_file().map_err(damaged)?;
            let fetched = storage.block_on(folder.download(handle, file.path()));
            fetched.map_err(|error| Error::Checkpoint {
                path: path.to_owned(),
                reason: format!("operator '{}', subtask {}: {error}", operator.name, subtask.index),
                code: error.code(),
                fault: error.fault(),
            })?;
            holds.managed(SubtaskSnapshot::open(file, &spill).map_err(damaged)?);
        }
        Ok(holds)
    }

    fn managed(&mut self, snapshot: SubtaskSnapshot) {
        for state in snapshot.keyed.into_iter().chain(snapshot.timers) {
            let bytes = state.groups.iter().map(|(_, bytes)| bytes.len() as u64).sum();
            let section = section(state.schema.kind);
            self.keyed(
                section,
                state.name,
                state.schema.kind,
                state.schema.types,
                state.stamped,
                Some(bytes),
            );
        }
        for state in snapshot.operator {
            let bytes = state.items.iter().map(|item| item.len() as u64).sum();
            let roles: &[&'static str] =
                if state.types.len() == 2 { &["key", "value"] } else { &["element"] };
            let key = (Section::Operator, state.name);
            self.add(key, state.mode.to_string(), roles, state.types, false, Some(bytes));
        }
    }

    fn keyed(
        &mut self,
        section: Section,
        name: String,
        kind: StateKind,
        types: Vec<SerializerSnapshot>,
        stamped: bool,
        bytes: Option<u64>,
    ) {
        let (text, roles): (_, &[&'static str]) = match kind {
            StateKind::Value => ("value state", &["key", "namespace", "value"]),
            StateKind::List => ("list state", &["key", "namespace", "element"]),
            StateKind::Map => ("map state", &["key", "namespace", "user key", "user value"]),
            StateKind::Reducing => ("reducing state", &["key", "namespace", "value"]),
            StateKind::Aggregating => ("aggregating state", &["key", "namespace", "accumulator"]),
            StateKind::Timers => ("timers", &["key", "namespace"]),
        };
        self.add((section, name), text.to_owned(), roles, types, stamped, bytes);
    }

    fn add(
        &mut self,
        key: (Section, String),
        kind: String,
        roles: &[&'static str],
        types: Vec<SerializerSnapshot>,
        stamped: bool,
        bytes: Option<u64>,
    ) {
        let state =
            self.states.entry(key).or_insert_with(|| State { kind, types: Vec::new(), stamped, bytes: None });
        state.stamped |= stamped;
        if let Some(bytes) = bytes {
            *state.bytes.get_or_insert(0) += bytes;
        }
        for (index, found) in types.into_iter().enumerate() {
            let role = roles.get(index).copied().unwrap_or("and");
            match state.types.get_mut(index) {
                None => state.types.push((role, vec![found])),
                Some((_, known)) if !known.contains(&found) => known.push(found),
                Some(_) => {}
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.operator.handles().map(tidemill_checkpoint::StateHandle::length).sum()
    }
}

fn section(kind: StateKind) -> Section {
    if kind == StateKind::Timers { Section::Timers } else { Section::Keyed }
}

/// What kind of checkpoint it is, and how its state is written.
fn kind(metadata: &CheckpointMetadata) -> (&'static str, &'static str) {
    match metadata.kind {
        CheckpointKind::Checkpoint => ("checkpoint", "native"),
        CheckpointKind::SavepointCanonical => ("savepoint", "canonical"),
        CheckpointKind::SavepointNative => ("savepoint", "native"),
    }
}

fn show(
    folder: &CheckpointFolder,
    metadata: &CheckpointMetadata,
    operators: &[Holds<'_>],
    out: &mut dyn Write,
) -> Result<(), Error> {
    let (kind, format) = kind(metadata);
    let size = metadata.handles().map(tidemill_checkpoint::StateHandle::length).sum::<u64>();
    writeln!(
        out,
        "{HEADING}{}{HEADING:#}\n{} {kind} {} of the job '{}' ({}), triggered at {}, {}",
        folder.uri(),
        if format == "native" { "Native" } else { "Canonical" },
        metadata.checkpoint_id,
        metadata.job_name,
        metadata.job_id,
        TimestampMs(metadata.timestamp_ms),
        HumanBytes(size),
    )?;
    for holds in operators {
        let operator = holds.operator;
        let uid = operator.uid.as_ref().map_or("no uid".to_owned(), |uid| format!("uid '{uid}'"));
        writeln!(
            out,
            "\n{HEADING}{}{HEADING:#}  {uid}  {DIM}{}{DIM:#}\n  parallelism {}, max parallelism {}, {}",
            operator.name,
            operator.id,
            operator.parallelism,
            operator.max_parallelism,
            HumanBytes(holds.bytes()),
        )?;
        for (backend, bytes) in &holds.native {
            writeln!(out, "  {} in files of {backend}", HumanBytes(*bytes))?;
        }
        if holds.in_flight > 0 {
            writeln!(out, "  {} in flight", HumanBytes(holds.in_flight))?;
        }
        if let Some(coordinator) = &operator.coordinator {
            writeln!(out, "  {} of its coordinator", HumanBytes(coordinator.length()))?;
        }
        let finished = operator.subtasks.iter().filter(|subtask| subtask.finished).count();
        if finished > 0 {
            writeln!(out, "  {finished} of its subtasks had finished")?;
        }
        for ((_, name), state) in &holds.states {
            let bytes = state.bytes.map(|bytes| format!(", {}", HumanBytes(bytes))).unwrap_or_default();
            let stamped = if state.stamped { ", with time to live" } else { "" };
            writeln!(out, "  {KEY}{name}{KEY:#}: {}{stamped}{bytes}", state.kind)?;
            for (role, serializers) in &state.types {
                for serializer in serializers {
                    // What all keys have in common need not be said.
                    if *role != "namespace" || serializer.schema.to_string() != "()" {
                        writeln!(out, "    {role:<11} {}", serializer.schema.describe())?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn describe(folder: &CheckpointFolder, metadata: &CheckpointMetadata, operators: &[Holds<'_>]) -> Value {
    let (kind, format) = kind(metadata);
    json!({
        "path": folder.uri(),
        "kind": kind,
        "format": format,
        "id": metadata.checkpoint_id,
        "job": metadata.job_name,
        "job-id": metadata.job_id,
        "timestamp": metadata.timestamp_ms,
        "bytes": metadata.handles().map(tidemill_checkpoint::StateHandle::length).sum::<u64>(),
        "operators": operators.iter().map(describe_operator).collect::<Vec<_>>(),
    })
}

fn describe_operator(holds: &Holds<'_>) -> Value {
    let operator = holds.operator;
    let states: Vec<Value> = holds
        .states
        .iter()
        .map(|((_, name), state)| {
            let types: Vec<Value> = state
                .types
                .iter()
                .flat_map(|(role, serializers)| serializers.iter().map(move |it| (*role, it)))
                .map(|(role, serializer)| describe_type(role, &serializer.schema))
                .collect();
            json!({
                "name": name,
                "kind": state.kind,
                "ttl": state.stamped,
                "bytes": state.bytes,
                "types": types,
            })
        })
        .collect();
    json!({
        "id": operator.id,
        "uid": operator.uid,
        "name": operator.name,
        "parallelism": operator.parallelism,
        "max-parallelism": operator.max_parallelism,
        "bytes": holds.bytes(),
        "native-bytes": holds.native,
        "in-flight-bytes": holds.in_flight,
        "coordinator-bytes": operator.coordinator.as_ref().map(tidemill_checkpoint::StateHandle::length),
        "finished-subtasks": operator.subtasks.iter().filter(|subtask| subtask.finished).count(),
        "states": states,
    })
}

fn describe_type(role: &str, schema: &Schema) -> Value {
    let fields = |fields: &[Field]| -> Vec<Value> {
        fields.iter().map(|field| json!({ "name": field.name, "type": schema.name(&field.ty) })).collect()
    };
    let definitions: Vec<Value> = schema
        .definitions
        .iter()
        .map(|definition| {
            let mut described = Map::new();
            described.insert("name".to_owned(), json!(definition.name));
            match &definition.body {
                Body::Struct(of) => described.insert("fields".to_owned(), json!(fields(of))),
                Body::Enum(variants) => {
                    let variants: Vec<Value> = variants
                        .iter()
                        .map(|variant| json!({ "name": variant.name, "fields": fields(&variant.fields) }))
                        .collect();
                    described.insert("variants".to_owned(), json!(variants))
                }
            };
            Value::Object(described)
        })
        .collect();
    json!({ "role": role, "type": schema.to_string(), "definitions": definitions })
}
