//! The operators behind a stream, for tests of them.

use std::sync::Arc;

use tidemill_runtime::OperatorFactory;
use tidemill_runtime::graph::NodeKind;
use tidemill_serialization::Data;

use crate::stream::DataStream;

impl<T: Data> DataStream<T> {
    /// What makes the operator that was added last, so that a test can drive it without a job; `None` after a source, or where
    /// several streams were united.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_runtime::OperatorFactory;
    ///
    /// fn under_test(numbers: &DataStream<u64>) -> Option<Arc<dyn OperatorFactory>> {
    ///     numbers.map(|number| number + 1).operator_factory()
    /// }
    /// ```
    pub fn operator_factory(&self) -> Option<Arc<dyn OperatorFactory>> {
        let [origin] = self.origins.as_slice() else { return None };
        match &self.env.building.borrow().graph.nodes[origin.node].kind {
            NodeKind::Operator(factory) | NodeKind::Sink(factory) => Some(Arc::clone(factory)),
            NodeKind::Source(_) => None,
        }
    }
}
