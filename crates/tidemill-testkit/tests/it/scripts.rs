use tidemill_core::time::Timestamp;
use tidemill_runtime::operator::stateful;
use tidemill_testkit::{Order, Script, assert_same_with_snapshots, stamped};

use crate::operators::{Copier, Record, key_hash};

fn script() -> Script {
    let mut script = Script::new()
        .keyed_input::<Record>(0, key_hash)
        .output::<Record>()
        .side::<Record>("greetings")
        .order(Order::EachStep);
    for round in 0..12i64 {
        let records = (0..20i64).map(|i| (((i * 7 + round) as u32 % 9, i % 4), round * 20 + i - 15));
        script = script.records(0, stamped(records)).watermark(round * 20 - 5).processing_time(round * 15);
        if round % 5 == 4 {
            script = script.idle(true).idle(false);
        }
    }
    script.end()
}

#[test]
fn a_right_operator_gives_the_same_however_often_it_is_interrupted() {
    let output = assert_same_with_snapshots(stateful(|| Copier::new(false)), &script());
    let records: usize = output.steps.iter().map(Vec::len).sum();
    assert!(records > 300, "{records}");
    assert_eq!(output.reached.last(), Some(&Timestamp::MAX));
    let late = output.steps.iter().flatten().filter(|(side, _)| side.is_some()).count();
    assert!(late > 20, "timers in processing time have fired: {late}");
}

#[test]
#[should_panic(expected = "lets out other records")]
fn progress_that_no_snapshot_sees_is_found() {
    assert_same_with_snapshots(stateful(|| Copier::new(true)), &script());
}

#[test]
#[should_panic(expected = "declares no side output 'greetings'")]
fn undeclared_side_outputs_are_told() {
    let script = Script::new()
        .keyed_input::<Record>(0, key_hash)
        .output::<Record>()
        .records(0, stamped::<Record>([((1, 0), 10)]))
        .processing_time(100);
    assert_same_with_snapshots(stateful(|| Copier::new(false)), &script);
}
