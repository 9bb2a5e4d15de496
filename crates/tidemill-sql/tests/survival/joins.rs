//! Joins of every kind.

use crate::model::{Query, survives};
use crate::rows::{Domain, Row, Table, Value, each, ints, some_ints, table};
use crate::subject::Subject;

#[derive(Clone, Copy)]
enum Kind {
    Inner,
    Left,
    Right,
    Full,
    Semi,
    Anti,
}

/// The columns of a row, with NULLs for a row that is not there.
fn columns(row: Option<&Row>) -> Row {
    row.map_or_else(|| vec![Value::Null; 3], Row::clone)
}

fn joined(kind: Kind, left: &Table, right: &Table, matches: impl Fn(&Row, &Row) -> bool) -> Table {
    let mut rows: Vec<Row> = Vec::new();
    for one in each(left) {
        let found: Vec<&Row> = each(right).filter(|other| matches(one, other)).collect();
        match kind {
            Kind::Semi | Kind::Anti if found.is_empty() == matches!(kind, Kind::Anti) => {
                rows.push(one.clone())
            }
            Kind::Semi | Kind::Anti => {}
            _ => {
                rows.extend(found.iter().map(|other| [columns(Some(one)), columns(Some(other))].concat()));
                if found.is_empty() && matches!(kind, Kind::Left | Kind::Full) {
                    rows.push([columns(Some(one)), columns(None)].concat());
                }
            }
        }
    }
    if matches!(kind, Kind::Right | Kind::Full) {
        let alone = each(right).filter(|other| !each(left).any(|one| matches(one, other)));
        rows.extend(alone.map(|other| [columns(None), columns(Some(other))].concat()));
    }
    table(rows)
}

/// A condition as SQL and as the model has it, over rows of `id`, `k` and `v`.
#[derive(Clone, Copy)]
struct On {
    text: &'static str,
    holds: fn(&Row, &Row) -> bool,
}

fn keys_are_equal(one: &Row, other: &Row) -> bool {
    one[1] == other[1] && one[1] != Value::Null
}

fn is_less(one: &Row, other: &Row) -> bool {
    one[2].int().zip(other[2].int()).is_some_and(|(one, other)| one < other)
}

const ON: [On; 3] = [
    On { text: "l.k = r.k", holds: keys_are_equal },
    On {
        text: "l.k = r.k AND l.v < r.v",
        holds: |one, other| keys_are_equal(one, other) && is_less(one, other),
    },
    On {
        text: "l.k IS NOT DISTINCT FROM r.k AND l.v < r.v",
        holds: |one, other| one[1] == other[1] && is_less(one, other),
    },
];

fn query(kind: Kind, on: On, tables: [&str; 2]) -> String {
    let [left, right] = tables;
    let join = match kind {
        Kind::Inner => "JOIN",
        Kind::Left => "LEFT JOIN",
        Kind::Right => "RIGHT JOIN",
        Kind::Full => "FULL JOIN",
        Kind::Semi | Kind::Anti => {
            let not = if matches!(kind, Kind::Anti) { "NOT " } else { "" };
            return format!(
                "SELECT * FROM (SELECT id, k, v FROM {left}) l WHERE {not}EXISTS \
                 (SELECT 1 FROM (SELECT id, k, v FROM {right}) r WHERE {})",
                on.text
            );
        }
    };
    format!("SELECT l.id, l.k, l.v, r.id, r.k, r.v FROM {left} l {join} {right} r ON {}", on.text)
}

/// Which columns of the right side a semi join reads.
fn reads_v(on: On) -> bool {
    on.text.contains("r.v")
}

fn check(kind: Kind) {
    let sides = [
        ("t", "u", Domain::appended([some_ints(3), ints(2), ints(4)])),
        ("t_updated", "u_updated", Domain::updated([ints(2), ints(4)])),
    ];
    let is_semi = matches!(kind, Kind::Semi | Kind::Anti);
    // Sides that stay, those that change, and one of each.
    for (left, right) in [(0, 0), (1, 1), (0, 1), (1, 0)] {
        // Each condition with sides that change, and the plainest with the others.
        for on in ON.into_iter().take(if (left, right) == (1, 1) { 3 } else { 1 }) {
            let of_right = match (is_semi, right) {
                // The sides of a semi join have the columns that matter.
                (true, 0) if reads_v(on) => Domain::appended([ints(2), ints(4)]),
                (true, 0) => Domain::appended([ints(2)]),
                (true, _) if !reads_v(on) => Domain::updated([ints(2)]),
                _ => sides[right].2.clone(),
            };
            let width = of_right.columns.len();
            let text = query(kind, on, [sides[left].0, sides[right].1]);
            let subject = Subject::new(&text, "Join", [sides[left].2.clone(), of_right]);
            survives(&subject, || {
                Query::new(2, move |tables: &[Table]| {
                    // The model's rows have all columns.
                    let whole = |row: &Row| match (width, right) {
                        (3, _) => row.clone(),
                        (2, 0) => [vec![Value::Null], row.clone()].concat(),
                        (2, _) => [row.clone(), vec![Value::Null]].concat(),
                        _ => vec![Value::Null, row[0].clone(), Value::Null],
                    };
                    let right = table(each(&tables[1]).map(whole));
                    joined(kind, &tables[0], &right, on.holds)
                })
            });
        }
    }
}

#[test]
fn inner() {
    check(Kind::Inner);
}

#[test]
fn left() {
    check(Kind::Left);
}

#[test]
fn right() {
    check(Kind::Right);
}

#[test]
fn full() {
    check(Kind::Full);
}

#[test]
fn semi() {
    check(Kind::Semi);
}

#[test]
fn anti() {
    check(Kind::Anti);
}
