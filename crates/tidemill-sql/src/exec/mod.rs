//! The operators that run queries, over batches of columns.

pub(crate) mod accumulators;
pub(crate) mod aggregate_results;
pub(crate) mod calc;
pub(crate) mod collect;
pub(crate) mod distinct;
pub(crate) mod edge;
pub(crate) mod expand;
pub(crate) mod group_aggregate;
pub(crate) mod groups;
pub(crate) mod join;
pub(crate) mod output;
pub(crate) mod rank;
pub(crate) mod row;
pub(crate) mod scan;
pub(crate) mod sort_key;
pub(crate) mod union;
pub(crate) mod unnest;
pub(crate) mod values;
pub(crate) mod window_aggregate;
