//! `tidemill memory`.

use super::{Folder, tidemill};

#[test]
fn json_has_bytes_by_option() {
    let run = tidemill(&["memory", "--json", "-D", "taskmanager.memory.process.size=8g"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let sizes: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&run.out).unwrap();
    let size = |key: &str| sizes[&format!("taskmanager.memory.{key}.size")].as_u64().unwrap();
    assert_eq!(sizes.len(), 10);
    assert_eq!(size("process"), 8_589_934_592);
    assert_eq!(size("flink"), 7_462_505_664);
    assert_eq!(size("framework.heap"), 134_217_728);
    assert_eq!(size("framework.off-heap"), 134_217_728);
    assert_eq!(size("task.heap"), 3_462_817_321);
    assert_eq!(size("task.off-heap"), 0);
    assert_eq!(size("network"), 746_250_577);
    assert_eq!(size("managed"), 2_985_002_310);
    assert_eq!(size("jvm-metaspace"), 268_435_456);
    assert_eq!(size("jvm-overhead"), 858_993_472);
}

#[test]
fn the_tree_says_where_each_size_came_from() {
    let folder = Folder::new();
    let file =
        folder.file("config.yaml", "taskmanager:\n  memory:\n    process.size: 4g\n  numberOfTaskSlots: 2\n");
    let run = tidemill(&["memory", "-c", &file, "-Dtaskmanager.memory.size=1g"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let line = |part: &str| run.out.lines().find(|line| line.contains(part)).unwrap().to_owned();
    for (part, texts) in [
        (
            "Total Process",
            vec!["4 GiB", "4294967296", "100.0 %", "config.yaml:3", "taskmanager.memory.process.size"],
        ),
        ("├─ Total Flink", vec!["3597035104", "rest of process"]),
        (
            "│  ├─ Network",
            vec![
                "359703515",
                "8.4 %",
                "0.1 of Flink memory",
                "taskmanager.memory.network.{fraction,min,max}",
            ],
        ),
        ("│  └─ Managed", vec!["1073741824", "25.0 %", "-D"]),
        ("└─ JVM Overhead", vec!["429496736", "0.1 of process"]),
        ("buffers", vec!["10977 buffers of 32 kb", "2 slots", "512 MiB of Managed"]),
    ] {
        let line = line(part);
        for text in texts {
            assert!(line.contains(text), "'{text}' is missing in: {line}");
        }
    }
    assert!(run.err.contains("'taskmanager.memory.size' is an older spelling"), "{}", run.err);
    assert!(!run.out.contains('\u{1b}') && !run.err.contains('\u{1b}'), "colours without a terminal");
}

#[test]
fn without_any_size_the_machine_decides_and_one_line_says_so() {
    let run = tidemill(&["memory", "-D", "tidemill.memory.machine-fraction=1"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let first = run.out.lines().next().unwrap();
    assert!(first.starts_with("Memory: ") && first.contains("taskmanager.memory.process.size"), "{first}");
}

#[test]
fn what_cannot_be_derived_ends_with_one_and_the_reason() {
    for (property, reason) in [
        ("taskmanager.memory.process.size=400m", "exceed configured Total Process Memory"),
        ("taskmanager.memory.process.size=768m", "981.3 MiB"),
        ("taskmanager.memory.process.size=4x", "unit 'x'"),
        ("taskmanager.memory.task.heap.size=1g", "need to be configured explicitly"),
        ("taskmanager.heap.size=2g", "need to be configured explicitly"),
    ] {
        for json in [&["--json"][..], &[]] {
            let run = tidemill(&[&["memory", "-D", property], json].concat());
            assert_eq!(run.code, 1, "{property}");
            assert_eq!(run.out, "", "{property}");
            assert!(run.err.contains(reason), "{property}: {}", run.err);
        }
    }
}
