//! Side outputs.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Names a side output and says what its records are.
///
/// Whoever emits to a side output and whoever reads it use tags of the same name and type.
///
/// ```
/// use tidemill_datastream::OutputTag;
///
/// let late = OutputTag::<u64>::new("late");
/// assert_eq!(&**late.id(), "late");
/// ```
pub struct OutputTag<T> {
    pub(crate) id: Arc<str>,
    records: PhantomData<fn(T)>,
}

impl<T> OutputTag<T> {
    /// The tag of this name.
    ///
    /// ```
    /// use tidemill_datastream::OutputTag;
    ///
    /// let malformed = OutputTag::<String>::new("malformed");
    /// assert_eq!(malformed.id(), malformed.clone().id());
    /// ```
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), records: PhantomData }
    }

    /// The name of the tag.
    ///
    /// ```
    /// use tidemill_datastream::OutputTag;
    ///
    /// assert_eq!(&**OutputTag::<u64>::new("late").id(), "late");
    /// ```
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }
}

impl<T> Clone for OutputTag<T> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.id))
    }
}

impl<T> fmt::Debug for OutputTag<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutputTag({:?})", self.id)
    }
}
