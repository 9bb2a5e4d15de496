//! Watermarks and idleness of many channels made one: Flink's `StatusWatermarkValve`.

use tidemill_core::time::Watermark;

/// What the valve lets through.
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

/// Combines the channels of one input: the minimum over the channels that are active and have caught up.
#[derive(Clone, Debug)]
pub struct WatermarkValve {
    channels: Vec<Channel>,
    last: Watermark,
    idle: bool,
}

impl WatermarkValve {
    /// All channels start active and without a watermark.
    pub fn new(channels: usize) -> Self {
        let channel = Channel { watermark: Watermark::MIN, idle: false, aligned: true };
        Self { channels: vec![channel; channels], last: Watermark::MIN, idle: false }
    }

    /// The last combined watermark.
    pub fn current(&self) -> Watermark {
        self.last
    }

    /// Whether all channels are idle.
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// A watermark has arrived on a channel. One that does not advance, or comes from an idle channel, is ignored.
    pub fn watermark(&mut self, channel: usize, watermark: Watermark) -> Option<ValveOutput> {
        let state = &mut self.channels[channel];
        if self.idle || state.idle || watermark <= state.watermark {
            return None;
        }
        state.watermark = watermark;
        if !state.aligned && watermark >= self.last {
            state.aligned = true;
        }
        self.advance()
    }

    /// A channel has gone idle or is active again. Up to two things may follow, in this order.
    pub fn idle(&mut self, channel: usize, idle: bool) -> [Option<ValveOutput>; 2] {
        if self.channels[channel].idle == idle {
            return [None, None];
        }
        if idle { self.becomes_idle(channel) } else { self.becomes_active(channel) }
    }

    fn becomes_idle(&mut self, channel: usize) -> [Option<ValveOutput>; 2] {
        self.channels[channel].idle = true;
        self.channels[channel].aligned = false;
        if self.channels.iter().all(|channel| channel.idle) {
            // Nobody holds the others back any more: what the channels had reached counts.
            let flushed = if self.channels[channel].watermark == self.last {
                let max = self.channels.iter().map(|channel| channel.watermark).max();
                max.and_then(|max| self.output(max))
            } else {
                None
            };
            self.idle = true;
            return match flushed {
                Some(watermark) => [Some(watermark), Some(ValveOutput::Idle(true))],
                None => [Some(ValveOutput::Idle(true)), None],
            };
        }
        [self.advance(), None]
    }

    fn becomes_active(&mut self, channel: usize) -> [Option<ValveOutput>; 2] {
        let last = self.last;
        let state = &mut self.channels[channel];
        state.idle = false;
        state.aligned = state.watermark >= last;
        if std::mem::take(&mut self.idle) { [Some(ValveOutput::Idle(false)), None] } else { [None, None] }
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

    fn wm(ms: i64) -> Option<ValveOutput> {
        Some(ValveOutput::Watermark(Watermark(ms)))
    }

    #[test]
    fn an_idle_channel_does_not_hold_the_others_back() {
        let mut valve = WatermarkValve::new(2);
        assert_eq!(valve.watermark(0, Watermark(10)), None);
        assert_eq!(valve.idle(1, true), [wm(10), None]);
        assert_eq!(valve.watermark(0, Watermark(20)), wm(20));
        // It is behind when it returns, so it joins only once it has caught up.
        assert_eq!(valve.idle(1, false), [None, None]);
        assert_eq!(valve.watermark(1, Watermark(15)), None);
        assert_eq!(valve.watermark(0, Watermark(30)), wm(30));
        assert_eq!(valve.watermark(1, Watermark(30)), None);
        assert_eq!(valve.watermark(0, Watermark(40)), None);
        assert_eq!(valve.watermark(1, Watermark(35)), wm(35));
    }

    #[test]
    fn when_the_last_one_goes_idle_the_maximum_comes_out() {
        let mut valve = WatermarkValve::new(2);
        valve.watermark(0, Watermark(10));
        assert_eq!(valve.watermark(1, Watermark(5)), wm(5));
        assert_eq!(valve.idle(0, true), [None, None]);
        assert_eq!(valve.idle(1, true), [wm(10), Some(ValveOutput::Idle(true))]);
        assert_eq!(valve.watermark(1, Watermark(50)), None, "ignored while idle");
        assert_eq!(valve.idle(0, false), [Some(ValveOutput::Idle(false)), None]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Watermark(usize, i64),
        Idle(usize, bool),
    }

    proptest! {
        /// The valve never goes back, and never passes an active channel that has kept up.
        #[test]
        fn never_back_and_never_ahead(
            steps in prop::collection::vec(
                prop_oneof![
                    (0usize..4, 0i64..100).prop_map(|(c, w)| Step::Watermark(c, w)),
                    (0usize..4, any::<bool>()).prop_map(|(c, i)| Step::Idle(c, i)),
                ],
                0..200,
            )
        ) {
            let mut valve = WatermarkValve::new(4);
            let mut reached = [i64::MIN; 4];
            let mut idle = [false; 4];
            let mut late = [false; 4];
            let mut last = i64::MIN;
            for step in steps {
                let outputs = match step {
                    Step::Watermark(c, w) => {
                        if !idle[c] {
                            reached[c] = reached[c].max(w);
                        }
                        let output = valve.watermark(c, Watermark(w));
                        [output, None]
                    }
                    Step::Idle(c, i) => {
                        if idle[c] && !i {
                            late[c] = reached[c] < last;
                        }
                        idle[c] = i;
                        valve.idle(c, i)
                    }
                };
                for output in outputs.into_iter().flatten() {
                    if let ValveOutput::Watermark(Watermark(w)) = output {
                        prop_assert!(w > last);
                        last = w;
                    }
                }
                for c in 0..4 {
                    late[c] &= reached[c] < last;
                    if !idle[c] && !late[c] && !matches!(outputs, [_, Some(_)]) {
                        prop_assert!(last <= reached[c], "channel {} at {}, output {}", c, reached[c], last);
                    }
                }
                prop_assert_eq!(valve.is_idle(), idle.iter().all(|i| *i));
            }
        }
    }
}
