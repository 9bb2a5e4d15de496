//! What hints in a query say of a node of its plan.

use std::time::Duration;

/// What hints say of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NodeHints {
    /// How long the state of each input is kept; an aggregation has one input.
    pub(crate) ttl: [Option<StateTtl>; 2],
    /// How a table is looked up.
    pub(crate) lookup: Option<LookupHint>,
}

impl NodeHints {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How long state is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StateTtl {
    pub(crate) duration: Duration,
    /// As it was written.
    pub(crate) text: String,
}

/// `LOOKUP(…)`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LookupHint {
    /// The table or alias.
    pub(crate) table: String,
    /// Whether rows with equal keys are looked up by one subtask.
    pub(crate) shuffle: bool,
    /// Whether several lookups are to be under way, when the table can be looked up either way.
    pub(crate) asynchronous: Option<bool>,
    /// Whether rows keep their order.
    pub(crate) ordered: Option<bool>,
    pub(crate) capacity: Option<usize>,
    pub(crate) timeout: Option<Duration>,
    /// After what delay, and how often, keys without rows are looked up again.
    pub(crate) retry: Option<(Duration, u32)>,
}
