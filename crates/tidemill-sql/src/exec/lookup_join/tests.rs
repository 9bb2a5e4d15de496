//! Tables of files that change while they are joined.

use std::path::Path;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, Int64Array};
use arrow_schema::{DataType, Field, Schema};
use tidemill_connectors::{CsvOptions, FileFormat, FileSource};
use tidemill_runtime::Emission;
use tidemill_state::ManualClock;

use super::*;
use crate::exec::calc::CalcSpec;

fn longs(names: &[&str]) -> SchemaRef {
    let fields = names.iter().map(|name| Field::new(*name, DataType::Int64, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

struct Driven {
    operator: Box<dyn Operator>,
    context: OperatorContext,
    clock: ManualClock,
    out: Output,
}

impl Driven {
    fn new(file: &Path, reload: Option<Reload>) -> Self {
        let input = longs(&["k", "v"]);
        let csv = FileFormat::from(CsvOptions::new().field_names(["k", "v"]));
        let source = FileSource::new(file.display().to_string(), csv, Arc::clone(&input)).unwrap();
        let calc = CalcSpec { input: Arc::clone(&input), predicate: None, exprs: None };
        let spec = LookupJoinSpec {
            source: Arc::new(source),
            stages: ScanStages { input: Arc::clone(&input), watermark: None, calc },
            keys: [vec![0], vec![0]],
            null_safe: vec![false],
            right: input,
            pairs: PairSpec { is_left: true, condition: None, both: longs(&["k", "k0", "v"]) },
            reload,
        };
        let clock = ManualClock::at(0);
        let context = OperatorContext::detached(0, 1, 128, Arc::new(clock.clone()));
        let mut operator = spec.create(0).unwrap();
        operator.open(&context, None).unwrap();
        Self { operator, context, clock, out: Output::default() }
    }

    /// Waits until the table has been read.
    fn read(&mut self) -> Result<(), OperatorError> {
        while !self.context.waker.take() {
            std::thread::yield_now();
        }
        self.operator.woken(&mut self.out).map(|_| ())
    }

    fn found(&mut self, key: i64) -> Option<i64> {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![key]));
        let batch = ArrowBatch::inserts(RecordBatch::try_new(longs(&["k"]), vec![column]).unwrap());
        assert_eq!(self.operator.process(0, Batch::new(batch), &mut self.out).unwrap(), Progress::Done);
        let said = self.out.take_emissions();
        let [Emission::Batch(rows)] = &said[..] else { panic!("{said:?}") };
        let rows = &rows.downcast_ref::<ArrowBatch>().unwrap().records;
        let values = rows.column(2).as_primitive::<Int64Type>();
        values.is_valid(0).then(|| values.value(0))
    }
}

#[test]
fn a_table_is_read_again_and_changes_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.csv");
    std::fs::write(&file, "1,10\n2,20\n").unwrap();
    let every = Reload::Periodic { interval: Duration::from_millis(100), from_beginning: false };
    let mut driven = Driven::new(&file, Some(every));
    assert!(!driven.operator.has_room(), "nothing is known yet");
    driven.read().unwrap();
    assert!(driven.operator.has_room());
    assert_eq!((driven.found(1), driven.found(2), driven.found(3)), (Some(10), Some(20), None));
    std::fs::write(&file, "1,11\n3,31\n").unwrap();
    assert_eq!(driven.found(1), Some(10));
    assert_eq!(driven.operator.next_processing_time(), Some(100));
    driven.clock.set(100);
    driven.operator.processing_time(100, &mut driven.out).unwrap();
    driven.read().unwrap();
    assert_eq!((driven.found(1), driven.found(2), driven.found(3)), (Some(11), None, Some(31)));
    assert_eq!(driven.operator.next_processing_time(), Some(200));
    assert_eq!(driven.context.metrics.own_value("cache.loadCount"), Some(2));
    assert_eq!(driven.context.metrics.own_value("cache.numCachedRecords"), Some(2));
}

#[test]
fn a_table_that_cannot_be_read_again_fails_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.csv");
    std::fs::write(&file, "1,10\n").unwrap();
    let every = Reload::Periodic { interval: Duration::from_millis(100), from_beginning: true };
    let mut driven = Driven::new(&file, Some(every));
    driven.read().unwrap();
    std::fs::write(&file, "1,ten\n").unwrap();
    driven.operator.processing_time(100, &mut driven.out).unwrap();
    assert!(driven.read().is_err());
    assert_eq!(driven.context.metrics.own_value("cache.numLoadFailures"), Some(1));
}

#[test]
fn without_an_interval_it_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.csv");
    std::fs::write(&file, "1,10\n").unwrap();
    let mut driven = Driven::new(&file, None);
    driven.read().unwrap();
    assert_eq!((driven.found(1), driven.operator.next_processing_time()), (Some(10), None));
}
