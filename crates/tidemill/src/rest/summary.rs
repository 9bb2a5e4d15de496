//! Summaries of figures, in Flink's form.

use serde_json::{Value, json};
use tidemill_checkpoint::statistics::Summary;

/// What Flink's reference calls STAT.
pub(super) fn stat(summary: &Summary) -> Value {
    let of = summary.snapshot();
    let quantile = |value: Option<f64>| value.map_or_else(|| json!("NaN"), |value| json!(value));
    json!({
        "min": of.min,
        "max": of.max,
        "avg": of.avg,
        "p50": quantile(of.p50),
        "p90": quantile(of.p90),
        "p95": quantile(of.p95),
        "p99": quantile(of.p99),
        "p999": quantile(of.p999),
    })
}

/// A figure that is not known, or always 0.
pub(super) fn none() -> Value {
    stat(&Summary::default())
}
