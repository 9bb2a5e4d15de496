//! Texts of configuration: durations, sizes, lists, maps, and whole configurations.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use tidemill_core::config::{
    Configuration, MemorySize, OptionType, Origin, format_duration, join_list, join_map, parse_duration,
};

use crate::{choice, meter};

/// Reads a value; what was read is written and read again.
fn round_trip<T: OptionType + PartialEq + Debug>(text: &str, write: impl Fn(&T) -> String) {
    let Ok(value) = T::parse(text) else { return };
    let written = write(&value);
    assert_eq!(T::parse(&written).expect("what was written can be read"), value, "{written}");
}

fn grammars(text: &str) {
    if let Ok(duration) = parse_duration(text) {
        let written = format_duration(duration);
        assert_eq!(parse_duration(&written).expect("what was written can be read"), duration, "{written}");
    }
    round_trip::<MemorySize>(text, ToString::to_string);
    round_trip::<bool>(text, ToString::to_string);
    round_trip::<i64>(text, ToString::to_string);
    round_trip::<Vec<String>>(text, |items| join_list(items.iter().map(String::as_str)));
    round_trip::<BTreeMap<String, String>>(text, |map| {
        join_map(map.iter().map(|(key, value)| (key.as_str(), value.as_str())))
    });
    drop((
        <Vec<Duration>>::parse(text),
        <BTreeMap<String, u32>>::parse(text),
        <Option<Duration>>::parse(text),
    ));
    drop((f64::parse(text), u32::parse(text)));
}

/// A line of `key: value` each.
fn whole(text: &str) {
    let mut configuration = Configuration::new();
    for line in text.lines() {
        if let Some((key, value)) = line.split_once(':') {
            configuration.set_raw(key.trim(), value.trim(), Origin::CommandLine);
        }
    }
    let diagnosis = configuration.diagnose();
    drop(format!("{diagnosis:?}"));
}

/// Reads what a user may write.
pub fn configuration(bytes: &[u8]) {
    let (which, bytes) = choice(bytes);
    let text = String::from_utf8_lossy(bytes);
    // Keys are compared with all that are known, so messages are what takes most.
    meter::within(4096, text.len(), || if which % 2 == 0 { grammars(&text) } else { whole(&text) });
}
