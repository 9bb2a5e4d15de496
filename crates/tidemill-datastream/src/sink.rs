//! Where streams end.

use crate::stream::DataStream;

/// The end of a stream.
///
/// ```
/// use tidemill_datastream::Sink;
///
/// fn alone(sink: &Sink) {
///     sink.name("archive").uid("archive").set_parallelism(1).disable_chaining().slot_sharing_group("archive");
/// }
/// ```
pub struct Sink {
    pub(crate) stream: DataStream<()>,
}

impl Sink {
    /// Names the sink, for people.
    ///
    /// ```
    /// use tidemill_datastream::Sink;
    ///
    /// fn named(sink: &Sink) {
    ///     sink.name("archive of flights");
    /// }
    /// ```
    pub fn name(&self, name: &str) -> &Self {
        self.stream.name(name);
        self
    }

    /// Names the sink for its state.
    ///
    /// ```
    /// use tidemill_datastream::Sink;
    ///
    /// fn with_uid(sink: &Sink) {
    ///     sink.uid("archive");
    /// }
    /// ```
    pub fn uid(&self, uid: &str) -> &Self {
        self.stream.uid(uid);
        self
    }

    /// Sets the parallelism of the sink.
    ///
    /// ```
    /// use tidemill_datastream::Sink;
    ///
    /// fn alone(sink: &Sink) {
    ///     sink.set_parallelism(1);
    /// }
    /// ```
    pub fn set_parallelism(&self, parallelism: u32) -> &Self {
        self.stream.set_parallelism(parallelism);
        self
    }

    /// Never chains the sink to the operator before.
    ///
    /// ```
    /// use tidemill_datastream::Sink;
    ///
    /// fn apart(sink: &Sink) {
    ///     sink.disable_chaining();
    /// }
    /// ```
    pub fn disable_chaining(&self) -> &Self {
        self.stream.disable_chaining();
        self
    }

    /// Sets the slot sharing group of the sink.
    ///
    /// ```
    /// use tidemill_datastream::Sink;
    ///
    /// fn in_own_slot(sink: &Sink) {
    ///     sink.slot_sharing_group("archive");
    /// }
    /// ```
    pub fn slot_sharing_group(&self, group: &str) -> &Self {
        self.stream.slot_sharing_group(group);
        self
    }
}
