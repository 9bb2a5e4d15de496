//! Rows, the tables that they are in, and how tables are changed at random.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int64Array, ListArray, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow_schema::DataType;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tidemill_core::batch::{ArrowBatch, RowKind};

/// A value of a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// Of times, milliseconds.
    Int(i64),
    Text(String),
    List(Vec<Value>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("NULL"),
            Value::Bool(value) => value.fmt(f),
            Value::Int(value) => value.fmt(f),
            Value::Text(value) => write!(f, "'{value}'"),
            Value::List(values) => {
                let values: Vec<String> = values.iter().map(Value::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
        }
    }
}

impl Value {
    /// The number that it is, if it is one.
    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn text(value: &str) -> Self {
        Value::Text(value.to_owned())
    }

    /// A number with fractions, to six digits: what is summed in another order is the same then.
    pub(crate) fn double(value: f64) -> Self {
        let text = format!("{value:.6}");
        Value::Text(if text == "-0.000000" { "0.000000".to_owned() } else { text })
    }
}

pub(crate) type Row = Vec<Value>;

/// Rows with how often each is there.
pub(crate) type Table = BTreeMap<Row, i64>;

/// The rows of a table, each as often as it is there.
pub(crate) fn each(table: &Table) -> impl Iterator<Item = &Row> {
    table.iter().flat_map(|(row, count)| (0..*count).map(move |_| row))
}

/// The table of some rows.
pub(crate) fn table(rows: impl IntoIterator<Item = Row>) -> Table {
    let mut table = Table::new();
    rows.into_iter().for_each(|row| *table.entry(row).or_default() += 1);
    table
}

pub(crate) fn shown(row: &Row) -> String {
    let values: Vec<String> = row.iter().map(Value::to_string).collect();
    values.join(", ")
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Type {
    BigInt,
    String,
    Timestamp,
    Boolean,
    Array,
}

/// What a column is made of.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) kind: Type,
    /// What stands in it.
    pub(crate) values: Vec<Value>,
}

/// What the rows of an input are made of.
#[derive(Clone, Debug)]
pub(crate) struct Domain {
    pub(crate) columns: Vec<Column>,
    /// Whether rows are updated and taken away.
    pub(crate) retracting: bool,
    /// The column that is time, of rows that are only added: near what has been reached, a little behind it too.
    pub(crate) time: Option<usize>,
    /// The column that no two rows have the same value of, and that stays when a row is updated.
    pub(crate) id: Option<usize>,
    /// Whether watermarks come though no column is time: the marks at which bundles end.
    pub(crate) marked: bool,
}

fn column(kind: Type, values: Vec<Value>) -> Column {
    Column { kind, values }
}

/// The numbers up to `most`, and NULL.
pub(crate) fn ints(most: i64) -> Column {
    column(Type::BigInt, (0..=most).map(Value::Int).chain([Value::Null]).collect())
}

/// The numbers up to `most`, and no NULL.
pub(crate) fn some_ints(most: i64) -> Column {
    column(Type::BigInt, (0..=most).map(Value::Int).collect())
}

/// A few texts, and NULL.
pub(crate) fn texts() -> Column {
    let texts = ["", "a", "b", "a long text that no small vector holds"].map(Value::text);
    column(Type::String, texts.into_iter().chain([Value::Null]).collect())
}

pub(crate) fn booleans() -> Column {
    column(Type::Boolean, vec![Value::Bool(true), Value::Bool(false), Value::Null])
}

/// The time of a row, which is filled in from the input's event time.
pub(crate) fn times() -> Column {
    column(Type::Timestamp, vec![Value::Null])
}

/// A few arrays, and NULL.
pub(crate) fn arrays() -> Column {
    let int = Value::Int;
    let arrays = [vec![], vec![int(1)], vec![int(1), Value::Null, int(2)], vec![int(3), int(3)]];
    column(Type::Array, arrays.map(Value::List).into_iter().chain([Value::Null]).collect())
}

impl Domain {
    /// Rows that are added, and neither updated nor taken away.
    pub(crate) fn appended(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), retracting: false, time: None, id: None, marked: false }
    }

    /// Rows that are added, updated and taken away: a column of numbers that tells them apart, then `columns`.
    pub(crate) fn updated(columns: impl Into<Vec<Column>>) -> Self {
        let columns = [some_ints(0)].into_iter().chain(columns.into()).collect();
        Self { columns, retracting: true, time: None, id: Some(0), marked: false }
    }

    /// Rows that are added, of which one column is the time.
    pub(crate) fn in_time(columns: impl Into<Vec<Column>>) -> Self {
        let columns = columns.into();
        let time = columns.iter().position(|column| column.kind == Type::Timestamp);
        Self { columns, retracting: false, time, id: None, marked: false }
    }

    /// The rows, with marks between them.
    pub(crate) fn marked(self) -> Self {
        Self { marked: true, ..self }
    }

    fn row(&self) -> BoxedStrategy<Row> {
        let columns: Vec<_> = self.columns.iter().map(|column| select(column.values.clone())).collect();
        columns.boxed()
    }

    /// A batch of changes.
    pub(crate) fn batch(&self, changes: &[(RowKind, Row)]) -> ArrowBatch {
        let columns = self.columns.iter().enumerate().map(|(index, column)| {
            let values: Vec<&Value> = changes.iter().map(|(_, row)| &row[index]).collect();
            (format!("c{index}"), array(column.kind, &values), true)
        });
        let records = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let appends = changes.iter().all(|(kind, _)| *kind == RowKind::Insert);
        let kinds = (!appends).then(|| changes.iter().map(|(kind, _)| *kind).collect());
        ArrowBatch { records, kinds, timestamps: Vec::new(), hashes: Vec::new() }
    }
}

fn array(kind: Type, values: &[&Value]) -> ArrayRef {
    let ints = || values.iter().map(|value| value.int());
    match kind {
        Type::BigInt => Arc::new(ints().collect::<Int64Array>()),
        Type::Timestamp => Arc::new(ints().collect::<TimestampMillisecondArray>()),
        Type::String => {
            let texts = values.iter().map(|value| match value {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            });
            Arc::new(texts.collect::<StringArray>())
        }
        Type::Boolean => {
            let truths = values.iter().map(|value| match value {
                Value::Bool(truth) => Some(*truth),
                _ => None,
            });
            Arc::new(truths.collect::<BooleanArray>())
        }
        Type::Array => {
            let lists = values.iter().map(|value| match value {
                Value::List(values) => Some(values.iter().map(Value::int).collect::<Vec<_>>()),
                _ => None,
            });
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))
        }
    }
}

/// The value of a column at a row.
pub(crate) fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int32 => Value::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Timestamp(..) => Value::Int(array.as_primitive::<TimestampMillisecondType>().value(row)),
        DataType::Float64 => Value::double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Value::text(array.as_string::<i32>().value(row)),
        DataType::List(_) => {
            let list = array.as_list::<i32>().value(row);
            Value::List((0..list.len()).map(|index| value(&*list, index)).collect())
        }
        other => panic!("no test has columns of {other} yet"),
    }
}

/// What is done with the inputs.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Changes come in.
    Changes(usize, Vec<(RowKind, Row)>),
    /// Event time advances.
    Watermark(i64),
}

/// Something that is done at random: it depends on what is there.
#[derive(Clone, Debug)]
enum Act {
    Add { input: usize, row: Row, late: i64 },
    Update { input: usize, which: Index, row: Row },
    Remove { input: usize, which: Index },
    Send,
    Advance(i64),
}

/// How many seconds event time goes in one step, at most, and rows are behind it.
const STEP: i64 = 7;

/// Some changes of inputs that are made as `domains` say, in batches, with watermarks between them.
pub(crate) fn steps(domains: &[Domain]) -> BoxedStrategy<Vec<Step>> {
    let has_time = domains.iter().any(|domain| domain.time.is_some() || domain.marked);
    let mut acts = vec![(2, Just(Act::Send).boxed())];
    if has_time {
        acts.push((3, (0..STEP).prop_map(Act::Advance).boxed()));
    }
    for (input, domain) in domains.iter().enumerate() {
        let add = (domain.row(), -STEP..4 * STEP).prop_map(move |(row, late)| Act::Add { input, row, late });
        acts.push((8, add.boxed()));
        if domain.retracting {
            let update = (any::<Index>(), domain.row()).prop_map(move |(which, row)| Act::Update {
                input,
                which,
                row,
            });
            let remove = any::<Index>().prop_map(move |which| Act::Remove { input, which });
            acts.extend([(5, update.boxed()), (4, remove.boxed())]);
        }
    }
    let domains = domains.to_vec();
    prop::collection::vec(prop::strategy::Union::new_weighted(acts), 1..60)
        .prop_map(move |acts| steps_of(&domains, acts))
        .boxed()
}

fn steps_of(domains: &[Domain], acts: Vec<Act>) -> Vec<Step> {
    let mut present: Vec<Vec<Row>> = vec![Vec::new(); domains.len()];
    let mut steps = Vec::new();
    let mut batch: (usize, Vec<(RowKind, Row)>) = (0, Vec::new());
    let (mut watermark, mut next) = (0, vec![0; domains.len()]);
    for act in acts {
        let input = match &act {
            Act::Add { input, .. } | Act::Update { input, .. } | Act::Remove { input, .. } => Some(*input),
            Act::Send | Act::Advance(_) => None,
        };
        if input != Some(batch.0) && !batch.1.is_empty() {
            steps.push(Step::Changes(batch.0, std::mem::take(&mut batch.1)));
        }
        batch.0 = input.unwrap_or_default();
        match act {
            Act::Add { input, mut row, late } => {
                if let Some(time) = domains[input].time {
                    row[time] = Value::Int((watermark + late) * 1000);
                }
                if let Some(id) = domains[input].id {
                    row[id] = Value::Int(next[input]);
                    next[input] += 1;
                }
                present[input].push(row.clone());
                batch.1.push((RowKind::Insert, row));
            }
            Act::Update { input, which, mut row } if !present[input].is_empty() => {
                let which = which.index(present[input].len());
                if let Some(id) = domains[input].id {
                    row[id] = present[input][which][id].clone();
                }
                let before = std::mem::replace(&mut present[input][which], row.clone());
                batch.1.push((RowKind::UpdateBefore, before));
                batch.1.push((RowKind::UpdateAfter, row));
            }
            Act::Remove { input, which } if !present[input].is_empty() => {
                let which = which.index(present[input].len());
                batch.1.push((RowKind::Delete, present[input].remove(which)));
            }
            Act::Advance(by) => {
                watermark += by;
                steps.push(Step::Watermark(watermark * 1000));
            }
            Act::Update { .. } | Act::Remove { .. } | Act::Send => {}
        }
    }
    if !batch.1.is_empty() {
        steps.push(Step::Changes(batch.0, batch.1));
    }
    steps
}

/// Whether a change adds a row.
pub(crate) fn adds(kind: RowKind) -> bool {
    matches!(kind, RowKind::Insert | RowKind::UpdateAfter)
}
