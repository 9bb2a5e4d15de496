//! Columns of arrays and maps, read and made.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray};
use arrow_select::interleave::interleave;

use super::compare::range;
use crate::functions::kernel::{Input, KernelError};
use crate::functions::support::{ListEnds, unexpected};

/// The arrays of an argument.
#[derive(Clone, Copy)]
pub(super) struct Lists<'a> {
    lists: &'a ListArray,
    is_constant: bool,
}

impl<'a> Lists<'a> {
    pub(super) fn new(input: &'a Input) -> Result<Self, KernelError> {
        let array = input.array();
        let lists = array.as_list_opt::<i32>().ok_or_else(|| unexpected(array.data_type()))?;
        Ok(Self { lists, is_constant: input.is_constant() })
    }

    /// Which of the [elements](Self::elements) the array of `row` has; `None` when it is NULL.
    pub(super) fn get(&self, row: usize) -> Option<Range<usize>> {
        let index = if self.is_constant { 0 } else { row };
        (!self.lists.is_null(index)).then(|| range(self.lists.value_offsets(), index))
    }

    /// The elements of all arrays.
    pub(super) fn elements(&self) -> &'a ArrayRef {
        self.lists.values()
    }
}

/// The maps of an argument.
#[derive(Clone, Copy)]
pub(super) struct Maps<'a> {
    maps: &'a MapArray,
    is_constant: bool,
}

impl<'a> Maps<'a> {
    pub(super) fn new(input: &'a Input) -> Result<Self, KernelError> {
        let array = input.array();
        let maps = array.as_map_opt().ok_or_else(|| unexpected(array.data_type()))?;
        Ok(Self { maps, is_constant: input.is_constant() })
    }

    /// Which of the [keys](Self::keys) and [values](Self::values) the map of `row` has; `None` when it is
    /// NULL.
    pub(super) fn get(&self, row: usize) -> Option<Range<usize>> {
        let index = if self.is_constant { 0 } else { row };
        (!self.maps.is_null(index)).then(|| range(self.maps.value_offsets(), index))
    }

    /// The keys of all maps.
    pub(super) fn keys(&self) -> &'a ArrayRef {
        self.maps.keys()
    }

    /// The values of all maps.
    pub(super) fn values(&self) -> &'a ArrayRef {
        self.maps.values()
    }
}

/// The column of the values at these places: which of the columns, and where in it.
pub(super) fn gather(columns: &[&ArrayRef], places: &[(usize, usize)]) -> Result<ArrayRef, KernelError> {
    let columns: Vec<&dyn Array> = columns.iter().map(|column| &***column as &dyn Array).collect();
    Ok(interleave(&columns, places)?)
}

/// The column of the values at these places of one column; `None` is NULL.
pub(super) fn gather_nullable(column: &ArrayRef, places: &[Option<u32>]) -> Result<ArrayRef, KernelError> {
    let indices = arrow_array::UInt32Array::from_iter(places.iter().copied());
    Ok(arrow_select::take::take(column, &indices, None)?)
}

/// Arrays that are made of elements of columns.
pub(super) struct Made<'a> {
    columns: Vec<&'a ArrayRef>,
    places: Vec<(usize, usize)>,
    ends: ListEnds,
}

impl<'a> Made<'a> {
    /// Room for `rows` arrays of elements of `columns`.
    pub(super) fn new(columns: Vec<&'a ArrayRef>, rows: usize) -> Self {
        Self { columns, places: Vec::new(), ends: ListEnds::new(rows) }
    }

    /// Adds an element.
    pub(super) fn push(&mut self, column: usize, index: usize) {
        self.places.push((column, index));
    }

    /// Adds elements that stand behind each other.
    pub(super) fn extend(&mut self, column: usize, indices: impl Iterator<Item = usize>) {
        self.places.extend(indices.map(|index| (column, index)));
    }

    /// The elements of the array that is being made, which starts at `start` of all.
    pub(super) fn since(&self, start: usize) -> &[(usize, usize)] {
        self.places.get(start..).unwrap_or_default()
    }

    /// How many elements all arrays have.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Ends the array.
    pub(super) fn end(&mut self) -> Result<(), KernelError> {
        self.ends.end(self.places.len())
    }

    /// Adds NULL.
    pub(super) fn null(&mut self) {
        self.ends.null();
    }

    /// The column of the arrays.
    pub(super) fn finish(self) -> Result<ArrayRef, KernelError> {
        let elements = gather(&self.columns, &self.places)?;
        self.ends.into_lists(elements)
    }
}

/// The index of a row as arrow takes it.
pub(super) fn place(index: usize) -> Result<u32, KernelError> {
    u32::try_from(index)
        .map_err(|_| KernelError("the arrays of one batch have too many elements together".to_owned()))
}

/// As a column that others may share.
pub(super) fn shared(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}
