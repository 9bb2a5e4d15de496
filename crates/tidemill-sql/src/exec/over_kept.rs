//! What each key keeps of the frames of functions of `OVER` over rows that stay and come in order.

use std::collections::BTreeMap;

use arrow_array::{Array, ArrayRef};
use arrow_select::concat::concat;
use tidemill_core::batch::ArrowBatch;
use tidemill_runtime::OperatorError;
use tidemill_state::{
    KeyBatch, KeyedStateBackend, MapState, MapStateDescriptor, NO_SLOT, Slots, StateTtlConfig, ValueState,
    ValueStateDescriptor,
};

use super::accumulators::Argument;
use super::distinct::{Distinct, Skipped};
use super::groups::RowOfGroup;
use super::over_frame::{Entry, Kept, OverCalls, OverFrame, Running, Step, failed};
use super::row::{Row, RowReader, RowWriter};
use crate::expr::compile::record_batch;
use crate::functions::aggregate::AggregateCall;
use crate::plan::Frame;

/// The frames of all keys.
pub(super) struct Frames {
    of: OverFrame,
    pub(super) accumulators: ValueState<Kept>,
    /// The rows that may leave a frame, or that `LAG` looks back at, by time and number.
    rows: Option<MapState<(i64, i64), Row>>,
    /// Of frames without an end.
    distinct: Distinct,
}

impl Frames {
    pub(super) fn open(
        backend: &mut KeyedStateBackend<Row>,
        calls: OverCalls,
        frame: &Frame,
        ttl: Option<&StateTtlConfig>,
    ) -> Result<Self, OperatorError> {
        let of = OverFrame::new(calls, frame);
        // Rows of a frame that were forgotten one by one could not be taken back.
        let ttl = ttl.filter(|_| !of.keeps_rows);
        let mut descriptor = ValueStateDescriptor::new("accumulators");
        let mut of_rows = MapStateDescriptor::new("rows");
        if let Some(ttl) = ttl {
            descriptor = descriptor.with_ttl(*ttl);
            of_rows = of_rows.with_ttl(*ttl);
        }
        let accumulators = backend.register_value(descriptor)?;
        let rows = if of.keeps_rows { Some(backend.register_map(of_rows)?) } else { None };
        // A frame that ends is read again for its distinct values.
        let of_distinct: &[AggregateCall] = if of.has_end() { &[] } else { &of.calls.aggregates };
        let distinct = Distinct::of_groups(backend, of_distinct, false, ttl)?;
        Ok(Self { of, accumulators, rows, distinct })
    }

    /// Forgets the current key when none of its rows is as new as `oldest`.
    pub(super) fn forget(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        oldest: i64,
    ) -> Result<(), OperatorError> {
        if self.accumulators.read(backend, |kept| kept.is_some_and(|kept| kept.1 < oldest))? {
            self.accumulators.clear(backend)?;
            if let Some(rows) = self.rows {
                rows.clear(backend)?;
            }
        }
        Ok(())
    }

    /// The results of `entries`, rows of `columns` that come in this order; those of a key and a time stand together.
    pub(super) fn compute(
        &mut self,
        backend: &mut KeyedStateBackend<Row>,
        columns: &[ArrayRef],
        entries: &[Entry],
        keys: &KeyBatch<'_, Row>,
        key_of: impl Fn(usize) -> (Row, u64),
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        let mut running: Vec<Running> = (0..keys.len()).map(|_| Running::default()).collect();
        let (kept, before) = self.leaving(backend, entries, keys, &key_of, &mut running)?;
        let new = self.of.read(columns);
        let columns: Vec<ArrayRef> = if before == 0 {
            new
        } else {
            let both = kept.iter().zip(new).map(|(kept, new)| concat(&[&**kept, &*new]));
            both.collect::<Result<_, _>>().map_err(|error| failed(&error))?
        };
        let arguments = self.of.arguments(&columns)?;
        let skipped = self.note_distinct(backend, &columns, entries, before, &arguments, &key_of)?;
        let distinct = self.of.distinct_values(&columns);
        let step = Step::new(&self.of, &arguments, &skipped, &distinct, before);
        let mut computed = self.of.nothing_computed();
        let update = |slots: Slots<'_>, values: &mut [Kept]| {
            let place_of = |group: u32| slots.slots[group as usize] as usize;
            step.run(entries, &mut running, values, place_of, &mut computed)
        };
        self.accumulators.update_batch(backend, keys, |_| self.of.empty(), update)??;
        self.keep(backend, &columns, before, running, &key_of)?;
        self.of.columns(&columns, computed)
    }

    /// The rows in state that the new ones may push out of their frames, as columns, and how many they are.
    fn leaving(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        entries: &[Entry],
        keys: &KeyBatch<'_, Row>,
        key_of: &impl Fn(usize) -> (Row, u64),
        running: &mut [Running],
    ) -> Result<(Vec<ArrayRef>, usize), OperatorError> {
        let Some(rows) = self.rows else { return Ok((Vec::new(), 0)) };
        let mut of_groups = vec![(0usize, i64::MIN); running.len()];
        for entry in entries {
            let (count, last) = &mut of_groups[entry.group as usize];
            *count += 1;
            *last = (*last).max(entry.time);
        }
        let mut in_frame = vec![0; running.len()];
        self.accumulators.read_batch(backend, keys, |slots, values| {
            for (group, slot) in slots.iter().enumerate().filter(|(_, slot)| **slot != NO_SLOT) {
                in_frame[group] = self.of.calls.functions.rows(&values[*slot as usize].0);
            }
        })?;
        let mut reader = RowReader::new(&self.of.calls.kept);
        for (group, running) in running.iter_mut().enumerate() {
            let (count, last) = of_groups[group];
            let (most, until) = match self.of.frame {
                _ if self.of.reads_frame || self.of.calls.lag > 0 => (usize::MAX, i64::MAX),
                Frame::Range(Some(width)) => (usize::MAX, last.saturating_sub(width)),
                Frame::Rows(Some(before)) => {
                    let all = u64::try_from(in_frame[group]).unwrap_or(0).saturating_add(count as u64);
                    let leaving = all.saturating_sub(before.saturating_add(1));
                    (usize::try_from(leaving).unwrap_or(usize::MAX), i64::MAX)
                }
                Frame::Range(None) | Frame::Rows(None) => (0, i64::MIN),
            };
            if most == 0 || in_frame[group] == 0 {
                continue;
            }
            let (key, hash) = key_of(group);
            backend.set_current_key(&key, hash)?;
            let mut damage = None;
            rows.scan(backend, ..(until, i64::MIN), |at, row| {
                if let Err(error) = reader.push(row.bytes()) {
                    damage.get_or_insert(error);
                    return false;
                }
                let place = u32::try_from(reader.rows() - 1).unwrap_or(u32::MAX);
                running.queue.push_back((at.0, at.1, place));
                running.queue.len() < most
            })?;
            if let Some(error) = damage {
                return Err(error.into());
            }
        }
        let rows = reader.rows();
        if rows == 0 { Ok((Vec::new(), 0)) } else { Ok((reader.finish()?, rows)) }
    }

    fn note_distinct(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        columns: &[ArrayRef],
        entries: &[Entry],
        before: usize,
        arguments: &[Argument],
        key_of: &impl Fn(usize) -> (Row, u64),
    ) -> Result<Skipped, OperatorError> {
        if self.distinct.is_empty() {
            return Ok(vec![None; arguments.len()]);
        }
        let batch = ArrowBatch {
            records: record_batch(
                &self.of.calls.kept,
                columns.to_vec(),
                before + columns.first().map_or(entries.len(), |column| column.len() - before),
            )?,
            kinds: None,
            timestamps: Vec::new(),
            hashes: Vec::new(),
        };
        let mut keys: BTreeMap<u32, (Row, u64)> = BTreeMap::new();
        for entry in entries {
            keys.entry(entry.group).or_insert_with(|| key_of(entry.group as usize));
        }
        let of_groups = entries.iter().map(|entry| {
            let (key, hash) = &keys[&entry.group];
            RowOfGroup {
                row: before + entry.row as usize,
                group: entry.group,
                key,
                hash: *hash,
                namespace: 0,
            }
        });
        self.distinct.note(backend, &batch, arguments, of_groups)
    }

    /// Keeps the rows that are still in their frames, and forgets those that have left.
    fn keep(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        columns: &[ArrayRef],
        before: usize,
        running: Vec<Running>,
        key_of: &impl Fn(usize) -> (Row, u64),
    ) -> Result<(), OperatorError> {
        let Some(rows) = self.rows else { return Ok(()) };
        let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
        let writer = RowWriter::new(&data, false);
        let mut scratch = Vec::new();
        for (group, running) in running.into_iter().enumerate() {
            let (key, hash) = key_of(group);
            backend.set_current_key(&key, hash)?;
            for at in &running.gone {
                rows.remove(backend, at)?;
            }
            for (time, number, place) in running.queue {
                if place as usize >= before {
                    rows.put(backend, (time, number), writer.row(place as usize, &mut scratch))?;
                }
            }
        }
        Ok(())
    }
}
