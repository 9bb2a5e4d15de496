//! Edges of rows: how batches of columns are dealt to channels, packed to at most a segment, and encoded.

use std::fmt;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use tidemill_core::batch::{ArrowBatch, Batch, BatchData, RowKind};
use tidemill_core::graph::ShipStrategy;
use tidemill_core::hash;
use tidemill_core::key_group::{key_group, subtask_of};
use tidemill_network::snapshot::RouterSnapshot;
use tidemill_network::{NetworkError, RouteTarget, Routed, Router};
use tidemill_runtime::graph::{EdgeType, RouterContext};
use tidemill_serialization::opaque::Opaque;
use tidemill_serialization::schema::{Schema, Type};
use tidemill_serialization::{
    BatchSerializer, DecodeError, Input, SerializationError, SerializerSnapshot, Unstored,
};

use super::row::{RowReader, RowWriter, column_data, describe_types};
use crate::expr::compile::record_batch;

/// An edge of rows, keyed by some columns or not.
#[derive(Clone, Debug)]
pub(crate) struct RowEdge {
    schema: SchemaRef,
    /// The columns that rows with equal values of go to one subtask by.
    keys: Option<Arc<[usize]>>,
}

impl RowEdge {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Self { schema, keys: None }
    }

    pub(crate) fn keyed(schema: SchemaRef, keys: &[usize]) -> Self {
        Self { schema, keys: Some(keys.into()) }
    }
}

impl EdgeType for RowEdge {
    fn supports(&self, strategy: ShipStrategy) -> bool {
        match strategy {
            ShipStrategy::Hash => self.keys.is_some(),
            ShipStrategy::Custom => false,
            _ => true,
        }
    }

    fn router(
        &self,
        strategy: ShipStrategy,
        context: &RouterContext,
    ) -> Result<Box<dyn Router>, NetworkError> {
        let choice = match strategy {
            ShipStrategy::Hash => match &self.keys {
                Some(keys) => Choice::Key(Arc::clone(keys)),
                None => return Err(NetworkError::NoPartitioner { strategy: strategy.name() }),
            },
            ShipStrategy::Custom => return Err(NetworkError::NoPartitioner { strategy: strategy.name() }),
            ShipStrategy::Broadcast => Choice::All,
            ShipStrategy::Rebalance | ShipStrategy::Rescale | ShipStrategy::Shuffle
                if context.channels > 1 =>
            {
                Choice::Next(context.subtask as usize % context.channels)
            }
            _ => Choice::First,
        };
        Ok(Box::new(RowRouter {
            choice,
            schema: Arc::clone(&self.schema),
            parallelism: context.parallelism,
            max_parallelism: context.max_parallelism,
            segment_size: context.segment_size,
            builders: (0..context.channels).map(|_| Builder::default()).collect(),
            begun: 0,
        }))
    }

    fn serializer(&self) -> Arc<dyn BatchSerializer> {
        Arc::new(RowSerializer { schema: Arc::clone(&self.schema) })
    }
}

/// The hashes of rows by the values of some columns.
pub(crate) fn hashes(columns: &[ArrayRef], keys: &[usize], rows: usize, out: &mut Vec<u64>) {
    let data = column_data(columns, keys);
    let writer = RowWriter::new(&data, true);
    let mut scratch = Vec::new();
    out.clear();
    out.reserve(rows);
    for row in 0..rows {
        scratch.clear();
        writer.write(row, &mut scratch);
        out.push(hash::bytes(&scratch));
    }
}

enum Choice {
    Key(Arc<[usize]>),
    /// All records to all channels.
    All,
    /// Batches to one channel after the other.
    Next(usize),
    First,
}

#[derive(Default)]
struct Builder {
    batches: Vec<ArrowBatch>,
    bytes: usize,
}

struct RowRouter {
    choice: Choice,
    schema: SchemaRef,
    parallelism: u32,
    max_parallelism: u32,
    segment_size: usize,
    builders: Vec<Builder>,
    /// Of a broadcast, how many channels have given a permit for what is being built.
    begun: usize,
}

fn internal(error: &dyn fmt::Display) -> NetworkError {
    NetworkError::Serialization(error.to_string())
}

impl Builder {
    /// What was packed, as one batch.
    fn take(&mut self, schema: &SchemaRef) -> Result<Option<(Batch, usize)>, NetworkError> {
        let bytes = std::mem::take(&mut self.bytes);
        let batches = std::mem::take(&mut self.batches);
        Ok(joined(batches, schema)?.map(|batch| (Batch::new(batch), bytes)))
    }
}

/// Batches as one, if there are any.
pub(crate) fn joined(
    mut batches: Vec<ArrowBatch>,
    schema: &SchemaRef,
) -> Result<Option<ArrowBatch>, NetworkError> {
    if batches.len() <= 1 {
        return Ok(batches.pop());
    }
    let records =
        concat_batches(schema, batches.iter().map(|batch| &batch.records)).map_err(|e| internal(&e))?;
    let kinds = batches.iter().any(|batch| batch.kinds.is_some()).then(|| {
        let each = batches.iter().flat_map(|batch| {
            let rows = batch.records.num_rows();
            (0..rows).map(move |row| batch.kinds.as_ref().map_or(RowKind::Insert, |kinds| kinds[row]))
        });
        each.collect()
    });
    let hashed = batches.iter().all(|batch| !batch.hashes.is_empty());
    let hashes = if hashed {
        batches.iter().flat_map(|batch| batch.hashes.iter().copied()).collect()
    } else {
        Vec::new()
    };
    Ok(Some(ArrowBatch { records, kinds, timestamps: Vec::new(), hashes }))
}

/// The rows of `batch` at `rows`.
pub(crate) fn taken(batch: &ArrowBatch, rows: &[u32]) -> Result<ArrowBatch, arrow_schema::ArrowError> {
    let records = if batch.records.num_columns() == 0 {
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(batch.records.schema(), Vec::new(), &options)?
    } else {
        take_record_batch(&batch.records, &UInt32Array::from(rows.to_vec()))?
    };
    Ok(ArrowBatch {
        records,
        kinds: batch.kinds.as_ref().map(|kinds| rows.iter().map(|row| kinds[*row as usize]).collect()),
        timestamps: Vec::new(),
        hashes: if batch.hashes.is_empty() {
            Vec::new()
        } else {
            rows.iter().map(|row| batch.hashes[*row as usize]).collect()
        },
    })
}

/// A part of a batch.
fn sliced(batch: &ArrowBatch, start: usize, length: usize) -> ArrowBatch {
    ArrowBatch {
        records: batch.records.slice(start, length),
        kinds: batch.kinds.as_ref().map(|kinds| kinds[start..start + length].into()),
        timestamps: Vec::new(),
        hashes: if batch.hashes.is_empty() {
            Vec::new()
        } else {
            batch.hashes[start..start + length].to_vec()
        },
    }
}

impl RowRouter {
    /// Adds `part` to what is being built for `channel`, and hands it on when it is full.
    fn add(
        &mut self,
        channel: usize,
        part: ArrowBatch,
        to: &mut dyn RouteTarget,
    ) -> Result<(), NetworkError> {
        let builder = &mut self.builders[channel];
        builder.bytes += part.byte_size();
        builder.batches.push(part);
        if builder.bytes >= self.segment_size
            && let Some((batch, bytes)) = builder.take(&self.schema)?
        {
            to.full(channel, batch, bytes);
        }
        Ok(())
    }

    /// How many rows of `batch` fit into what is left of a segment.
    fn fitting(&self, channel: usize, batch: &ArrowBatch) -> usize {
        let room = self.segment_size.saturating_sub(self.builders[channel].bytes).max(1);
        let each = (batch.byte_size() / batch.len().max(1)).max(1);
        room.div_ceil(each).clamp(1, batch.len())
    }
}

impl Router for RowRouter {
    fn route(&mut self, whole: &mut Batch, to: &mut dyn RouteTarget) -> Result<Routed, NetworkError> {
        let batch = whole.downcast_mut::<ArrowBatch>()?;
        match &mut self.choice {
            Choice::Key(keys) => {
                // Hashes that a batch comes with may be by other columns.
                hashes(batch.records.columns(), keys, batch.records.num_rows(), &mut batch.hashes);
                self.by_key(whole, to)
            }
            Choice::All => self.broadcast(whole, to),
            Choice::Next(next) => {
                let channel = *next;
                *next = (channel + 1) % self.builders.len();
                self.single(channel, whole, to)
            }
            Choice::First => self.single(0, whole, to),
        }
    }

    fn flush(&mut self, to: &mut dyn RouteTarget) {
        if matches!(self.choice, Choice::All) {
            self.flush_broadcast(to);
            return;
        }
        for (channel, builder) in self.builders.iter_mut().enumerate() {
            if let Ok(Some((batch, bytes))) = builder.take(&self.schema) {
                to.full(channel, batch, bytes);
            }
        }
    }

    fn has_records(&self, channel: usize) -> bool {
        let channel = if matches!(self.choice, Choice::All) { 0 } else { channel };
        self.builders.get(channel).is_some_and(|builder| !builder.batches.is_empty())
    }

    fn has_pending(&self) -> bool {
        self.builders.iter().any(|builder| !builder.batches.is_empty())
    }

    fn snapshot(
        &self,
        rest: Option<&Batch>,
        serializer: &dyn BatchSerializer,
    ) -> Result<RouterSnapshot, NetworkError> {
        let encode = |batch: Batch| -> Result<Vec<u8>, NetworkError> {
            let mut bytes = Vec::new();
            serializer.encode(&batch, &mut bytes).map_err(|error| internal(&error))?;
            Ok(bytes)
        };
        let builders = self.builders.iter().map(|builder| {
            joined(builder.batches.clone(), &self.schema)?.map(|batch| encode(Batch::new(batch))).transpose()
        });
        Ok(RouterSnapshot {
            builders: builders.collect::<Result<_, NetworkError>>()?,
            position: match self.choice {
                Choice::Next(next) => next as u64,
                _ => 0,
            },
            rest: rest.map(|rest| encode(rest.clone())).transpose()?,
            targets: Vec::new(),
        })
    }

    fn restore(
        &mut self,
        snapshot: RouterSnapshot,
        serializer: &dyn BatchSerializer,
    ) -> Result<Option<Batch>, NetworkError> {
        let (found, expected) = (snapshot.builders.len(), self.builders.len());
        if found != expected {
            return Err(NetworkError::SnapshotMismatch { what: "builders", found, expected });
        }
        let decode = |bytes: &[u8]| serializer.decode(bytes).map_err(|error| internal(&error));
        for (builder, stored) in self.builders.iter_mut().zip(&snapshot.builders) {
            let Some(bytes) = stored else { continue };
            let mut batch = decode(bytes)?.downcast_ref::<ArrowBatch>()?.clone();
            if let Choice::Key(keys) = &self.choice {
                hashes(batch.records.columns(), keys, batch.records.num_rows(), &mut batch.hashes);
            }
            *builder = Builder { bytes: batch.byte_size(), batches: vec![batch] };
        }
        if let Choice::Next(next) = &mut self.choice {
            *next = usize::try_from(snapshot.position).unwrap_or_default() % expected.max(1);
        }
        if matches!(self.choice, Choice::All) {
            self.begun = if self.has_pending() { expected } else { 0 };
        }
        snapshot.rest.map(|rest| decode(&rest)).transpose()
    }
}

impl RowRouter {
    fn by_key(&mut self, whole: &mut Batch, to: &mut dyn RouteTarget) -> Result<Routed, NetworkError> {
        let batch = whole.downcast_mut::<ArrowBatch>()?;
        if self.builders.len() == 1 {
            return self.single(0, whole, to);
        }
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); self.builders.len()];
        for (row, hash) in batch.hashes.iter().enumerate() {
            let group = key_group(*hash, self.max_parallelism);
            let channel = subtask_of(group, self.parallelism, self.max_parallelism) as usize;
            rows[channel].push(u32::try_from(row).unwrap_or(u32::MAX));
        }
        let mut rest: Vec<u32> = Vec::new();
        for (channel, rows) in rows.into_iter().enumerate() {
            if rows.is_empty() {
                continue;
            }
            let part = taken(batch, &rows).map_err(|error| internal(&error))?;
            let mut done = 0;
            while done < part.len() {
                if self.builders[channel].batches.is_empty() && !to.begin(channel) {
                    break;
                }
                let remaining = sliced(&part, done, part.len() - done);
                let count = self.fitting(channel, &remaining);
                self.add(channel, sliced(&remaining, 0, count), to)?;
                done += count;
            }
            rest.extend_from_slice(&rows[done..]);
        }
        if rest.is_empty() {
            return Ok(Routed::All);
        }
        rest.sort_unstable();
        *batch = taken(batch, &rest).map_err(|error| internal(&error))?;
        Ok(Routed::Rest)
    }

    fn single(
        &mut self,
        channel: usize,
        whole: &mut Batch,
        to: &mut dyn RouteTarget,
    ) -> Result<Routed, NetworkError> {
        let bytes = whole.byte_size();
        if self.builders[channel].batches.is_empty()
            && bytes <= self.segment_size
            && bytes >= self.segment_size / 2
        {
            if !to.begin(channel) {
                return Ok(Routed::Rest);
            }
            to.full(channel, whole.clone(), bytes);
            return Ok(Routed::All);
        }
        let batch = whole.downcast_mut::<ArrowBatch>()?;
        let mut done = 0;
        while done < batch.len() {
            if self.builders[channel].batches.is_empty() && !to.begin(channel) {
                *batch = sliced(batch, done, batch.len() - done);
                return Ok(Routed::Rest);
            }
            let remaining = sliced(batch, done, batch.len() - done);
            let count = self.fitting(channel, &remaining);
            self.add(channel, sliced(&remaining, 0, count), to)?;
            done += count;
        }
        Ok(Routed::All)
    }

    fn broadcast(&mut self, whole: &mut Batch, to: &mut dyn RouteTarget) -> Result<Routed, NetworkError> {
        let batch = whole.downcast_mut::<ArrowBatch>()?;
        let mut done = 0;
        while done < batch.len() {
            while self.begun < self.builders.len() {
                if !to.begin(self.begun) {
                    *batch = sliced(batch, done, batch.len() - done);
                    return Ok(Routed::Rest);
                }
                self.begun += 1;
            }
            let remaining = sliced(batch, done, batch.len() - done);
            let count = self.fitting(0, &remaining);
            let part = sliced(&remaining, 0, count);
            let builder = &mut self.builders[0];
            builder.bytes += part.byte_size();
            builder.batches.push(part);
            done += count;
            if self.builders[0].bytes >= self.segment_size {
                self.flush_broadcast(to);
            }
        }
        Ok(Routed::All)
    }

    fn flush_broadcast(&mut self, to: &mut dyn RouteTarget) {
        if let Some(first) = self.builders.first_mut()
            && let Ok(Some((batch, bytes))) = first.take(&self.schema)
        {
            self.begun = 0;
            for channel in 0..self.builders.len() {
                to.full(channel, batch.clone(), bytes);
            }
        }
    }
}

/// The version of the encoding of a batch of rows.
const VERSION: u8 = 1;

/// Encodes batches of rows: a byte for the version, one that says whether there are kinds, the number of rows in 4 bytes,
/// the kinds, then the rows.
#[derive(Clone)]
struct RowSerializer {
    schema: SchemaRef,
}

impl fmt::Debug for RowSerializer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowSerializer({})", describe_types(&self.schema))
    }
}

impl RowSerializer {
    fn decode_batch(&self, bytes: &[u8]) -> Result<ArrowBatch, DecodeError> {
        let invalid = |detail: String| DecodeError::invalid("rows", detail);
        let input = &mut Input::new(bytes);
        let [version, with_kinds] = input.array("rows")?;
        if version != VERSION || with_kinds > 1 {
            return Err(invalid(format!("{version} and {with_kinds} are no version and flag of the format")));
        }
        let count = u32::from_le_bytes(input.array("rows")?) as usize;
        let kinds = if with_kinds == 1 {
            let kinds = input.take(count, "kinds of rows")?.iter().map(|kind| match kind {
                0 => Ok(RowKind::Insert),
                1 => Ok(RowKind::UpdateBefore),
                2 => Ok(RowKind::UpdateAfter),
                3 => Ok(RowKind::Delete),
                other => Err(invalid(format!("{other} is no kind of a row"))),
            });
            Some(kinds.collect::<Result<Arc<[RowKind]>, _>>()?)
        } else {
            None
        };
        let mut reader = RowReader::new(&self.schema);
        for _ in 0..count {
            let length = u32::from_le_bytes(input.array("row")?) as usize;
            let row = input.take(length, "row")?;
            reader.push(row).map_err(|error| invalid(error.to_string()))?;
        }
        input.finish("rows")?;
        let columns = reader.finish().map_err(|error| invalid(error.to_string()))?;
        let records =
            record_batch(&self.schema, columns, count).map_err(|error| invalid(error.to_string()))?;
        Ok(ArrowBatch { records, kinds, timestamps: Vec::new(), hashes: Vec::new() })
    }
}

impl BatchSerializer for RowSerializer {
    fn encode(&self, batch: &Batch, out: &mut Vec<u8>) -> Result<(), SerializationError> {
        let batch = batch.downcast_ref::<ArrowBatch>()?;
        let rows = batch.records.num_rows();
        let Ok(count) = u32::try_from(rows) else {
            return Err(SerializationError::TooLarge {
                type_name: "rows",
                records: rows,
                bytes: batch.byte_size(),
            });
        };
        out.push(VERSION);
        out.push(u8::from(batch.kinds.is_some()));
        out.extend_from_slice(&count.to_le_bytes());
        if let Some(kinds) = &batch.kinds {
            out.extend(kinds.iter().map(|kind| *kind as u8));
        }
        let data: Vec<_> = batch.records.columns().iter().map(arrow_array::Array::to_data).collect();
        let writer = RowWriter::new(&data, false);
        for row in 0..rows {
            let start = out.len();
            out.extend_from_slice(&[0; 4]);
            writer.write(row, out);
            let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
            out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Batch, SerializationError> {
        match bytes.first() {
            Some(&found) if found > VERSION => {
                Err(SerializationError::Version { type_name: "rows", found, supported: VERSION })
            }
            _ => self
                .decode_batch(bytes)
                .map(Batch::new)
                .map_err(|source| SerializationError::Decode { type_name: "rows", source }),
        }
    }

    fn type_name(&self) -> &'static str {
        "rows"
    }

    fn snapshot(&self) -> SerializerSnapshot {
        let root = Type::Opaque(Opaque {
            serializer: "rows".to_owned(),
            type_name: format!("ROW<{}>", describe_types(&self.schema)),
            version: u32::from(VERSION),
            configuration: Vec::new(),
            evolution: Unstored::default(),
        });
        SerializerSnapshot { schema: Schema { root, definitions: Vec::new() } }
    }

    fn reading(&self, stored: &SerializerSnapshot) -> Result<Arc<dyn BatchSerializer>, SerializationError> {
        match self.snapshot().read_from(stored) {
            tidemill_serialization::Compatibility::Incompatible(source) => {
                Err(SerializationError::Incompatible { type_name: "rows", source })
            }
            _ => Ok(Arc::new(self.clone())),
        }
    }
}
