//! Operators that look at one row at a time.

use crate::model::{Query, computes};
use crate::rows::{Domain, Row, Table, Value, arrays, each, ints, table, texts};
use crate::subject::Subject;

#[test]
fn union() {
    let domains = [Domain::updated([ints(2), ints(3)]), Domain::updated([ints(2), ints(3)])];
    let query = "SELECT id, k, v FROM t_updated UNION ALL SELECT id, k, v FROM u_updated";
    let subject = Subject::new(query, "Union", domains);
    computes(&subject, || {
        Query::new(2, |tables: &[Table]| table(each(&tables[0]).chain(each(&tables[1])).cloned()))
    });
}

#[test]
fn expand() {
    let domain = Domain::updated([ints(2), texts()]);
    let query = "SELECT k, s, COUNT(*) FROM t_updated GROUP BY GROUPING SETS ((k, s), (k), ())";
    let subject = Subject::new(query, "Expand", [domain]);
    computes(&subject, || {
        Query::new(1, |tables: &[Table]| {
            let rows = each(&tables[0]).flat_map(|row| {
                let (k, s, null) = (row[1].clone(), row[2].clone(), Value::Null);
                [
                    vec![k.clone(), s, Value::Int(0)],
                    vec![k, null.clone(), Value::Int(1)],
                    vec![null.clone(), null, Value::Int(2)],
                ]
            });
            table(rows)
        })
    });
}

#[test]
fn unnest() {
    for (join, is_left) in
        [("CROSS JOIN UNNEST(l) AS a (x)", false), ("LEFT JOIN UNNEST(l) AS a (x) ON TRUE", true)]
    {
        let domain = Domain::appended([ints(2), arrays()]);
        let subject = Subject::new(&format!("SELECT k, x FROM t {join}"), "Correlate", [domain]);
        computes(&subject, || {
            Query::new(1, move |tables: &[Table]| {
                let rows = each(&tables[0]).flat_map(|row| {
                    let elements: Vec<Value> = match &row[1] {
                        Value::List(values) => values.clone(),
                        _ => Vec::new(),
                    };
                    let alone = (is_left && elements.is_empty()).then(|| vec![row[0].clone(), Value::Null]);
                    let each = elements.into_iter().map(|element| vec![row[0].clone(), element]);
                    each.chain(alone).collect::<Vec<Row>>()
                });
                table(rows)
            })
        });
    }
}
