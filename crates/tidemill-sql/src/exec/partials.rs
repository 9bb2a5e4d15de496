//! Accumulators of groups that wait in a bundle: what goes from a local to a global aggregate, a row for each group.

use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray};
use arrow_schema::SchemaRef;
use hashbrown::HashTable;
use tidemill_core::batch::{ArrowBatch, BatchData, RowKind};
use tidemill_runtime::{OperatorContext, OperatorError};
use tidemill_serialization::{Data, Input};
use tidemill_state::SubtaskSnapshot;

use super::accumulators::{Accumulators, Functions, wrong_type};
use super::bundle::{Dealt, Stored};
use super::groups::Groups;
use super::output::changes;
use super::row::{Row, RowReader};

/// Groups with their accumulators, each once.
pub(super) struct Partials {
    /// The columns of the keys, then the accumulators.
    schema: SchemaRef,
    stored: Stored,
    /// How many rows are taken in at most before the groups go out.
    size: usize,
    /// How many were.
    rows: usize,
    keys: Vec<Row>,
    hashes: Vec<u64>,
    pub(super) values: Vec<Accumulators>,
    table: HashTable<u32>,
    /// How many of the groups have gone out; 0 while others may come in.
    gone: usize,
}

/// Some groups.
pub(super) struct Part<'a> {
    pub(super) keys: &'a [Row],
    pub(super) hashes: &'a [u64],
    pub(super) values: &'a [Accumulators],
}

impl Partials {
    /// No groups; `schema` is that of the rows they are sent as.
    pub(super) fn new(schema: &SchemaRef, size: usize, dealt: Dealt) -> Self {
        let keys: Vec<usize> = (0..keys_of(schema)).collect();
        Self {
            schema: Arc::clone(schema),
            stored: Stored::new(schema, &keys, dealt),
            size,
            rows: 0,
            keys: Vec::new(),
            hashes: Vec::new(),
            values: Vec::new(),
            table: HashTable::new(),
            gone: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.gone == self.keys.len()
    }

    /// Whether its groups are to go out now.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= self.size || self.gone > 0
    }

    /// Where the groups of a batch are among the values; those that are new are `empty`.
    pub(super) fn places(&mut self, groups: &Groups, rows: usize, functions: &Functions) -> Vec<u32> {
        self.rows += rows;
        let groups = groups.keys.iter().zip(&groups.hashes);
        groups.map(|(key, hash)| self.place(key, *hash, functions)).collect()
    }

    fn place(&mut self, key: &Row, hash: u64, functions: &Functions) -> u32 {
        let Self { keys, hashes, values, table, .. } = self;
        let is_it = |known: &u32| hashes[*known as usize] == hash && keys[*known as usize] == *key;
        if let Some(known) = table.find(hash, is_it) {
            return *known;
        }
        let place = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        keys.push(key.clone());
        hashes.push(hash);
        values.push(functions.empty());
        table.insert_unique(hash, place, |known| hashes[*known as usize]);
        place
    }

    /// Takes rows in that were sent.
    pub(super) fn merge(
        &mut self,
        batch: &ArrowBatch,
        groups: &mut Groups,
        functions: &Functions,
    ) -> Result<(), OperatorError> {
        let (rows, keys) = (batch.len(), keys_of(&self.schema));
        let columns = batch.records.columns();
        groups.find(columns, &(0..keys).collect::<Vec<usize>>(), rows);
        let places = self.places(groups, rows, functions);
        let sent: &BinaryArray =
            columns.get(keys).and_then(|column| column.as_binary_opt()).ok_or_else(wrong_type)?;
        for (row, group) in groups.of_row.iter().enumerate() {
            let other = Accumulators::decode(&mut Input::new(sent.value(row))).map_err(|_| wrong_type())?;
            let known = &mut self.values[places[*group as usize] as usize];
            if other.0.len() != known.0.len() {
                return Err(wrong_type());
            }
            functions.merge(known, &other)?;
        }
        Ok(())
    }

    /// Lets at most `limit` groups out.
    pub(super) fn take_part(&mut self, limit: usize) -> Part<'_> {
        // Others come when all are out.
        self.table.clear();
        let start = self.gone;
        self.gone = (start + limit).min(self.keys.len());
        let groups = start..self.gone;
        Part {
            keys: &self.keys[groups.clone()],
            hashes: &self.hashes[groups.clone()],
            values: &self.values[groups],
        }
    }

    /// Notes that what was let out has been dealt with. Answers whether nothing is left.
    pub(super) fn is_done(&mut self) -> bool {
        if !self.is_empty() {
            return false;
        }
        (self.rows, self.gone) = (0, 0);
        self.keys.clear();
        self.hashes.clear();
        self.values.clear();
        self.table.clear();
        true
    }

    /// The rows that `part` is sent as: none for groups that nothing has happened to.
    pub(super) fn sent(
        schema: &SchemaRef,
        part: &Part<'_>,
        functions: &Functions,
    ) -> Result<ArrowBatch, OperatorError> {
        let types = schema.fields().iter().take(keys_of(schema)).map(|field| field.data_type());
        let mut keys = RowReader::of_types(types);
        let mut sent = BinaryBuilder::with_capacity(part.keys.len(), part.keys.len() * 24);
        let (mut bytes, mut rows, nothing) = (Vec::new(), 0, functions.empty());
        for (key, accumulators) in part.keys.iter().zip(part.values) {
            if *accumulators == nothing {
                continue;
            }
            keys.push(key.bytes())?;
            bytes.clear();
            accumulators.encode(&mut bytes);
            sent.append_value(&bytes);
            rows += 1;
        }
        let mut columns: Vec<ArrayRef> = keys.finish()?;
        columns.push(Arc::new(sent.finish()));
        changes(schema, columns, vec![RowKind::Insert; rows])
    }

    /// The groups that have not gone out.
    pub(super) fn snapshot(&self, functions: &Functions) -> Result<SubtaskSnapshot, OperatorError> {
        let groups = self.gone..;
        let part = Part {
            keys: &self.keys[groups.clone()],
            hashes: &self.hashes[groups.clone()],
            values: &self.values[groups],
        };
        self.stored.write([Self::sent(&self.schema, &part, functions)?])
    }

    /// Takes groups in that had not gone out when a snapshot was taken.
    pub(super) fn restore(
        &mut self,
        context: &OperatorContext,
        snapshot: Option<&SubtaskSnapshot>,
        functions: &Functions,
    ) -> Result<(), OperatorError> {
        let mut groups = Groups::default();
        for batch in self.stored.read(context, snapshot)? {
            self.merge(&batch, &mut groups, functions)?;
        }
        Ok(())
    }
}

/// How many columns of a schema of accumulators are keys.
fn keys_of(schema: &SchemaRef) -> usize {
    schema.fields().len().saturating_sub(1)
}
