//! Watermarks and idleness of many channels made one: Flink's `StatusWatermarkValve`.
//!
//! It differs from Flink 2.3 where that loses or invents event time: a channel that has ended (its watermark is
//! [`Watermark::MAX`]) does not count, so that event time does not jump to the end while the others are only idle
//! (FLINK-38477); what a channel had reached counts again as soon as it is active, and the maximum of idle channels does
//! not depend on the order in which they went idle (FLINK-40475).

use tidemill_core::time::Watermark;

/// What the valve lets through.
///
/// ```
/// use tidemill_runtime::valve::{ValveOutput, WatermarkValve};
///
/// let mut valve = WatermarkValve::new(1);
/// assert_eq!(valve.idle(0, true), [None, Some(ValveOutput::Idle(true))]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValveOutput {
    /// The combined watermark has advanced.
    Watermark(Watermark),
    /// All channels are idle (true), or one is active again (false).
    Idle(bool),
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    watermark: Watermark,
    idle: bool,
    /// Whether the channel's watermark takes part in the minimum: it is active and has caught up.
    aligned: bool,
}

impl Channel {
    fn has_ended(&self) -> bool {
        self.watermark == Watermark::MAX
    }
}

/// Combines the channels of one input: the minimum over the channels that are active and have caught up.
///
/// ```
/// use tidemill_core::Watermark;
/// use tidemill_runtime::valve::WatermarkValve;
///
/// let mut valve = WatermarkValve::new(2);
/// valve.watermark(0, Watermark(50));
/// assert_eq!(valve.current(), Watermark::MIN, "channel 1 is at the beginning");
/// valve.idle(1, true);
/// assert_eq!(valve.current(), Watermark(50));
/// ```
#[derive(Clone, Debug)]
pub struct WatermarkValve {
    channels: Vec<Channel>,
    last: Watermark,
    idle: bool,
}

impl WatermarkValve {
    /// All channels start active and without a watermark.
    ///
    /// ```
    /// use tidemill_core::Watermark;
    /// use tidemill_runtime::valve::WatermarkValve;
    ///
    /// assert_eq!(WatermarkValve::new(2).current(), Watermark::MIN);
    /// ```
    pub fn new(channels: usize) -> Self {
        let channel = Channel { watermark: Watermark::MIN, idle: false, aligned: true };
        Self { channels: vec![channel; channels], last: Watermark::MIN, idle: false }
    }

    /// The last combined watermark.
    pub fn current(&self) -> Watermark {
        self.last
    }

    /// What a channel has reached, unless it is idle, has ended, or is at its beginning.
    ///
    /// ```
    /// use tidemill_core::Watermark;
    /// use tidemill_runtime::valve::WatermarkValve;
    ///
    /// let mut valve = WatermarkValve::new(2);
    /// valve.watermark(0, Watermark(50));
    /// assert_eq!((valve.reached(0), valve.reached(1)), (Some(Watermark(50)), None));
    /// ```
    pub fn reached(&self, channel: usize) -> Option<Watermark> {
        let channel = self.channels.get(channel)?;
        let counts = !channel.idle && !channel.has_ended() && channel.watermark > Watermark::MIN;
        counts.then_some(channel.watermark)
    }

    /// Whether all channels are idle.
    ///
    /// ```
    /// use tidemill_runtime::valve::WatermarkValve;
    ///
    /// let mut valve = WatermarkValve::new(1);
    /// valve.idle(0, true);
    /// assert!(valve.is_idle());
    /// ```
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// A watermark has arrived on a channel. One that does not advance, or comes from an idle channel, is ignored, but for
    /// the last one. Up to two things may follow, in this order.
    ///
    /// ```
    /// use tidemill_core::Watermark;
    /// use tidemill_runtime::valve::WatermarkValve;
    ///
    /// let mut valve = WatermarkValve::new(2);
    /// valve.watermark(0, Watermark(50));
    /// valve.watermark(1, Watermark(20));
    /// assert_eq!(valve.current(), Watermark(20), "the slower one decides");
    /// ```
    pub fn watermark(&mut self, channel: usize, watermark: Watermark) -> [Option<ValveOutput>; 2] {
        if watermark == Watermark::MAX {
            return self.ends(channel);
        }
        let state = &mut self.channels[channel];
        if self.idle || state.idle || watermark <= state.watermark {
            return [None, None];
        }
        state.watermark = watermark;
        if !state.aligned && watermark >= self.last {
            state.aligned = true;
        }
        [self.advance(), None]
    }

    /// A channel has gone idle or is active again. Up to two things may follow, in this order.
    ///
    /// ```
    /// use tidemill_core::Watermark;
    /// use tidemill_runtime::valve::WatermarkValve;
    ///
    /// let mut valve = WatermarkValve::new(2);
    /// valve.watermark(0, Watermark(50));
    /// valve.idle(1, true);
    /// assert_eq!(valve.current(), Watermark(50), "channel 1 does not count");
    /// ```
    pub fn idle(&mut self, channel: usize, idle: bool) -> [Option<ValveOutput>; 2] {
        let state = &mut self.channels[channel];
        if state.idle == idle || state.has_ended() {
            return [None, None];
        }
        state.idle = idle;
        state.aligned = !idle && state.watermark >= self.last;
        if idle {
            return self.without_one();
        }
        let active = std::mem::take(&mut self.idle).then_some(ValveOutput::Idle(false));
        [active, self.advance()]
    }

    fn ends(&mut self, channel: usize) -> [Option<ValveOutput>; 2] {
        let state = &mut self.channels[channel];
        (state.watermark, state.aligned, state.idle) = (Watermark::MAX, false, false);
        if self.channels.iter().all(Channel::has_ended) {
            let active = std::mem::take(&mut self.idle).then_some(ValveOutput::Idle(false));
            return [active, self.output(Watermark::MAX)];
        }
        self.without_one()
    }

    /// What follows when a channel does not hold the others back any more.
    fn without_one(&mut self) -> [Option<ValveOutput>; 2] {
        let mut open = self.channels.iter().filter(|channel| !channel.has_ended());
        if !open.all(|channel| channel.idle) {
            return [self.advance(), None];
        }
        if self.idle {
            return [None, None];
        }
        // All are idle, so nobody is held back: what the furthest had reached counts.
        self.idle = true;
        let open = self.channels.iter().filter(|channel| !channel.has_ended());
        let furthest = open.map(|channel| channel.watermark).max();
        [furthest.and_then(|furthest| self.output(furthest)), Some(ValveOutput::Idle(true))]
    }

    fn advance(&mut self) -> Option<ValveOutput> {
        let aligned = self.channels.iter().filter(|channel| channel.aligned);
        let min = aligned.map(|channel| channel.watermark).min()?;
        self.output(min)
    }

    fn output(&mut self, watermark: Watermark) -> Option<ValveOutput> {
        (watermark > self.last).then(|| {
            self.last = watermark;
            ValveOutput::Watermark(watermark)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IDLE: Option<ValveOutput> = Some(ValveOutput::Idle(true));
    const ACTIVE: Option<ValveOutput> = Some(ValveOutput::Idle(false));
    const NOTHING: [Option<ValveOutput>; 2] = [None, None];

    fn wm(ms: i64) -> Option<ValveOutput> {
        Some(ValveOutput::Watermark(Watermark(ms)))
    }

    #[test]
    fn an_idle_channel_does_not_hold_the_others_back() {
        let mut valve = WatermarkValve::new(2);
        assert_eq!(valve.watermark(0, Watermark(10)), NOTHING);
        assert_eq!(valve.idle(1, true), [wm(10), None]);
        assert_eq!(valve.watermark(0, Watermark(20)), [wm(20), None]);
        // It is behind when it returns, so it joins only once it has caught up.
        assert_eq!(valve.idle(1, false), NOTHING);
        assert_eq!(valve.watermark(1, Watermark(15)), NOTHING);
        assert_eq!(valve.watermark(0, Watermark(30)), [wm(30), None]);
        assert_eq!(valve.watermark(1, Watermark(30)), NOTHING);
        assert_eq!(valve.watermark(0, Watermark(40)), NOTHING);
        assert_eq!(valve.watermark(1, Watermark(35)), [wm(35), None]);
    }

    #[test]
    fn when_the_last_one_goes_idle_the_maximum_comes_out() {
        for first in [0, 1] {
            let mut valve = WatermarkValve::new(2);
            valve.watermark(0, Watermark(10));
            assert_eq!(valve.watermark(1, Watermark(5)), [wm(5), None]);
            let outputs = [valve.idle(first, true), valve.idle(1 - first, true)].concat();
            let said: Vec<_> = outputs.into_iter().flatten().collect();
            assert_eq!(said, [ValveOutput::Watermark(Watermark(10)), ValveOutput::Idle(true)]);
            assert_eq!(valve.watermark(1, Watermark(50)), NOTHING, "ignored while idle");
            assert_eq!(valve.idle(0, false), [ACTIVE, None]);
        }
    }

    #[test]
    fn what_a_channel_had_reached_counts_when_it_returns() {
        let mut valve = WatermarkValve::new(2);
        valve.watermark(0, Watermark(10));
        assert_eq!(valve.idle(0, true), NOTHING);
        assert_eq!(valve.watermark(1, Watermark(5)), [wm(5), None]);
        assert_eq!(valve.idle(0, false), NOTHING, "the other one holds it back");
        assert_eq!(valve.idle(0, true), NOTHING);
        assert_eq!(valve.idle(1, true), [wm(10), IDLE]);
    }

    #[test]
    fn a_channel_that_has_ended_does_not_bring_the_end_of_the_others() {
        let mut valve = WatermarkValve::new(3);
        assert_eq!(valve.watermark(0, Watermark::MAX), NOTHING);
        assert_eq!(valve.watermark(1, Watermark(5)), NOTHING);
        assert_eq!(valve.watermark(2, Watermark(3)), [wm(3), None]);
        assert_eq!(valve.idle(1, true), NOTHING);
        assert_eq!(valve.idle(2, true), [wm(5), IDLE], "all that have not ended are idle");
        assert_eq!(valve.idle(1, false), [ACTIVE, None]);
        assert_eq!(valve.watermark(1, Watermark(8)), [wm(8), None]);
        assert_eq!(valve.watermark(1, Watermark::MAX), [None, IDLE], "the one that is left is idle");
        assert!(valve.is_idle());
        assert_eq!(valve.idle(1, true), NOTHING, "what has ended says nothing any more");
        assert_eq!(
            valve.watermark(2, Watermark::MAX),
            [ACTIVE, wm(i64::MAX)],
            "the end is not to be ignored"
        );
        assert!(!valve.is_idle());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Watermark(usize, i64),
        Idle(usize, bool),
        End(usize),
    }

    proptest! {
        /// The valve never goes back, never passes an active channel that has kept up, is idle when all that have not
        /// ended are, and ends when all have.
        #[test]
        fn never_back_and_never_ahead(
            steps in prop::collection::vec(
                prop_oneof![
                    10 => (0usize..4, 0i64..100).prop_map(|(c, w)| Step::Watermark(c, w)),
                    10 => (0usize..4, any::<bool>()).prop_map(|(c, i)| Step::Idle(c, i)),
                    1 => (0usize..4).prop_map(Step::End),
                ],
                0..200,
            )
        ) {
            let mut valve = WatermarkValve::new(4);
            let mut reached = [i64::MIN; 4];
            let mut idle = [false; 4];
            let mut late = [false; 4];
            let mut ended = [false; 4];
            let mut last = i64::MIN;
            let mut is_idle = false;
            for step in steps {
                let outputs = match step {
                    Step::Watermark(c, w) if !ended[c] => {
                        if !idle[c] {
                            reached[c] = reached[c].max(w);
                        }
                        valve.watermark(c, Watermark(w))
                    }
                    Step::Idle(c, i) => {
                        if idle[c] && !i {
                            late[c] = reached[c] < last;
                        }
                        idle[c] = i;
                        valve.idle(c, i)
                    }
                    Step::End(c) => {
                        ended[c] = true;
                        valve.watermark(c, Watermark::MAX)
                    }
                    Step::Watermark(..) => continue,
                };
                for output in outputs.into_iter().flatten() {
                    match output {
                        ValveOutput::Watermark(Watermark(w)) => {
                            prop_assert!(w > last);
                            prop_assert!(!is_idle, "a watermark of an idle input is ignored");
                            last = w;
                        }
                        ValveOutput::Idle(idle) => {
                            prop_assert_ne!(is_idle, idle);
                            is_idle = idle;
                        }
                    }
                }
                let all_idle = (0..4).all(|c| idle[c] || ended[c]) && !ended.iter().all(|ended| *ended);
                prop_assert_eq!(is_idle, all_idle);
                prop_assert_eq!(valve.is_idle(), all_idle);
                prop_assert_eq!(last == i64::MAX, ended.iter().all(|ended| *ended));
                for c in 0..4 {
                    late[c] &= reached[c] < last;
                    if !idle[c] && !late[c] && !ended[c] {
                        prop_assert!(last <= reached[c], "channel {} at {}, output {}", c, reached[c], last);
                    }
                }
            }
        }
    }
}
