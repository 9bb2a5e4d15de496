//! A job that counts numbers by their last digit for as long as nobody stops it: the tests of the commands for running jobs use it.

use std::time::Duration;

use clap::Parser;
use tidemill::connectors::{GeneratorSource, PrintSink};
use tidemill::prelude::*;

/// Counts numbers.
#[derive(Parser)]
struct Arguments {
    /// The name of the job
    #[arg(long, default_value = "Counting")]
    name: String,
    /// Which run this is
    #[arg(long, default_value_t = 1)]
    run: u64,
    /// The uid of what counts
    #[arg(long, default_value = "by-digit")]
    uid: String,
}

/// What has come of the numbers with one last digit.
#[derive(Record, Clone, Debug)]
struct Tally {
    digit: u64,
    count: u64,
    last: u64,
    /// How many of them the first run has counted.
    by_first_run: u64,
}

fn main() -> tidemill::Result<()> {
    let (env, Arguments { name, run, uid }) = tidemill::environment_with()?;
    let make = move |number: u64| Tally {
        digit: number % 10,
        count: 1,
        last: number,
        by_first_run: u64::from(run == 1),
    };
    env.from_source(
        GeneratorSource::unbounded(make).records_per_second(5_000.0)?,
        WatermarkStrategy::for_bounded_out_of_orderness(Duration::from_secs(1))
            .with_timestamp_assigner(|tally: &Tally, _| tally.last as i64),
        "numbers",
    )
    .uid("numbers")
    .key_by(|tally| tally.digit)
    // Longer than any test: only the end of event time closes it.
    .window(TumblingEventTimeWindows::of(Duration::from_secs(365 * 24 * 3600)))
    .reduce(|all: &mut Tally, next: Tally| {
        all.count += next.count;
        all.last = all.last.max(next.last);
        all.by_first_run += next.by_first_run;
    })
    .name("by digit")
    .uid(&uid)
    .map(|tally: Tally| format!("{} {} {} {}", tally.digit, tally.count, tally.last, tally.by_first_run))
    .sink_to("print", PrintSink::display::<String>());
    env.execute(&name)?;
    Ok(())
}
