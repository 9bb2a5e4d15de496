//! Windows: finite parts of a stream, over which functions are computed.
//!
//! A [`WindowAssigner`] says to which windows an element belongs, a [`Trigger`] when the function of a window is
//! called, an [`Evictor`] which elements it then sees. All of it follows Flink.

pub mod assigner;
pub mod count_trigger;
pub mod cumulate;
pub mod end_triggers;
pub mod evictor;
pub mod function;
pub mod global;
pub(crate) mod merging;
pub mod periodic_triggers;
pub mod session;
pub mod sliding;
pub mod trigger;
pub mod tumbling;
pub mod window;

pub use assigner::{AssignerContext, InvalidWindows, WindowAssigner};
pub use count_trigger::{CountTrigger, PurgingTrigger};
pub use cumulate::{CumulateEventTimeWindows, CumulateProcessingTimeWindows};
pub use end_triggers::{EndOfStreamTrigger, EventTimeTrigger, NeverTrigger, ProcessingTimeTrigger};
pub use evictor::{CountEvictor, DeltaEvictor, Evictor, EvictorContext, TimeEvictor, TimestampedValue};
pub use function::{ApplyFunction, Elements, ProcessWindowFunction, WindowContext};
pub use global::GlobalWindows;
pub use periodic_triggers::{ContinuousEventTimeTrigger, ContinuousProcessingTimeTrigger};
pub use session::{EventTimeSessionWindows, ProcessingTimeSessionWindows};
pub use sliding::{SlidingEventTimeWindows, SlidingProcessingTimeWindows};
pub use trigger::{Trigger, TriggerContext, TriggerResult};
pub use tumbling::{TumblingEventTimeWindows, TumblingProcessingTimeWindows};
pub use window::{GlobalWindow, TimeWindow, Window};
