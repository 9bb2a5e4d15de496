//! Hints: how long state is kept, by a clock that the tests move.

use std::sync::Arc;

use tidemill_core::batch::RowKind;
use tidemill_runtime::OperatorFactory;

use crate::rows::{Domain, Value, ints};
use crate::subject::{Backend, Subject};

/// What an operator lets out for rows of two numbers that come, each to an input, at a second.
fn let_out(query: &str, name: &str, inputs: usize, rows: &[(i64, usize, [i64; 2])]) -> Vec<String> {
    let domain = || Domain::appended([ints(9), ints(9)]);
    let subject = Subject::new(query, name, (0..inputs).map(|_| domain()).collect::<Vec<_>>());
    let mut of_backends = [Backend::HashMap, Backend::RocksDb].map(|backend| {
        let mut script = subject.script(backend);
        for (second, input, row) in rows {
            let batch = domain().batch(&[(RowKind::Insert, row.map(Value::Int).to_vec())]);
            script = script.processing_time(second * 1_000);
            if let Some(batch) = subject.feed(*input, &batch) {
                script = script.batch(*input, batch);
            }
        }
        let factory: Arc<dyn OperatorFactory> = Arc::new(subject.operator());
        let out = script.run(&factory).unwrap();
        out.steps.into_iter().flatten().map(|(_, row)| row.text).collect::<Vec<String>>()
    });
    assert_eq!(of_backends[0], of_backends[1]);
    std::mem::take(&mut of_backends[0])
}

#[test]
fn each_side_of_a_join_is_kept_as_long_as_hints_say() {
    let rows = [(0, 0, [1, 1]), (5, 1, [1, 7]), (11, 1, [1, 8]), (12, 0, [1, 2]), (3_612, 0, [1, 3])];
    let join = |hint: &str| {
        let query = format!("SELECT {hint} l.v, u.v FROM t AS l JOIN u ON l.k = u.k");
        let_out(&query, "Join", 2, &rows).len()
    };
    // Of the left row of second 0 the right ones of seconds 5 and 11; of each later one both.
    assert_eq!(join(""), 6);
    // At second 11 the left row has gone; an hour later the right ones have.
    assert_eq!(join("/*+ STATE_TTL('l' = '10 s', 'u' = '1 h') */"), 3);
    assert_eq!(join("/*+ STATE_TTL('l' = '10 s') */"), 5);
    assert_eq!(join("/*+ STATE_TTL('l' = '0 s', 'u' = '1 h') */"), 4);
    let session = "SET 'table.exec.state.ttl' = '1 s'; ";
    let kept =
        format!("{session}SELECT /*+ STATE_TTL('u' = '0 s') */ l.v, u.v FROM t AS l JOIN u ON l.k = u.k");
    assert_eq!(let_out(&kept, "Join", 2, &rows).len(), 4);
}

#[test]
fn groups_are_kept_as_long_as_hints_say() {
    let rows = [(0, 0, [1, 1]), (9, 0, [1, 1]), (18, 0, [1, 1]), (29, 0, [1, 1])];
    let counted = |hint: &str| {
        let query = format!("SELECT {hint} k, SUM(v) AS n FROM t WHERE v > 0 GROUP BY k");
        let_out(&query.replace("WHERE v > 0 ", ""), "GroupAggregate", 1, &rows).pop().unwrap()
    };
    assert!(counted("").contains('4'), "{}", counted(""));
    // A row within ten seconds keeps the group.
    assert!(!counted("/*+ STATE_TTL('t' = '10 s') */").contains('4'));
    assert!(counted("/*+ STATE_TTL('t' = '12 s') */").contains('4'));
}
