//! What RocksDB and the cache in front of it do in situations that a job gets into; each is a name:
//! `cargo bench -p tidemill-rocksdb --bench store -- absent`, `buffers`, `timers [--timers 1000000]`, `barrier [--mib 1024]`, `memory [--gib 10] [--seconds 600]`.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // A table of results is what it is for.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_core::hash::RoutingHash;
use tidemill_rocksdb::{RocksDbStore, Ticker};
use tidemill_state::{
    KeyBatch, KeyedStateBackend, NativeStore, OrderedStore, RowKeys, StateBackend, StateCache, StateError,
    Storage, SubtaskContext, TableId, TimeDomain, Timers, ValueState, ValueStateDescriptor, WriteBatch,
};

use common::{BATCH, Keys, Over, Random, Slot, counts, median, rounds, subtask};

/// A number that follows a word among the arguments.
fn argument(name: &str, default: f64) -> f64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn update(state: &mut KeyedStateBackend<u64>, value: ValueState<u64>, keys: &[u64]) {
    let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    let batch = KeyBatch::new(&hashes, keys).unwrap();
    let add = |slots: tidemill_state::Slots<'_>, values: &mut [u64]| {
        slots.slots.iter().for_each(|slot| values[*slot as usize] += 1);
    };
    value.update_batch(state, &batch, |_| 0, add).unwrap();
}

/// Has RocksDB count what it does, which it does only for a figure that is asked for.
const COUNTED: (&str, &str) = ("metrics.block-cache-hit", "true");

/// Looks for keys that are not there, with filters and without.
fn absent() {
    const KEYS: u64 = 2_000_000;
    println!("| filters | M lookups/s | blocks read from cache or disk |\n|---|---:|---:|");
    for filters in ["false", "true"] {
        let options = [("use-bloom-filter", filters), ("writebuffer.size", "8 mb"), COUNTED];
        let slot = Slot::new(64.0, 0.0, &options);
        let store = Arc::new(slot.backend.open_store(&subtask()).unwrap());
        let (mut state, count) = counts(&Over(Arc::clone(&store)));
        for start in (0..KEYS).step_by(BATCH) {
            update(&mut state, count, &(start..start + BATCH as u64).map(|key| key * 2).collect::<Vec<_>>());
        }
        store.flush().unwrap();
        let blocks = || store.ticker(Ticker::BlockCacheDataHit) + store.ticker(Ticker::BlockCacheDataMiss);
        let mut random = Random(7);
        let (mut times, before) = (Vec::new(), blocks());
        for _ in 0..rounds() {
            let start = Instant::now();
            for _ in 0..64 {
                let keys: Vec<u64> = (0..BATCH).map(|_| random.next() % KEYS * 2 + 1).collect();
                let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
                let batch = KeyBatch::new(&hashes, &keys).unwrap();
                count.read_batch(&mut state, &batch, |_, values| assert!(values.is_empty())).unwrap();
            }
            times.push(start.elapsed());
        }
        let lookups = (64 * BATCH) as f64 / 1e6;
        let speed = lookups / median(times).as_secs_f64();
        println!("| {filters} | {speed:.2} | {} |", blocks() - before);
    }
}

/// Writes much, straight into RocksDB, with few and with many write buffers.
fn buffers() {
    println!("| write buffers | seconds | of them stalled |\n|---|---:|---:|");
    for (size, count) in [("64 mb", "2"), ("128 mb", "4")] {
        let options = [("writebuffer.size", size), ("writebuffer.count", count), COUNTED];
        let slot = Slot::new(1024.0, 0.0, &options);
        let store = slot.backend.open_store(&subtask()).unwrap();
        let table = store.open_table("text").unwrap();
        let mut random = Random(7);
        let start = Instant::now();
        for _ in 0..argument("--batches", 1500.0) as usize {
            let mut batch = tidemill_state::WriteBatch::default();
            for _ in 0..1024 {
                let text = random.next().to_be_bytes();
                batch.put(&text, |out| {
                    (0..64).for_each(|_| out.extend_from_slice(&random.next().to_be_bytes()))
                });
            }
            store.write(table, &batch).unwrap();
        }
        let stalled = Duration::from_micros(store.ticker(Ticker::StallMicros));
        println!(
            "| {size} x {count} | {:.1} | {:.1} |",
            start.elapsed().as_secs_f64(),
            stalled.as_secs_f64()
        );
    }
}

/// Registers a timer for each key and fires all, with timers in memory and in RocksDB.
fn timers() {
    let count = argument("--timers", 1e6) as u64;
    println!("| {count} timers | where | ns to register one | ns to fire one | MiB of the task heap |");
    println!("|---|---|---:|---:|---:|");
    for (times, what) in [(1, "of one time"), (1_000, "of 1,000 times"), (count, "each of its own time")] {
        for factory in ["HEAP", "ROCKSDB"] {
            let (mut registering, mut firing, mut mib) = (Vec::new(), Vec::new(), 0);
            for _ in 0..rounds() {
                let slot = Slot::new(256.0, 0.5, &[("timer-service.factory", factory)]);
                let (mut state, _) = counts(&slot.backend);
                let timers: Timers = state.register_timers("due").unwrap();
                let service = timers.service(&mut state).unwrap();
                let start = Instant::now();
                for key in 0..count {
                    let time = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % times;
                    let key = (&key, key.routing_hash());
                    service.register(TimeDomain::Event, time.cast_signed(), key, &()).unwrap();
                }
                registering.push(start.elapsed());
                mib = state.bytes() >> 20;
                let start = Instant::now();
                let mut fired = 0;
                let service = timers.service(&mut state).unwrap();
                while service.pop_due(TimeDomain::Event, i64::MAX).unwrap().is_some() {
                    fired += 1;
                }
                assert_eq!(fired, count);
                firing.push(start.elapsed());
            }
            let each = |times| median(times).as_nanos() as u64 / count;
            println!("| {what} | {factory} | {} | {} | {mib} |", each(registering), each(firing));
        }
    }
}

/// A store behind a cache, which writes all rows by way of RocksDB's write buffers, if that is wanted.
struct Behind(Arc<dyn OrderedStore>, StateCache);

impl StateBackend for Behind {
    fn name(&self) -> &'static str {
        "behind"
    }

    fn open(&self, _: &SubtaskContext) -> Result<Storage, StateError> {
        Ok(Storage::Cached(Arc::clone(&self.0), self.1.clone()))
    }
}

/// A store that has no better way to write many rows than to write each.
struct Buffered(Arc<RocksDbStore>);

impl OrderedStore for Buffered {
    fn open_table(&self, state: &str) -> Result<TableId, StateError> {
        self.0.open_table(state)
    }

    fn multi_get(
        &self,
        table: TableId,
        keys: &RowKeys,
        found: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), StateError> {
        self.0.multi_get(table, keys, found)
    }

    fn write(&self, table: TableId, batch: &WriteBatch) -> Result<(), StateError> {
        self.0.write(table, batch)
    }

    fn scan(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        self.0.scan(table, from, to, visit)
    }

    fn native(&self) -> Option<&dyn NativeStore> {
        self.0.native()
    }
}

/// How long a barrier waits where nothing changes from checkpoint to checkpoint: for what is dirty to be written, and for the files to be linked. The cache is full, and a tenth or all
/// of its entries were changed since the last checkpoint; with and without the trickle, and with all that is written going by way of
/// RocksDB's write buffers.
fn barrier() {
    let mib = argument("--mib", 1024.0);
    println!("A cache of {mib} MiB:\n");
    println!(
        "| entries changed | how | dirty MiB at the barrier | s to write them | s to link files | M changes/s before |"
    );
    println!("|---|---|---:|---:|---:|---:|");
    let ways = [
        (true, true, "trickle, then files"),
        (false, true, "files"),
        (true, false, "trickle, then buffers"),
        (false, false, "buffers"),
    ];
    for (trickle, files, how) in ways {
        let slot = Slot::new(256.0, 0.0, &[COUNTED]);
        let store = Arc::new(slot.backend.open_store(&subtask()).unwrap());
        let values = StateCache::with_trickle((mib * f64::from(1 << 20)) as usize, trickle);
        let ordered: Arc<dyn OrderedStore> =
            if files { Arc::<RocksDbStore>::clone(&store) } else { Arc::new(Buffered(Arc::clone(&store))) };
        let (mut state, count) = counts(&Behind(ordered, values.clone()));
        // The table grows by doubling: just after it did for the last time, then nearly full.
        let (mut next, mut end) = (0u64, u64::MAX);
        while next < end {
            // Without a look into RocksDB for keys that are not there yet, which is what takes longest.
            for key in next..next + BATCH as u64 {
                state.set_current_key(&key, key.routing_hash()).unwrap();
                count.update(&mut state, 0).unwrap();
            }
            next += BATCH as u64;
            if end == u64::MAX && values.used() > values.limit() / 2 {
                end = next / 8 * 15;
            }
        }
        drop(state.snapshot_native().unwrap());
        for tenths in [1, 10] {
            let changes = next / 10 * tenths / BATCH as u64;
            let start = Instant::now();
            for batch in 0..changes {
                // Each once, in any order.
                let any = |place: u64| (batch * BATCH as u64 + place) * 0x9e37_79b1 % next;
                update(&mut state, count, &(0..BATCH as u64).map(any).collect::<Vec<_>>());
            }
            let speed = (changes * BATCH as u64) as f64 / 1e6 / start.elapsed().as_secs_f64();
            let dirty = values.dirty() >> 20;
            let start = Instant::now();
            state.flush().unwrap();
            let written = start.elapsed().as_secs_f64();
            drop(state.snapshot_native().unwrap());
            let linked = start.elapsed().as_secs_f64() - written;
            let share = format!("{} % of {:.1} M", tenths * 10, next as f64 / 1e6);
            println!("| {share} | {how} | {dirty} | {written:.2} | {linked:.2} | {speed:.2} |");
        }
    }
}

/// Which share of a slot's memory the cache should have, for keys that are not used alike often and take more than it.
fn fractions() {
    const MIB: f64 = 96.0;
    println!("| fraction of {MIB} MiB | M updates/s |\n|---|---:|");
    let keys = Keys::new(2_000_000, 4_000_000, true);
    for fraction in [0.0, 0.25, 0.5, 0.75] {
        let slot = Slot::new(MIB, fraction, &[("writebuffer.size", "8 mb")]);
        let (mut state, count) = counts(&slot.backend);
        let mut times = Vec::new();
        for _ in 0..2 {
            let start = Instant::now();
            keys.keys.chunks(BATCH).for_each(|keys| update(&mut state, count, keys));
            times.push(start.elapsed());
        }
        // The first round fills it.
        let speed = keys.keys.len() as f64 / 1e6 / times[1].as_secs_f64();
        println!("| {fraction} | {speed:.2} |");
    }
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// The memory of a process of 1 GiB whose state is far larger than its managed memory.
fn memory() {
    const LIMIT: f64 = 1024.0;
    // What Flink's model leaves a process of 1 GiB for state.
    const MANAGED: f64 = 230.0;
    let (gib, minutes) = (argument("--gib", 1.0), argument("--seconds", 30.0) / 60.0);
    let keys = (gib * f64::from(1 << 30) / 256.0) as u64;
    let slot = Slot::new(MANAGED, 0.5, &[("writebuffer.size", "16 mb")]);
    let mut state = KeyedStateBackend::<u64>::open(&slot.backend as &dyn StateBackend, subtask()).unwrap();
    let text: ValueState<String> = state.register_value(ValueStateDescriptor::new("text")).unwrap();
    let start = Instant::now();
    let end = Duration::from_secs_f64(minutes * 60.0);
    let mut samples = Vec::new();
    let mut random = Random(7);
    let (mut next, mut records) = (0u64, 0u64);
    while start.elapsed() < end || next < keys {
        // First each key once, then any.
        let batch: Vec<u64> = (0..BATCH as u64)
            .map(|place| if next < keys { next + place } else { random.next() % keys })
            .collect();
        next += BATCH as u64;
        records += BATCH as u64;
        let hashes: Vec<u64> = batch.iter().map(RoutingHash::routing_hash).collect();
        let batch = KeyBatch::new(&hashes, &batch).unwrap();
        let fill = |slots: tidemill_state::Slots<'_>, values: &mut [String]| {
            for slot in slots.slots {
                let number = random.next();
                let value = &mut values[*slot as usize];
                value.clear();
                (0..12).for_each(|turn| value.push_str(&format!("{:020}", number.rotate_left(turn * 5))));
            }
        };
        text.update_batch(&mut state, &batch, |_| String::new(), fill).unwrap();
        if samples.len() as f64 <= start.elapsed().as_secs_f64() {
            samples.push(resident_mib());
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{gib} GiB of state ({keys} keys), {records} records in {seconds:.0} s; managed memory {MANAGED} MiB"
    );
    for part in samples.chunks(samples.len().div_ceil(30).max(1)) {
        let most = part.iter().copied().fold(0.0, f64::max);
        println!("{most:>7.0} MiB {}", "#".repeat((most / LIMIT * 60.0) as usize));
    }
    println!("largest: {:.0} MiB of {LIMIT} MiB", samples.iter().copied().fold(0.0, f64::max));
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let all: [(&str, fn()); 6] = [
        ("absent", absent),
        ("buffers", buffers),
        ("timers", timers),
        ("barrier", barrier),
        ("fractions", fractions),
        ("memory", memory),
    ];
    let named = all.iter().any(|(name, _)| wanted.iter().any(|wanted| wanted == name));
    for (name, run) in all {
        if !named || wanted.iter().any(|wanted| wanted == name) {
            println!("\n{name}\n");
            run();
        }
    }
}
