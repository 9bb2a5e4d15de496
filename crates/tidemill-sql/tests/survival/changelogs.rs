//! Operators behind tables whose changes are by primary key, and before them.

use crate::model::{Query, survives};
use crate::rows::{Domain, Row, Table, Value, each, ints, table, texts};
use crate::subject::Subject;

#[test]
fn last_rows_of_keys() {
    for condition in ["", " WHERE v > 2"] {
        let domain = Domain::updated([ints(2), ints(5), texts()]);
        let query = format!("SELECT id, k, v, s FROM by_key{condition}");
        let subject = Subject::new(&query, "ChangelogNormalize", [domain]);
        survives(&subject, || {
            Query::new(1, |tables: &[Table]| {
                let is_left = |row: &&Row| condition.is_empty() || row[2].int().is_some_and(|v| v > 2);
                table(each(&tables[0]).filter(is_left).cloned())
            })
        });
    }
}

/// Of rows with the same primary key the last one comes out, however many there are.
#[test]
fn rows_before_a_sink() {
    let domain = Domain::updated([ints(3)]);
    let query = "INSERT INTO values_by_key SELECT COALESCE(v, -1) FROM t_updated ON CONFLICT DO DEDUPLICATE";
    let subject = Subject::new(query, "SinkMaterializer", [domain]);
    survives(&subject, || {
        Query::new(1, |tables: &[Table]| {
            let mut values: Vec<i64> = each(&tables[0]).map(|row| row[1].int().unwrap_or(-1)).collect();
            values.sort_unstable();
            values.dedup();
            table(values.into_iter().map(|value| vec![Value::Int(value)]))
        })
    });
}

#[test]
fn joins_by_upsert_key() {
    type Kind = (&'static str, bool, bool);
    const KINDS: [Kind; 4] = [
        ("JOIN", false, false),
        ("LEFT JOIN", true, false),
        ("RIGHT JOIN", false, true),
        ("FULL JOIN", true, true),
    ];
    for (join, keeps_left, keeps_right) in KINDS {
        let domain = || Domain::updated([ints(3)]);
        let query =
            format!("SELECT l.id, l.v, r.id, r.v FROM t_updated AS l {join} u_updated AS r ON l.id = r.id");
        let subject = Subject::new(&query, "Join", [domain(), domain()]);
        survives(&subject, || {
            Query::new(2, |tables: &[Table]| {
                let nothing = || vec![Value::Null; 2];
                let of = |table: &Table, id: &Value| each(table).find(|row| row[0] == *id).cloned();
                let mut rows = Vec::new();
                for left in each(&tables[0]) {
                    match of(&tables[1], &left[0]) {
                        Some(right) => rows.push([left.clone(), right].concat()),
                        None if keeps_left => rows.push([left.clone(), nothing()].concat()),
                        None => {}
                    }
                }
                let alone = each(&tables[1]).filter(|right| of(&tables[0], &right[0]).is_none());
                rows.extend(alone.filter(|_| keeps_right).map(|right| [nothing(), right.clone()].concat()));
                table(rows)
            })
        });
    }
}
