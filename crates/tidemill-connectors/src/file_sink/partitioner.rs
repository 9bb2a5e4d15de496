//! Which rows of a batch go to which partition.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch, UInt32Array};

use crate::cells::{Cells, Dialect, Node, Tree, print};
use crate::error::ConnectorError;
use crate::partition::{Partitions, escape};

/// The rows of a batch that belong to one partition.
pub(super) struct Group {
    /// The path of its folder.
    pub(super) partition: Arc<str>,
    rows: Rows,
}

enum Rows {
    /// The first so many, which are all.
    All(usize),
    Some(Vec<u32>),
}

impl Group {
    /// All rows, in no partition.
    pub(super) fn all(rows: usize) -> Self {
        Self { partition: "".into(), rows: Rows::All(rows) }
    }

    /// The rows of the group, by their places in the batch.
    pub(super) fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        let (all, some): (usize, &[u32]) = match &self.rows {
            Rows::All(count) => (*count, &[]),
            Rows::Some(rows) => (0, rows),
        };
        (0..all).chain(some.iter().map(|row| *row as usize))
    }

    /// The rows of the group out of `batch`.
    pub(super) fn take(&self, batch: &RecordBatch) -> Result<RecordBatch, ConnectorError> {
        match &self.rows {
            Rows::Some(rows) if rows.len() < batch.num_rows() => {
                let rows = UInt32Array::from(rows.clone());
                arrow_select::take::take_record_batch(batch, &rows)
                    .map_err(|error| ConnectorError::Columns { reason: error.to_string() })
            }
            _ => Ok(batch.clone()),
        }
    }
}

/// Deals rows to partitions.
pub(super) struct Partitioner {
    /// What the name of each level begins with, and the column that it is of.
    levels: Vec<(String, usize)>,
    null_name: String,
    /// The paths that there have been lately, so that the same ones are shared.
    known: HashMap<String, Arc<str>>,
    scratch: Vec<u8>,
    text: String,
}

/// More paths than these are not remembered.
const MOST_KNOWN: usize = 10_000;

impl Partitioner {
    pub(super) fn new(partitions: &Partitions, columns: &[usize]) -> Self {
        Self {
            levels: partitions.prefixes().into_iter().zip(columns.iter().copied()).collect(),
            null_name: partitions.null_name().to_owned(),
            known: HashMap::new(),
            scratch: Vec::new(),
            text: String::new(),
        }
    }

    /// The rows of `batch` by partition, each group in the order of the rows, in the order of their first rows.
    pub(super) fn groups(&mut self, batch: &RecordBatch) -> Result<Vec<Group>, ConnectorError> {
        let wrong = |column: usize| ConnectorError::WrongInput {
            sink: "file",
            reason: format!("rows cannot be partitioned by column number {column}"),
        };
        let mut trees = Vec::with_capacity(self.levels.len());
        for (_, column) in &self.levels {
            let array: &dyn Array = batch.columns().get(*column).ok_or_else(|| wrong(*column))?.as_ref();
            trees.push(Tree::of(array, &|_| Vec::new()).ok_or_else(|| wrong(*column))?);
        }
        let mut groups: Vec<(Arc<str>, Vec<u32>)> = Vec::new();
        let mut by_path: HashMap<Arc<str>, usize> = HashMap::new();
        let mut path = String::new();
        let mut current = usize::MAX;
        for row in 0..batch.num_rows() {
            if row == 0 || !trees.iter().all(|tree| is_as_before(tree, row)) {
                path.clear();
                self.path(&trees, row, &mut path);
                current = match by_path.get(path.as_str()) {
                    Some(group) => *group,
                    None => {
                        let shared = self.shared(&path);
                        by_path.insert(Arc::clone(&shared), groups.len());
                        groups.push((shared, Vec::new()));
                        groups.len() - 1
                    }
                };
            }
            if let Some((_, rows)) = groups.get_mut(current) {
                rows.push(u32::try_from(row).unwrap_or(u32::MAX));
            }
        }
        Ok(groups.into_iter().map(|(partition, rows)| Group { partition, rows: Rows::Some(rows) }).collect())
    }

    fn path(&mut self, trees: &[Tree<'_>], row: usize, path: &mut String) {
        for ((prefix, _), tree) in self.levels.iter().zip(trees) {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(prefix);
            self.text.clear();
            if !tree.is_null(row) {
                print(tree, row, Dialect::Java, &mut self.scratch, &mut self.text);
            }
            escape(if self.text.is_empty() { &self.null_name } else { &self.text }, path);
        }
    }

    fn shared(&mut self, path: &str) -> Arc<str> {
        if let Some(known) = self.known.get(path) {
            return Arc::clone(known);
        }
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        let shared: Arc<str> = path.into();
        self.known.insert(path.to_owned(), Arc::clone(&shared));
        shared
    }
}

/// Whether a row surely has the same value as the one before it: rows of one partition often come one after the other.
fn is_as_before(tree: &Tree<'_>, row: usize) -> bool {
    match (tree.is_null(row - 1), tree.is_null(row)) {
        (true, true) => return true,
        (false, false) => {}
        _ => return false,
    }
    match &tree.node {
        Node::Single(Cells::Text(all)) => all.value(row - 1) == all.value(row),
        Node::Single(Cells::Date(all) | Cells::Int32(all)) => all[row - 1] == all[row],
        Node::Single(Cells::Int64(all)) => all[row - 1] == all[row],
        Node::Single(Cells::Boolean(all)) => all.value(row - 1) == all.value(row),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Date32Array, StringArray};
    use proptest::prelude::*;

    use super::*;

    fn batch(days: &[Option<i32>], names: &[Option<String>]) -> RecordBatch {
        let days: ArrayRef = Arc::new(Date32Array::from(days.to_vec()));
        let names: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
        RecordBatch::try_from_iter_with_nullable([("day", days, true), ("name", names, true)]).unwrap()
    }

    fn partitioner() -> Partitioner {
        Partitioner::new(&Partitions::by(["name", "day"]).default_name("none"), &[1, 0])
    }

    #[test]
    fn rows_are_dealt_by_the_values_of_their_columns() {
        let text = |text: &str| Some(text.to_owned());
        let batch = batch(&[Some(0), Some(0), None, Some(0)], &[text("a"), text("b/c"), text(""), text("a")]);
        let groups = partitioner().groups(&batch).unwrap();
        let found: Vec<(&str, Vec<usize>)> =
            groups.iter().map(|group| (&*group.partition, group.rows().collect())).collect();
        assert_eq!(
            found,
            [
                ("name=a/day=1970-01-01", vec![0, 3]),
                ("name=b%2Fc/day=1970-01-01", vec![1]),
                ("name=none/day=none", vec![2]),
            ]
        );
        assert_eq!(groups[0].take(&batch).unwrap().num_rows(), 2);
    }

    proptest! {
        #[test]
        fn each_row_is_in_the_group_of_its_values(
            rows in prop::collection::vec((prop::option::of(0..3i32), prop::option::of("[ab]{0,2}")), 1..50)
        ) {
            let (days, names): (Vec<_>, Vec<_>) = rows.iter().cloned().unzip();
            let groups = partitioner().groups(&batch(&days, &names)).unwrap();
            let mut seen = 0;
            for group in &groups {
                for row in group.rows() {
                    let (day, name) = &rows[row];
                    let name = name.as_deref().filter(|name| !name.is_empty()).unwrap_or("none");
                    let day = day.map_or("none".to_owned(), |day| format!("1970-01-0{}", day + 1));
                    prop_assert_eq!(&*group.partition, format!("name={name}/day={day}"));
                    seen += 1;
                }
            }
            prop_assert_eq!(seen, rows.len());
        }
    }
}
