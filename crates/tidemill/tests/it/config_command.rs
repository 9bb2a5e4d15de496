//! `tidemill config list | explain | check`.

use super::{Folder, data, tidemill};

#[test]
fn list_shows_options_and_what_they_are_set_to() {
    let plain = tidemill(&["config", "list"]);
    assert_eq!(plain.code, 0, "{}", plain.err);
    assert!(
        plain.out.contains("taskmanager.numberOfTaskSlots") && !plain.out.contains("SET TO"),
        "{}",
        plain.out
    );
    assert!(!plain.out.contains("heartbeat.interval"), "{}", plain.out);

    let set = tidemill(&["config", "list", "--all", "-D", "execution.buffer-timeout=1000"]);
    let line = set.out.lines().find(|line| line.starts_with("execution.buffer-timeout.interval")).unwrap();
    assert!(line.contains("100 ms") && line.ends_with("-D") && line.contains(" 1 s "), "{line}");
    assert!(set.out.contains("heartbeat.interval"), "{}", set.out);
}

#[test]
fn explain_knows_every_kind_of_key() {
    for (key, texts) in [
        ("parallelism.default", vec!["Integer", "the file, -D, or the program"]),
        ("taskmanager.numberOfTaskSlots", vec!["the file or -D"]),
        ("pipeline.operator-chaining", vec!["older spelling of", "pipeline.operator-chaining.enabled"]),
        ("state.backend.rocksdb.thread.num", vec!["default   2"]),
        ("heartbeat.interval", vec!["not yet in effect", "default   10 s"]),
        ("taskmanager.heap.size", vec!["removed in Flink 2", "use taskmanager.memory.process.size"]),
        ("env.java.opts.taskmanager", vec!["only a JVM needs it"]),
        ("metrics.reporter.mine.port", vec!["not yet in effect"]),
    ] {
        let run = tidemill(&["config", "explain", key]);
        assert_eq!(run.code, 0, "{key}: {}", run.err);
        for text in texts {
            assert!(run.out.contains(text), "{key}: '{text}' is missing in: {}", run.out);
        }
    }
    let unknown = tidemill(&["config", "explain", "paralelism.default"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (1, ""));
    assert!(unknown.err.contains("'parallelism.default'"), "{}", unknown.err);
    let set = tidemill(&[
        "config",
        "explain",
        "execution.buffer-timeout.interval",
        "-Dexecution.buffer-timeout=5ms",
    ]);
    assert!(set.out.contains("5 ms (-D as execution.buffer-timeout)"), "{}", set.out);
}

#[test]
fn check_lists_everything_at_once() {
    let folder = Folder::new();
    let file = folder.file(
        "config.yaml",
        "paralelism.default: 4\ntaskmanager.memory.segment-size: 33kb\nstate.backend: rocksdb\nparallelism.default: 0\n",
    );
    let run = tidemill(&["config", "check", &file]);
    assert_eq!(run.code, 1);
    for text in [
        "config.yaml:1: unknown key 'paralelism.default'; the nearest known one is 'parallelism.default'",
        "config.yaml:2: Could not parse value '33kb'",
        "config.yaml:3: 'state.backend' is an older spelling; use 'state.backend.type'",
        "config.yaml:4: Could not parse value '0'",
        "4 keys, 3 errors, 1 warning",
    ] {
        assert!(run.out.contains(text), "'{text}' is missing in: {}", run.out);
    }
}

#[test]
fn strict_counts_warnings_as_problems() {
    let warns = data("network-tuning.yaml");
    assert_eq!(tidemill(&["config", "check", &warns]).code, 0);
    assert_eq!(tidemill(&["config", "check", "--strict", &warns]).code, 1);
}

#[test]
fn check_derives_the_memory_too() {
    let folder = Folder::new();
    let file = folder.file("config.yaml", "taskmanager.memory.process.size: 512m\n");
    let run = tidemill(&["config", "check", &file]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("exceed configured Total Flink Memory"), "{}", run.out);
    assert_eq!(tidemill(&["config", "check", &file, "-Dtaskmanager.memory.process.size=1g"]).code, 0);
}

#[test]
fn check_says_what_holds_for_this_machine_only() {
    let folder = Folder::new();
    let unsized_file = folder.file("config.yaml", "parallelism.default: 2\n");
    let derived = tidemill(&["config", "check", &unsized_file]);
    assert_eq!(derived.code, 0, "{}", derived.out);
    assert!(derived.out.contains("its memory was derived for this machine: "), "{}", derived.out);
    let sized = tidemill(&["config", "check", &unsized_file, "-Dtaskmanager.memory.process.size=1g"]);
    assert!(!sized.out.contains("this machine"), "{}", sized.out);
    let large =
        tidemill(&["config", "check", "--strict", &unsized_file, "-Dtaskmanager.memory.process.size=100t"]);
    assert_eq!(large.code, 0, "{}", large.out);
    assert!(large.out.contains("On this machine, the process size of 100 TiB"), "{}", large.out);
}

#[test]
fn messages_say_what_is_possible() {
    for (property, expected) in [
        ("parallelism.default=-1", "expected a whole number from 1 to 2147483647"),
        ("parallelism.default=0", "expected a whole number from 1 to 2147483647"),
        ("pipeline.max-parallelism=x", "from 1 to 32768, or -1 to derive it from the parallelism"),
        ("tidemill.log.file=", "must not be empty"),
        ("colour=red", "none is like it"),
    ] {
        let run = tidemill(&["config", "list", "-D", property]);
        assert_eq!(run.code, 1, "{property}");
        assert!(run.err.contains(expected), "{property}: {}", run.err);
    }
    let twice = tidemill(&["config", "list", "-c", "a", "-c", "b"]);
    assert_eq!(twice.code, 2, "{}", twice.err);
}

#[test]
fn a_command_line_without_sense_ends_with_two() {
    for args in [&["config"][..], &["frobnicate"], &["memory", "-D", "key"], &["config", "explain"], &[]] {
        assert_eq!(tidemill(args).code, 2, "{args:?}");
    }
    assert_eq!(tidemill(&["--help"]).code, 0);
}
