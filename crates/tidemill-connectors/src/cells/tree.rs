//! Columns with what is inside of them: rows in rows, arrays and maps.

use arrow_array::Array;
use arrow_array::cast::AsArray;
#[cfg(feature = "filesystem")]
use arrow_schema::DataType;

use super::Cells;

/// A column and what is inside of it, downcast once.
pub(crate) struct Tree<'a> {
    array: &'a dyn Array,
    /// Whether any value is NULL; then the array is asked.
    has_nulls: bool,
    pub(crate) node: Node<'a>,
}

/// What a column holds.
pub(crate) enum Node<'a> {
    Single(Cells<'a>),
    /// Each with the text that is written before it.
    Row(Vec<(Vec<u8>, Tree<'a>)>),
    List {
        ends: &'a [i32],
        item: Box<Tree<'a>>,
    },
    Map {
        ends: &'a [i32],
        keys: Box<Tree<'a>>,
        values: Box<Tree<'a>>,
    },
}

/// Whether single values of a type have a text.
#[cfg(feature = "filesystem")]
pub(crate) fn is_single(data_type: &DataType) -> bool {
    Cells::of(&*arrow_array::new_empty_array(data_type)).is_some()
}

impl<'a> Tree<'a> {
    /// `label` makes of the name of a field what is written before its values.
    pub(crate) fn of(array: &'a dyn Array, label: &dyn Fn(&str) -> Vec<u8>) -> Option<Self> {
        let node = if let Some(rows) = array.as_struct_opt() {
            let fields = rows.fields().iter().zip(rows.columns());
            let labelled =
                fields.map(|(field, column)| Some((label(field.name()), Self::of(column.as_ref(), label)?)));
            Node::Row(labelled.collect::<Option<_>>()?)
        } else if let Some(list) = array.as_list_opt::<i32>() {
            let item = Box::new(Self::of(list.values().as_ref(), label)?);
            Node::List { ends: list.value_offsets(), item }
        } else if let Some(map) = array.as_map_opt() {
            let keys = Box::new(Self::of(map.keys().as_ref(), label)?);
            let values = Box::new(Self::of(map.values().as_ref(), label)?);
            Node::Map { ends: map.value_offsets(), keys, values }
        } else {
            Node::Single(Cells::of(array)?)
        };
        // Every value of a column without a type is NULL, though it has no bits that say so.
        let has_nulls = array.null_count() > 0;
        Some(Self { array, has_nulls, node })
    }

    #[inline]
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.has_nulls && self.array.is_null(row) || matches!(self.node, Node::Single(Cells::Null))
    }
}

/// Which values of all rows are those of `row`.
pub(crate) fn range(ends: &[i32], row: usize) -> std::ops::Range<usize> {
    let at = |row: usize| ends.get(row).and_then(|end| usize::try_from(*end).ok()).unwrap_or(0);
    at(row)..at(row + 1)
}
