//! The figures of RocksDB are among the metrics of a job that asks for them.

use tidemill::connectors::{GeneratorSource, PrintSink};
use tidemill::prelude::*;
use tidemill::runtime::metrics::{Metric, MetricScope};

const KEYS: u64 = 500;

/// The metrics of a job that counts keys in RocksDB.
fn metrics(options: &[&str]) -> Vec<Metric> {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments: Vec<std::ffi::OsString> = vec![
        "-Dstate.backend.type=rocksdb".into(),
        "-Dparallelism.default=1".into(),
        "-Dtidemill.state.cache.fraction=0".into(),
        format!("-Dstate.backend.rocksdb.localdir={}", folder.path().display()).into(),
    ];
    arguments.extend(options.iter().map(|option| format!("-Dstate.backend.rocksdb.metrics.{option}").into()));
    let (env, _) = tidemill::environment_from(arguments).unwrap();
    let numbers: fn(u64) -> (u64, u64) = |number| (number % KEYS, 1);
    let strategy = WatermarkStrategy::<(u64, u64)>::no_watermarks();
    env.from_source(GeneratorSource::bounded(20 * KEYS, numbers), strategy, "numbers")
        .key_by(|(key, _)| *key)
        .reduce(|count: &mut (u64, u64), more: (u64, u64)| count.1 += more.1)
        .uid("count")
        .filter(|_| false)
        .map(|(key, _)| key)
        .sink_to("print", PrintSink::display::<u64>());
    env.execute("Counts").unwrap().metrics().collect()
}

fn named<'a>(metrics: &'a [Metric], end: &str) -> Vec<&'a Metric> {
    metrics.iter().filter(|metric| metric.name.ends_with(end)).collect()
}

#[test]
fn figures_that_are_asked_for_are_metrics_of_the_operator() {
    let asked = ["estimate-num-keys=true", "bytes-written=true", "block-cache-hit=true"];
    let metrics = metrics(&asked);
    let keys = named(&metrics, ".rocksdb.estimate-num-keys");
    assert_eq!(keys.len(), 1, "one state: {keys:?}");
    assert!(
        keys[0].name.len() > ".rocksdb.estimate-num-keys".len() && keys[0].value >= KEYS as f64,
        "{keys:?}"
    );
    assert!(matches!(&keys[0].scope, MetricScope::Operator { subtask: 0, .. }), "{keys:?}");
    assert!(keys[0].variables.is_empty());
    let written = named(&metrics, "rocksdb.bytes_written");
    assert!(written.len() == 1 && written[0].name == "rocksdb.bytes_written" && written[0].value > 0.0);
    assert_eq!(named(&metrics, "rocksdb.block_cache_hit").len(), 1);
    assert!(named(&metrics, "rocksdb.block_cache_miss").is_empty(), "nobody asked for it");
}

#[test]
fn a_state_can_be_a_variable() {
    let metrics = metrics(&["estimate-num-keys=true", "column-family-as-variable=true"]);
    let keys = named(&metrics, "rocksdb.estimate-num-keys");
    assert_eq!((keys.len(), keys[0].name.as_str()), (1, "rocksdb.estimate-num-keys"));
    assert!(matches!(&keys[0].variables[..], [("column_family", state)] if !state.is_empty()), "{keys:?}");
}

#[test]
fn without_asking_there_is_none() {
    let metrics = metrics(&[]);
    assert!(metrics.iter().all(|metric| !metric.name.contains("rocksdb")));
    assert!(named(&metrics, "numRecordsIn").iter().any(|metric| metric.value > 0.0), "it did run");
}
