//! Makes events of Nexmark as columns, with all columns and with few, and prints how many of them a second on
//! one core.

#![allow(clippy::print_stdout)] // A table of results is what it is for.

use std::hint::black_box;
use std::time::Instant;

use arrow_array::Array;
use tidemill_connectors::{ConnectorError, NexmarkColumns, NexmarkKind};

const BATCH: usize = 4096;

/// Makes events for about a second, and prints the best of a few rounds.
fn measure(what: &str, source: &NexmarkColumns, events: usize) -> Result<(), ConnectorError> {
    let (mut best, mut bytes, mut rows) = (f64::MAX, 0, 0);
    for _ in 0..5 {
        let began = Instant::now();
        (bytes, rows) = (0, 0);
        for first in (0..events).step_by(BATCH) {
            let batch = source.rows(first as u64, BATCH)?;
            bytes += batch.columns().iter().map(|column| column.get_array_memory_size()).sum::<usize>();
            rows += batch.num_rows();
            black_box(batch);
        }
        best = best.min(began.elapsed().as_secs_f64());
    }
    println!(
        "{what:<44} {:>8.1} million events/s {:>8.1} million rows/s {:>6.2} GB/s",
        events as f64 / best / 1e6,
        rows as f64 / best / 1e6,
        bytes as f64 / best / 1e9
    );
    Ok(())
}

fn main() -> Result<(), ConnectorError> {
    let all = NexmarkColumns::bounded(u64::MAX - 1);
    measure("all columns", &all, 1_000_000)?;
    let bids = all.clone().only(NexmarkKind::Bid);
    measure("bids, all columns", &bids.clone().project_paths(&["bid"])?, 2_000_000)?;
    for paths in [
        &["bid.auction", "bid.price"][..],
        &["bid.auction", "bid.bidder", "bid.price"],
        &["bid.auction", "bid.bidder", "bid.price", "bid.dateTime"],
        &["bid.channel"],
        &["bid.url"],
        &["bid.extra"],
    ] {
        let name = paths.join(", ");
        measure(&name, &all.clone().project_paths(paths)?, 10_000_000)?;
        measure(&format!("{name} (bids only)"), &bids.clone().project_paths(paths)?, 10_000_000)?;
    }
    measure(
        "auctions only",
        &all.clone().only(NexmarkKind::Auction).project_paths(&["auction"])?,
        10_000_000,
    )?;
    measure("persons only", &all.only(NexmarkKind::Person).project_paths(&["person"])?, 10_000_000)?;
    Ok(())
}
