//! The tables by what they hold.

pub(crate) use crate::heap_lists::HeapLists as ListTable;
pub(crate) use crate::heap_maps::HeapMaps as MapTable;
pub(crate) use crate::heap_values::HeapValues as ValueTable;
