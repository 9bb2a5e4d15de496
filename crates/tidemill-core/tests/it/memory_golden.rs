//! The memory model against the answers of Flink's own calculator.

use tidemill_core::config::{Configuration, Origin};
use tidemill_core::memory::{MemoryError, TaskManagerMemory};

const GOLDEN: &[u8] = include_bytes!("../data/flink-memory-golden.csv");

struct Case {
    name: String,
    configuration: Configuration,
    row: csv::StringRecord,
    headers: csv::StringRecord,
}

impl Case {
    fn column(&self, name: &str) -> &str {
        let index = self.headers.iter().position(|header| header == name).unwrap();
        &self.row[index]
    }

    fn bytes(&self, name: &str) -> u64 {
        self.column(name).parse().unwrap()
    }
}

fn cases() -> Vec<Case> {
    let mut reader = csv::Reader::from_reader(GOLDEN);
    let headers = reader.headers().unwrap().clone();
    reader
        .records()
        .map(|row| {
            let row = row.unwrap();
            let mut configuration = Configuration::new();
            for entry in row[1].split(';').filter(|entry| !entry.is_empty()) {
                let (key, value) = entry.split_once('=').unwrap();
                configuration.set_raw(key, value, Origin::CommandLine);
            }
            Case { name: row[0].to_owned(), configuration, row, headers: headers.clone() }
        })
        .collect()
}

#[test]
fn every_row_equals_flinks_answer() {
    let cases = cases();
    assert_eq!(cases.len(), 104);
    let (mut valid, mut errors) = (0, 0);
    for case in &cases {
        match case.column("status") {
            "OK" => {
                valid += 1;
                assert_equal(case);
            }
            "ERROR" => {
                errors += 1;
                assert_same_error(case);
            }
            other => panic!("{}: status {other}", case.name),
        }
    }
    assert_eq!((valid, errors), (71, 33));
}

fn assert_equal(case: &Case) {
    let memory = match TaskManagerMemory::derive(&case.configuration) {
        Ok(memory) => memory,
        Err(error) => panic!("{}: {error}", case.name),
    };
    let heap = memory.framework_heap.size.bytes() + memory.task_heap.size.bytes();
    let direct = memory.framework_off_heap.size.bytes()
        + memory.task_off_heap.size.bytes()
        + memory.network.size.bytes();
    for (column, actual) in [
        ("process_bytes", memory.process.size.bytes()),
        ("flink_bytes", memory.flink.size.bytes()),
        ("framework_heap", memory.framework_heap.size.bytes()),
        ("framework_off_heap", memory.framework_off_heap.size.bytes()),
        ("task_heap", memory.task_heap.size.bytes()),
        ("task_off_heap", memory.task_off_heap.size.bytes()),
        ("network", memory.network.size.bytes()),
        ("managed", memory.managed.size.bytes()),
        ("jvm_metaspace", memory.metaspace.size.bytes()),
        ("jvm_overhead", memory.overhead.size.bytes()),
        ("jvm_Xmx", heap),
        ("jvm_MaxDirectMemorySize", direct),
        ("network_buffers", memory.network_buffers()),
        ("managed_per_slot", memory.managed_per_slot().bytes()),
    ] {
        assert_eq!(actual, case.bytes(column), "{}: {column}", case.name);
    }
}

fn assert_same_error(case: &Case) {
    let error = match TaskManagerMemory::derive(&case.configuration) {
        Ok(memory) => panic!("{}: {memory:?}", case.name),
        Err(error) => error,
    };
    let flinks = case.column("error");
    let same_kind = match &error {
        MemoryError::Config(_) => flinks.contains("Could not parse value"),
        MemoryError::NotSized { .. } => flinks.contains("need to be configured explicitly"),
        MemoryError::Range { .. } => flinks.contains("Inconsistently configured"),
        MemoryError::ProcessExceeded { .. } => flinks.contains("exceed configured Total Process Memory"),
        MemoryError::FlinkExceeded { .. } => flinks.contains("exceed configured Total Flink Memory"),
        MemoryError::NetworkOutOfRange { .. } => flinks.contains("Derived Network Memory size"),
        MemoryError::ProcessBelowFlink { .. } => flinks.contains("is less than the sum"),
        MemoryError::OverheadOutOfRange { .. } => flinks.contains("Derived JVM Overhead size"),
        MemoryError::NoCpu { .. } => flinks.contains("positive number of CPU cores"),
        MemoryError::Overflow { .. } | MemoryError::TooManyBuffers { .. } => false,
    };
    let text = error.to_string();
    assert!(same_kind, "{}: {text}\n  Flink: {flinks}", case.name);
    for size in sizes(flinks) {
        assert!(text.contains(&size), "{}: '{size}' is missing in: {text}\n  Flink: {flinks}", case.name);
    }
    assert!(text.contains("taskmanager."), "{}: names no key: {text}", case.name);
}

/// The sizes that a message of Flink names, as `128.000mb (134217728 bytes)` or `0 bytes`.
fn sizes(message: &str) -> Vec<String> {
    let mut sizes = Vec::new();
    for (end, _) in message.match_indices(" bytes") {
        let start = message[..end].rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
        if start < end {
            sizes.push(format!("{} bytes", &message[start..end]));
        }
    }
    for (end, _) in message.match_indices(" (").filter(|(at, _)| message[..*at].ends_with('b')) {
        let start = message[..end].rfind(['(', '[', ' ']).map_or(0, |at| at + 1);
        sizes.push(message[start..end].to_owned());
    }
    sizes
}

#[test]
fn a_total_that_is_too_small_is_told_the_smallest_that_works() {
    let derive = |size: &str| {
        let mut configuration = Configuration::new();
        configuration.set_raw("taskmanager.memory.process.size", size, Origin::CommandLine);
        TaskManagerMemory::derive(&configuration)
    };
    for size in ["0", "400m", "600m", "1029002585"] {
        let error = derive(size).unwrap_err().to_string();
        assert!(error.contains("981.3 MiB (1029002586 bytes)"), "{size}: {error}");
    }
    assert_eq!(derive("1029002586").unwrap().task_heap.size.bytes(), 0);
}

mod properties {
    use proptest::prelude::*;
    use tidemill_core::config::{Configuration, Origin};
    use tidemill_core::memory::TaskManagerMemory;

    proptest! {
        #[test]
        fn the_parts_are_the_whole(
            process in proptest::option::of(0u64..1 << 40),
            flink in proptest::option::of(0u64..1 << 40),
            heap in proptest::option::of(0u64..1 << 34),
            managed in proptest::option::of(0u64..1 << 34),
            fraction in proptest::option::of(-0.1f32..1.1),
            slots in 1u32..64,
        ) {
            let mut configuration = Configuration::new();
            let mut set = |key: &str, value: Option<String>| {
                if let Some(value) = value {
                    configuration.set_raw(format!("taskmanager.{key}"), value, Origin::CommandLine);
                }
            };
            set("memory.process.size", process.map(|v| v.to_string()));
            set("memory.flink.size", flink.map(|v| v.to_string()));
            set("memory.task.heap.size", heap.map(|v| v.to_string()));
            set("memory.managed.size", managed.map(|v| v.to_string()));
            set("memory.network.fraction", fraction.map(|v| v.to_string()));
            set("numberOfTaskSlots", Some(slots.to_string()));
            match TaskManagerMemory::derive(&configuration) {
                Ok(memory) => {
                    let sum: u64 = memory.tree()[2..8].iter().map(|(_, _, part)| part.size.bytes()).sum();
                    prop_assert_eq!(sum, memory.flink.size.bytes());
                    let around = memory.metaspace.size.bytes() + memory.overhead.size.bytes();
                    prop_assert_eq!(sum + around, memory.process.size.bytes());
                    prop_assert!(memory.managed_per_slot().bytes() * u64::from(slots) <= memory.managed.size.bytes());
                }
                Err(error) => prop_assert!(error.to_string().contains("taskmanager.")),
            }
        }
    }
}
