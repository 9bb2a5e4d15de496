//! A job that prints numbers: the tests of how programs end run it.

#![allow(clippy::print_stdout, clippy::panic)]

use clap::Parser;
use tidemill::connectors::{GeneratorSource, PrintSink};
use tidemill::prelude::*;

/// Prints numbers.
#[derive(Parser)]
struct Arguments {
    /// How many numbers (default: no end)
    #[arg(long)]
    count: Option<u64>,
    /// Fail as soon as there is a line on standard input
    #[arg(long)]
    fail: bool,
}

fn same(number: u64) -> u64 {
    number
}

fn main() -> tidemill::Result<()> {
    let (env, Arguments { count, fail }) = tidemill::environment_with()?;
    let same: fn(u64) -> u64 = same;
    let numbers = match count {
        Some(count) => GeneratorSource::bounded(count, same),
        None => GeneratorSource::unbounded(same),
    };
    env.from_source(numbers, WatermarkStrategy::<u64>::no_watermarks(), "numbers")
        .sink_to("print", PrintSink::display::<u64>());
    if fail {
        let line = |_| match std::io::stdin().read_line(&mut String::new()) {
            Ok(1..) => panic!("there is a line"),
            _ => 0,
        };
        env.from_source(GeneratorSource::bounded(1, line), WatermarkStrategy::<u64>::no_watermarks(), "line")
            .sink_to("lines", PrintSink::display::<u64>());
    }
    env.execute("Numbers")?;
    println!("done");
    Ok(())
}
