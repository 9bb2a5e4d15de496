//! Files as a sink, exactly once: what is visible when, and what is left after failures.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use proptest::prelude::*;
use tempfile::TempDir;
use tidemill_connectors::{CsvOutput, FileSink, Partitions, RollingPolicy};
use tidemill_core::{ArrowBatch, Batch, OperatorId};
use tidemill_runtime::OperatorFactory;
use tidemill_state::{SubtaskSnapshot, redistribute};

use crate::harness::{SinkDriver, failure};

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("name", DataType::Utf8, true)]))
}

fn batch<S: AsRef<str>>(names: &[S]) -> Batch {
    let column: ArrayRef = Arc::new(StringArray::from_iter_values(names.iter().map(AsRef::as_ref)));
    Batch::new(ArrowBatch::inserts(RecordBatch::try_new(schema(), vec![column]).unwrap()))
}

/// A sink whose parts end at so many bytes.
fn folder_sink(folder: &Path, file_bytes: u64) -> FileSink {
    let policy = RollingPolicy {
        file_bytes,
        rollover_interval: Duration::from_millis(100),
        inactivity_interval: Duration::from_millis(100),
    };
    FileSink::folder(folder, CsvOutput::new(), schema()).unwrap().rolling_policy(policy)
}

fn with_checkpoints(sink: &FileSink, subtask: u32, parallelism: u32) -> SinkDriver {
    let mut driver = SinkDriver::new(sink.create(subtask).unwrap(), subtask, parallelism);
    driver.context.checkpoints = true;
    driver
}

fn opened(sink: &FileSink, restored: Option<SubtaskSnapshot>) -> SinkDriver {
    let mut driver = with_checkpoints(sink, 0, 1);
    driver.open(restored).unwrap();
    driver
}

/// The files in and below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

/// The names in and below a folder, hidden ones first, with `RUN` for the run that they carry.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        files(folder).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    for name in &mut names {
        let run = name.split('-').find(|piece| piece.len() == 16).map(str::to_owned);
        if let Some(run) = run {
            *name = name.replace(&run, "RUN");
        }
    }
    names.sort();
    names
}

/// The visible files and what is in them; the names without the run.
fn visible(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = files(folder)
        .iter()
        .map(|path| (path, path.file_name().unwrap().to_str().unwrap()))
        .filter(|(_, name)| !name.starts_with('.'))
        .map(|(path, name)| {
            let short = match name.split('-').collect::<Vec<_>>()[..] {
                [part, _, subtask, number] => format!("{part}-{subtask}-{number}"),
                _ => name.to_owned(),
            };
            (short, fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn visible_rows(folder: &Path) -> Vec<String> {
    let mut rows: Vec<String> = visible(folder)
        .iter()
        .flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    rows.sort();
    rows
}

fn hidden(folder: &Path) -> Vec<String> {
    names(folder).into_iter().filter(|name| name.starts_with('.')).collect()
}

#[test]
fn parts_show_with_their_checkpoint() {
    let dir = TempDir::new().unwrap();
    let mut sink = opened(&folder_sink(dir.path(), 6), None);
    sink.write(batch(&["ab", "cd", "ef"])).unwrap();
    assert_eq!(
        names(dir.path()),
        [".part-RUN-0-0.csv.inprogress", ".part-RUN-0-1.csv.inprogress", ".part-RUN-0.lock"]
    );
    sink.sink.checkpoint_complete(1).unwrap();
    assert!(visible(dir.path()).is_empty(), "a checkpoint before them is none of theirs");
    sink.snapshot(2);
    sink.write(batch(&["gh"])).unwrap();
    sink.snapshot(3);
    sink.sink.checkpoint_complete(2).unwrap();
    let first =
        [("part-0-0.csv".to_owned(), "ab\ncd\n".to_owned()), ("part-0-1.csv".to_owned(), "ef\n".to_owned())];
    assert_eq!(visible(dir.path()), first);
    sink.sink.checkpoint_aborted(3).unwrap();
    assert_eq!(visible(dir.path()), first);
    // By time, too, a part ends without being visible.
    sink.write(batch(&["ij"])).unwrap();
    sink.advance(100).unwrap();
    sink.write(batch(&["kl"])).unwrap();
    sink.end().unwrap();
    assert_eq!(visible(dir.path()), first, "the end waits for the last checkpoint");
    sink.snapshot(4);
    sink.sink.checkpoint_complete(4).unwrap();
    assert_eq!(
        visible(dir.path())[2..],
        [("gh", 2), ("ij", 3), ("kl", 4)]
            .map(|(row, number)| (format!("part-0-{number}.csv"), format!("{row}\n")))
    );
    sink.sink.checkpoint_complete(4).unwrap();
    sink.sink.close();
    assert!(hidden(dir.path()).is_empty(), "{:?}", names(dir.path()));
}

#[test]
fn a_checkpoint_without_rows_makes_no_part() {
    let dir = TempDir::new().unwrap();
    let mut sink = opened(&folder_sink(dir.path(), 6), None);
    sink.snapshot(1);
    sink.snapshot(2);
    sink.sink.checkpoint_complete(2).unwrap();
    assert_eq!(names(dir.path()), [".part-RUN-0.lock"]);
}

#[test]
fn a_restart_goes_on_where_the_checkpoint_was() {
    let dir = TempDir::new().unwrap();
    let sink = folder_sink(dir.path(), 1000);
    let mut first = opened(&sink, None);
    first.write(batch(&["a"])).unwrap();
    let complete = first.snapshot(1);
    first.write(batch(&["b"])).unwrap();
    first.snapshot(2);
    first.write(batch(&["c"])).unwrap();
    // Nobody has told the sink that checkpoint 1 is complete.
    first.sink.close();
    assert_eq!(names(dir.path()), [".part-RUN-0-0.csv.inprogress", ".part-RUN-0-1.csv.inprogress"]);
    let mut second = opened(&sink, Some(complete.clone()));
    assert_eq!(visible(dir.path()), [("part-0-0.csv".to_owned(), "a\n".to_owned())]);
    assert_eq!(hidden(dir.path()), [".part-RUN-0.lock"]);
    second.write(batch(&["b", "c"])).unwrap();
    second.snapshot(3);
    // It dies between the renaming of the first and what would have come then.
    drop(second);
    let mut third = opened(&sink, Some(complete));
    assert_eq!(visible_rows(dir.path()), ["a"]);
    third.write(batch(&["b", "c"])).unwrap();
    third.end().unwrap();
    third.snapshot(4);
    third.sink.checkpoint_complete(4).unwrap();
    third.sink.close();
    assert_eq!(
        visible(dir.path()),
        [("part-0-0.csv".to_owned(), "a\n".to_owned()), ("part-0-1.csv".to_owned(), "b\nc\n".to_owned())]
    );
    assert!(hidden(dir.path()).is_empty());
}

#[test]
fn a_crash_between_two_renames_is_made_good() {
    let dir = TempDir::new().unwrap();
    let sink = folder_sink(dir.path(), 2);
    let mut first = opened(&sink, None);
    first.write(batch(&["a", "b", "c"])).unwrap();
    let snapshot = first.snapshot(1);
    drop(first);
    let one = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_str().unwrap().ends_with("-0-1.csv.inprogress"))
        .unwrap();
    let name = one.file_name().unwrap().to_str().unwrap();
    let shown = name.trim_start_matches('.').trim_end_matches(".inprogress");
    fs::rename(&one, dir.path().join(shown)).unwrap();
    // In another process.
    let mut second = opened(&folder_sink(dir.path(), 2), Some(snapshot));
    assert_eq!(visible_rows(dir.path()), ["a", "b", "c"]);
    second.write(batch(&["d"])).unwrap();
    second.end().unwrap();
    second.snapshot(2);
    second.sink.checkpoint_complete(2).unwrap();
    second.sink.close();
    assert_eq!(visible_rows(dir.path()), ["a", "b", "c", "d"]);
    assert!(hidden(dir.path()).is_empty());
}

#[test]
fn a_pending_part_that_is_lost_or_damaged_is_named() {
    let dir = TempDir::new().unwrap();
    let sink = folder_sink(dir.path(), 1000);
    let mut first = opened(&sink, None);
    first.write(batch(&["abc"])).unwrap();
    let snapshot = first.snapshot(1);
    drop(first);
    let part = |hidden: bool| {
        let mut paths = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        paths.find(|path| path.to_str().unwrap().ends_with(if hidden { ".inprogress" } else { "-0-0.csv" }))
    };
    let path = part(true).unwrap();
    fs::write(&path, "ab").unwrap();
    let mut second = with_checkpoints(&sink, 0, 1);
    let error = failure(second.open(Some(snapshot.clone())));
    second.sink.close();
    assert!(error.contains("4 bytes of it were written to '"), "{error}");
    assert!(error.contains("but that has 2: start from another checkpoint"), "{error}");
    fs::remove_file(&path).unwrap();
    let mut second = with_checkpoints(&sink, 0, 1);
    let failed = second.open(Some(snapshot.clone())).err().unwrap();
    second.sink.close();
    let shown = path.file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned();
    let shown = dir.path().join(shown.trim_end_matches(".inprogress"));
    assert_eq!(failed.code(), "TM-CONNECTOR-PART-LOST");
    assert_eq!(
        failed.to_string(),
        format!(
            "the part '{}', which is in the checkpoint, cannot be made visible: neither it nor '{}' is there with its 4 bytes: \
             put it back or start from another checkpoint; if it was taken away on purpose after it had become visible, put any \
             file with its name there for the start",
            shown.display(),
            path.display()
        )
    );
    // As it says.
    fs::write(&shown, "").unwrap();
    let mut third = with_checkpoints(&sink, 0, 1);
    third.open(Some(snapshot)).unwrap();
    assert_eq!(part(false), Some(shown));
}

#[test]
fn what_a_failed_attempt_left_is_removed_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let (sink, other) = (folder_sink(dir.path(), 4), folder_sink(dir.path(), 4));
    let mut lives = opened(&other, None);
    lives.write(batch(&["x1", "x2", "x3"])).unwrap();
    let mut dead = opened(&folder_sink(dir.path(), 4), None);
    dead.write(batch(&["y1", "y2", "y3"])).unwrap();
    let of_dead = dead.snapshot(7);
    drop(dead);
    for name in [".part-0-3.csv.inprogress", "part-0-3.csv", ".part-0123456789abcdef-0-1.csv.inprogress"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let before = names(dir.path());
    // No checkpoint is complete, and no orderly end.
    let mut first = opened(&sink, None);
    first.write(batch(&["a", "b", "c"])).unwrap();
    first.snapshot(1);
    drop(first);
    assert_eq!(names(dir.path()).len(), before.len() + 3);
    let mut second = opened(&sink, None);
    assert_eq!(names(dir.path()).len(), before.len() + 1, "{:?}", names(dir.path()));
    second.write(batch(&["a", "b", "c"])).unwrap();
    let snapshot = second.snapshot(1);
    second.sink.checkpoint_complete(1).unwrap();
    second.write(batch(&["d"])).unwrap();
    drop(second);
    // A process that knows nothing of the first but its checkpoint.
    let third = opened(&folder_sink(dir.path(), 4), Some(snapshot));
    assert_eq!(visible_rows(dir.path()), ["a", "b", "c"]);
    drop(third);
    let revived = opened(&folder_sink(dir.path(), 4), Some(of_dead));
    lives.snapshot(1);
    lives.sink.checkpoint_complete(1).unwrap();
    assert_eq!(visible_rows(dir.path()), ["a", "b", "c", "x1", "x2", "x3", "y1", "y2", "y3"]);
    drop(revived);
}

#[test]
fn a_job_from_a_savepoint_of_a_running_one_leaves_it_its_parts() {
    let dir = TempDir::new().unwrap();
    let sink = folder_sink(dir.path(), 1000);
    let mut running = opened(&sink, None);
    running.write(batch(&["a"])).unwrap();
    let savepoint = running.snapshot(1);
    running.write(batch(&["b"])).unwrap();
    running.snapshot(2);
    running.write(batch(&["c"])).unwrap();
    // In another process, and with the very sink, as by the same program.
    for sink in [&folder_sink(dir.path(), 1000), &sink] {
        let mut forked = opened(sink, Some(savepoint.clone()));
        assert_eq!(visible_rows(dir.path()), ["a"]);
        forked.write(batch(&["z"])).unwrap();
        forked.snapshot(2);
        forked.sink.close();
    }
    running.sink.checkpoint_complete(2).unwrap();
    assert_eq!(visible_rows(dir.path()), ["a", "b"]);
    running.end().unwrap();
    running.snapshot(3);
    running.sink.checkpoint_complete(3).unwrap();
    assert_eq!(visible_rows(dir.path()), ["a", "b", "c"]);
}

#[test]
fn two_sinks_of_one_program_do_not_meet() {
    let dir = TempDir::new().unwrap();
    let sink = folder_sink(dir.path(), 1000);
    let of = |operator: &str, job: &str| {
        let mut driver = with_checkpoints(&sink, 0, 1);
        driver.context.operator_id = OperatorId::from_name(operator);
        driver.context.job_name = job.into();
        driver.open(None).unwrap();
        driver
    };
    let mut sinks = [of("one", "job"), of("two", "job"), of("one", "other")];
    for (sink, row) in sinks.iter_mut().zip(["a", "b", "c"]) {
        sink.write(batch(&[row])).unwrap();
    }
    for sink in &mut sinks {
        sink.end().unwrap();
        sink.snapshot(1);
        sink.sink.checkpoint_complete(1).unwrap();
        sink.sink.close();
    }
    assert_eq!(visible_rows(dir.path()), ["a", "b", "c"]);
}

#[test]
fn numbers_are_not_used_twice() {
    let dir = TempDir::new().unwrap();
    let sink = folder_sink(dir.path(), 1000);
    let mut first = opened(&sink, None);
    first.write(batch(&["a"])).unwrap();
    let snapshot = first.snapshot(1);
    first.sink.checkpoint_complete(1).unwrap();
    first.write(batch(&["b"])).unwrap();
    first.snapshot(2);
    first.sink.checkpoint_complete(2).unwrap();
    first.sink.close();
    // From a checkpoint that is not the last: what was visible stays so, as nobody can take it back.
    let mut second = opened(&sink, Some(snapshot));
    second.write(batch(&["b"])).unwrap();
    second.end().unwrap();
    second.snapshot(3);
    second.sink.checkpoint_complete(3).unwrap();
    assert_eq!(visible_rows(dir.path()), ["a", "b", "b"]);
}

#[test]
fn other_subtasks_commit_what_was_pending() {
    for (before, after) in [(3u32, 2u32), (1, 4), (4, 1), (2, 3)] {
        let dir = TempDir::new().unwrap();
        let sink = folder_sink(dir.path(), 4);
        let mut drivers: Vec<SinkDriver> =
            (0..before).map(|subtask| with_checkpoints(&sink, subtask, before)).collect();
        for (subtask, driver) in drivers.iter_mut().enumerate() {
            driver.open(None).unwrap();
            driver.write(batch(&[format!("{subtask}a"), format!("{subtask}b")])).unwrap();
        }
        let snapshots = drivers.iter_mut().map(|driver| driver.snapshot(1)).collect();
        for driver in &mut drivers {
            driver.write(batch(&["lost", "lost"])).unwrap();
        }
        drop(drivers);
        let dealt = redistribute(snapshots, 128, after).unwrap();
        let sink = folder_sink(dir.path(), 4);
        let mut seen = 0;
        for (subtask, snapshot) in dealt.into_iter().enumerate() {
            let mut driver = with_checkpoints(&sink, subtask as u32, after);
            driver.open(Some(snapshot)).unwrap();
            let shown = visible_rows(dir.path()).len();
            let own = (0..before).filter(|old| old % after == subtask as u32).count() * 2;
            assert_eq!(shown - seen, own, "from {before} to {after}, subtask {subtask}");
            seen = shown;
            driver.sink.close();
        }
        let mut expected: Vec<String> =
            (0..before).flat_map(|old| [format!("{old}a"), format!("{old}b")]).collect();
        expected.sort();
        assert_eq!(visible_rows(dir.path()), expected);
        assert!(hidden(dir.path()).is_empty(), "{:?}", names(dir.path()));
    }
}

#[test]
fn a_single_file_shows_after_the_last_checkpoint() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("out.csv");
    let sink = FileSink::single_file(&path, CsvOutput::new().header(true), schema()).unwrap();
    let mut first = opened(&sink, None);
    first.write(batch(&["a"])).unwrap();
    let one = first.snapshot(1);
    first.sink.checkpoint_complete(1).unwrap();
    first.write(batch(&["b"])).unwrap();
    first.end().unwrap();
    first.snapshot(2);
    // Checkpoint 2 is never complete. Twice it goes on from checkpoint 1, and the first time nothing comes of it.
    first.sink.close();
    let mut second = opened(&sink, Some(one.clone()));
    assert_eq!(
        failure(with_checkpoints(&sink, 0, 1).open(None)).matches("another job is writing it").count(),
        1
    );
    second.write(batch(&["lost"])).unwrap();
    second.sink.close();
    let mut third = opened(&sink, Some(one.clone()));
    third.write(batch(&["b"])).unwrap();
    third.end().unwrap();
    assert!(!path.exists());
    let two = third.snapshot(2);
    drop(third);
    for _ in 0..2 {
        // It has finished; it is asked for nothing but what is pending.
        let mut last = opened(&sink, Some(two.clone()));
        assert_eq!(fs::read_to_string(&path).unwrap(), "name\na\nb\n");
        last.end().unwrap();
        last.snapshot(3);
        last.sink.checkpoint_complete(3).unwrap();
        last.sink.close();
    }
    assert_eq!(names(dir.path()), ["out.csv"]);
    fs::write(&path, "another run's").unwrap();
    let error = failure(with_checkpoints(&sink, 0, 1).open(Some(two)));
    assert!(error.contains("put it back or start from another checkpoint"), "{error}");
}

#[test]
fn checkpoints_can_be_switched_on_and_off() {
    let dir = TempDir::new().unwrap();
    let without = |restored| {
        let sink = folder_sink(dir.path(), 1000);
        let mut driver = SinkDriver::new(sink.create(0).unwrap(), 0, 1);
        driver.open(restored).unwrap();
        driver
    };
    let mut first = without(None);
    first.write(batch(&["a"])).unwrap();
    // A savepoint of a job without checkpoints: what it holds is visible whatever becomes of it.
    let savepoint = first.snapshot(1);
    assert_eq!(visible_rows(dir.path()), ["a"]);
    first.write(batch(&["b"])).unwrap();
    first.finish().unwrap();
    assert_eq!(visible_rows(dir.path()), ["a", "b"]);
    let mut second = opened(&folder_sink(dir.path(), 1000), Some(savepoint));
    assert_eq!(visible_rows(dir.path()), ["a"], "b comes again");
    second.write(batch(&["b"])).unwrap();
    let checkpoint = second.snapshot(2);
    second.write(batch(&["lost"])).unwrap();
    drop(second);
    let mut third = without(Some(checkpoint));
    assert_eq!(visible_rows(dir.path()), ["a", "b"]);
    third.write(batch(&["c"])).unwrap();
    third.finish().unwrap();
    assert_eq!(visible_rows(dir.path()), ["a", "b", "c"]);
    assert_eq!(names(dir.path()), ["part-0-0.csv", "part-0-1.csv", "part-RUN-0-0.csv"]);
}

#[test]
fn failures_do_not_change_the_output() {
    let rows: Vec<String> = (0..40).map(|row| format!("row {row}")).collect();
    let run = |failures: bool| {
        let dir = TempDir::new().unwrap();
        let sink = folder_sink(dir.path(), 30);
        let mut driver = opened(&sink, None);
        for (index, chunk) in rows.chunks(10).enumerate() {
            driver.write(batch(chunk)).unwrap();
            let snapshot = driver.snapshot(index as u64 + 1);
            if failures {
                driver.write(batch(&["comes again", "comes again too", "and this"])).unwrap();
                if index % 2 == 0 {
                    driver.sink.close();
                }
                drop(driver);
                driver = opened(&sink, Some(snapshot));
            } else {
                driver.sink.checkpoint_complete(index as u64 + 1).unwrap();
            }
        }
        driver.sink.close();
        assert!(hidden(dir.path()).is_empty());
        visible(dir.path())
    };
    let golden = run(false);
    assert_eq!(golden.len(), 8);
    assert_eq!(golden[0], ("part-0-0.csv".to_owned(), "row 0\nrow 1\nrow 2\nrow 3\nrow 4\n".to_owned()));
    assert_eq!(run(true), golden);
}

/// What happens to a job.
#[derive(Clone, Debug)]
enum Step {
    /// So many rows for this subtask, modulo the parallelism.
    Write(u32, usize),
    Time(i64),
    /// A checkpoint begins.
    Snapshot,
    /// The oldest one under way is complete, and so many subtasks are told.
    Complete(usize),
    Abort,
    /// The job goes on from the last complete checkpoint.
    Restart {
        orderly: bool,
        same_process: bool,
        parallelism: u32,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u32..4, 1usize..5).prop_map(|(subtask, rows)| Step::Write(subtask, rows)),
        1 => (20i64..150).prop_map(Step::Time),
        3 => Just(Step::Snapshot),
        3 => prop_oneof![Just(9usize), 0usize..4].prop_map(Step::Complete),
        1 => Just(Step::Abort),
        2 => (any::<bool>(), any::<bool>(), 1u32..4)
            .prop_map(|(orderly, same_process, parallelism)| Step::Restart { orderly, same_process, parallelism }),
    ];
    prop::collection::vec(step, 1..40)
}

/// What kind of sink a job has.
#[derive(Clone, Copy)]
struct Shape {
    sink: fn(&Path) -> FileSink,
    rows: fn(&[String]) -> Batch,
}

const PLAIN: Shape = Shape { sink: |folder| folder_sink(folder, 12), rows: |names| batch(names) };

/// Rows in partitions by their last digit, which is not in the files.
const PARTITIONED: Shape = Shape {
    sink: |folder| {
        let fields = ["name", "digit"].map(|name| Field::new(name, DataType::Utf8, true));
        let (schema, by) = (Arc::new(Schema::new(fields.to_vec())), Partitions::by(["digit"]));
        let policy = RollingPolicy { file_bytes: 12, ..RollingPolicy::default() };
        FileSink::partitioned(folder, CsvOutput::new(), schema, by).unwrap().rolling_policy(policy)
    },
    rows: |names| {
        let digits =
            names.iter().map(|name| if name.ends_with(['0', '1', '2']) { "a/b" } else { &name[2..] });
        let digits: ArrayRef = Arc::new(StringArray::from_iter_values(digits));
        let names: ArrayRef = Arc::new(StringArray::from_iter_values(names));
        let rows = RecordBatch::try_from_iter_with_nullable([("name", names, true), ("digit", digits, true)]);
        Batch::new(ArrowBatch::inserts(rows.unwrap()))
    },
};

/// A job of a source that counts and a file sink, with its coordinator.
struct Job<'a> {
    folder: &'a Path,
    shape: Shape,
    sink: FileSink,
    drivers: Vec<SinkDriver>,
    now: i64,
    position: usize,
    next_checkpoint: u64,
    /// Those under way: where the source was, and what the sinks stored.
    under_way: BTreeMap<u64, (usize, Vec<SubtaskSnapshot>)>,
    complete: Option<(usize, Vec<SubtaskSnapshot>)>,
    /// Whether this process has a complete checkpoint of its own.
    is_known: bool,
    /// Whether a process was killed before it had one.
    may_leave: bool,
}

impl<'a> Job<'a> {
    fn start(folder: &'a Path, shape: Shape, parallelism: u32) -> Self {
        let mut job = Self {
            folder,
            shape,
            sink: (shape.sink)(folder),
            drivers: Vec::new(),
            now: 0,
            position: 0,
            next_checkpoint: 1,
            under_way: BTreeMap::new(),
            complete: None,
            is_known: false,
            may_leave: false,
        };
        job.deploy(parallelism);
        job
    }

    fn deploy(&mut self, parallelism: u32) {
        let snapshots = match &self.complete {
            Some((position, snapshots)) => {
                self.position = *position;
                let dealt = redistribute(snapshots.clone(), 128, parallelism).unwrap();
                dealt.into_iter().map(Some).collect()
            }
            None => {
                self.position = 0;
                vec![None; parallelism as usize]
            }
        };
        for (subtask, snapshot) in snapshots.into_iter().enumerate() {
            let mut driver = with_checkpoints(&self.sink, subtask as u32, parallelism);
            driver.clock.set(self.now);
            driver.open(snapshot).unwrap();
            self.drivers.push(driver);
        }
    }

    fn snapshot(&mut self) -> u64 {
        let id = self.next_checkpoint;
        self.next_checkpoint += 1;
        let snapshots = self.drivers.iter_mut().map(|driver| driver.snapshot(id)).collect();
        self.under_way.insert(id, (self.position, snapshots));
        id
    }

    fn complete(&mut self, told: usize) {
        if let Some((id, checkpoint)) = self.under_way.pop_first() {
            self.complete = Some(checkpoint);
            self.is_known = true;
            for driver in self.drivers.iter_mut().take(told) {
                driver.sink.checkpoint_complete(id).unwrap();
            }
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Write(subtask, rows) => {
                let rows: Vec<String> = (0..rows).map(|row| format!("{:03}", self.position + row)).collect();
                self.position += rows.len();
                let to = subtask as usize % self.drivers.len();
                self.drivers[to].write((self.shape.rows)(&rows)).unwrap();
            }
            Step::Time(millis) => {
                self.now += millis;
                let now = self.now;
                self.drivers.iter_mut().for_each(|driver| driver.advance(now).unwrap());
            }
            Step::Snapshot => {
                self.snapshot();
            }
            Step::Complete(told) => self.complete(told),
            Step::Abort => {
                if let Some((id, _)) = self.under_way.pop_first() {
                    self.drivers.iter_mut().for_each(|driver| driver.sink.checkpoint_aborted(id).unwrap());
                }
            }
            Step::Restart { orderly, same_process, parallelism } => {
                if orderly {
                    self.drivers.iter_mut().for_each(|driver| driver.sink.close());
                }
                self.drivers.clear();
                self.under_way.clear();
                if !same_process {
                    self.sink = (self.shape.sink)(self.folder);
                    self.may_leave |= !self.is_known;
                    self.is_known = false;
                }
                self.deploy(parallelism);
            }
        }
    }

    /// All rows up to where the source was in the last complete checkpoint may be visible, and no other.
    fn check(&self) {
        let allowed = self.complete.as_ref().map_or(0, |(position, _)| *position);
        let rows = visible_rows(self.folder);
        assert!(rows.windows(2).all(|pair| pair[0] < pair[1]), "some are visible twice: {rows:?}");
        assert!(rows.last().is_none_or(|row| row.parse::<usize>().unwrap() < allowed), "too early: {rows:?}");
    }

    fn end(mut self) {
        self.drivers.iter_mut().for_each(|driver| driver.end().unwrap());
        let last = self.snapshot();
        while self.under_way.contains_key(&last) {
            self.complete(usize::MAX);
        }
        self.drivers.iter_mut().for_each(|driver| driver.sink.close());
        let expected: Vec<String> = (0..self.position).map(|row| format!("{row:03}")).collect();
        assert_eq!(visible_rows(self.folder), expected);
        assert!(self.may_leave || hidden(self.folder).is_empty(), "{:?}", names(self.folder));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    /// Whatever fails when: each row is visible once, and none before the checkpoint that holds it is complete.
    #[test]
    fn rows_are_visible_exactly_once(steps in steps(), partitioned: bool, parallelism in 1u32..4) {
        let dir = TempDir::new().unwrap();
        let shape = if partitioned { PARTITIONED } else { PLAIN };
        let mut job = Job::start(dir.path(), shape, parallelism);
        for step in &steps {
            job.apply(step);
            job.check();
        }
        job.end();
    }
}
