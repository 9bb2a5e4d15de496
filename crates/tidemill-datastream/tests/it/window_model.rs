//! What windows without merging do, in the simplest way.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemill_serialization::RoutingHash;
use tidemill_testkit::{Script, ScriptOutput, stamped};

/// Key and value.
pub(crate) type Rec = (u32, i64);

/// Key, start and end of the window, values.
pub(crate) type Fired = (u32, i64, i64, Vec<i64>);

/// One step of a test.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Records(Vec<(Rec, i64)>),
    Watermark(i64),
}

/// Random records around a watermark that advances; some of them late.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let record = ((0u32..5, 0i64..100), -60i64..60);
    let step = (prop::collection::vec(record, 0..12), 0i64..25);
    prop::collection::vec(step, 1..12).prop_map(|steps| {
        let mut watermark = 0;
        let mut all = Vec::new();
        for (records, advance) in steps {
            let records =
                records.into_iter().map(|(record, distance)| (record, watermark + distance)).collect();
            all.push(Step::Records(records));
            watermark += advance;
            all.push(Step::Watermark(watermark));
        }
        all
    })
}

/// The steps as a script for an operator keyed by the first field, ended by the end of the input.
pub(crate) fn script(steps: &[Step]) -> Script {
    let mut script = Script::new().keyed_input(0, |record: &Rec| record.0.routing_hash());
    for step in steps {
        script = match step {
            Step::Records(records) => script.records(0, stamped(records.iter().copied())),
            Step::Watermark(watermark) => script.watermark(*watermark),
        };
    }
    script.end()
}

/// A record that came out: side output, text, timestamp.
pub(crate) type Line = (Option<String>, String, i64);

pub(crate) fn lines(output: &ScriptOutput) -> Vec<Vec<Line>> {
    let line = |(side, row): &(Option<std::sync::Arc<str>>, tidemill_testkit::Row)| {
        (side.as_ref().map(ToString::to_string), row.text.clone(), row.timestamp)
    };
    output
        .steps
        .iter()
        .map(|rows| {
            let mut rows: Vec<Line> = rows.iter().map(line).collect();
            rows.sort();
            rows
        })
        .collect()
}

/// Event-time windows that do not merge, with the event-time trigger.
pub(crate) struct Model<A> {
    /// The windows of a timestamp.
    pub(crate) assign: A,
    pub(crate) lateness: i64,
    /// Whether a window that fires loses its contents.
    pub(crate) purges: bool,
    pub(crate) watermark: i64,
    windows: BTreeMap<(u32, i64, i64), Vec<i64>>,
}

impl<A: Fn(i64) -> Vec<(i64, i64)>> Model<A> {
    pub(crate) fn new(assign: A, lateness: i64) -> Self {
        Self { assign, lateness, purges: false, watermark: i64::MIN, windows: BTreeMap::new() }
    }

    /// What each step lets out, as text by `show`; late records go to the side output `late`.
    pub(crate) fn run(&mut self, steps: &[Step], show: impl Fn(&Fired) -> String) -> Vec<Vec<Line>> {
        let mut all = Vec::new();
        for step in steps {
            let mut out = Vec::new();
            match step {
                Step::Records(records) => {
                    for (record, timestamp) in records {
                        self.add(*record, *timestamp, &show, &mut out);
                    }
                }
                Step::Watermark(watermark) => self.advance(*watermark, &show, &mut out),
            }
            out.sort();
            all.push(out);
        }
        let mut out = Vec::new();
        self.advance(i64::MAX, &show, &mut out);
        out.sort();
        all.push(out);
        // The end itself lets nothing out.
        all.push(Vec::new());
        all
    }

    fn add(
        &mut self,
        (key, value): Rec,
        timestamp: i64,
        show: impl Fn(&Fired) -> String,
        out: &mut Vec<Line>,
    ) {
        let mut late = true;
        for (start, end) in (self.assign)(timestamp) {
            if end - 1 + self.lateness <= self.watermark {
                continue;
            }
            late = false;
            let values = self.windows.entry((key, start, end)).or_default();
            values.push(value);
            if end - 1 <= self.watermark {
                out.push((None, show(&(key, start, end, values.clone())), end - 1));
                if self.purges {
                    values.clear();
                }
            }
        }
        if late && timestamp + self.lateness <= self.watermark {
            out.push((Some("late".into()), format!("{:?}", (key, value)), timestamp));
        }
    }

    fn advance(&mut self, watermark: i64, show: impl Fn(&Fired) -> String, out: &mut Vec<Line>) {
        for ((key, start, end), values) in &mut self.windows {
            if end - 1 > self.watermark && end - 1 <= watermark {
                out.push((None, show(&(*key, *start, *end, values.clone())), end - 1));
                if self.purges {
                    values.clear();
                }
            }
        }
        self.windows.retain(|(_, _, end), _| (end - 1).saturating_add(self.lateness) > watermark);
        self.watermark = watermark;
    }
}
