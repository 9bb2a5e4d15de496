//! Accumulators of aggregate functions: what is kept of each group, and how values go in and results come out.
//!
//! The accumulators of all functions of an aggregation are one list of [`Datum`]s a group; a [`Function`] knows which of them
//! are its own. Functions that gather values ([`gathered`](super::gathered)) keep them here as one byte string, unless an operator
//! keeps them as entries of their own ([`entries`](super::entries)).

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, make_array};
use arrow_schema::DataType;
use std::sync::Arc;
use tidemill_core::Fault;
use tidemill_core::element::Element;
use tidemill_runtime::OperatorError;
use tidemill_serialization::schema::{SchemaBuilder, Type};
use tidemill_serialization::{Data, DecodeError, Input};

use super::aggregate_results::Results;
use super::entries::EntryForm;
use super::gathered::{self, Gathered};
use super::moments;
use super::row::{RowWriter, put_length};
use crate::functions::aggregate::{AggregateCall, AggregateKind, averages_are_quotients};
use crate::types::TypeRoot;
use crate::udf::{FunctionError, Input as Column, Inputs};

/// A value of an accumulator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Datum {
    Null,
    Int(i64),
    Float(f64),
    /// The low and the high half of 128 bits.
    Decimal(u64, i64),
    Bytes(Box<[u8]>),
}

impl Datum {
    pub(super) fn decimal(value: i128) -> Self {
        Datum::Decimal(value as u64, (value >> 64) as i64)
    }

    pub(super) fn int(&self) -> i64 {
        match self {
            Datum::Int(value) => *value,
            _ => 0,
        }
    }

    pub(super) fn float(&self) -> f64 {
        match self {
            Datum::Float(value) => *value,
            Datum::Int(value) => *value as f64,
            _ => 0.0,
        }
    }

    pub(super) fn as_decimal(&self) -> i128 {
        match self {
            Datum::Decimal(low, high) => i128::from(*high) << 64 | i128::from(*low),
            Datum::Int(value) => i128::from(*value),
            _ => 0,
        }
    }
}

/// The accumulators of a group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Accumulators(pub(crate) Box<[Datum]>);

impl Element for Accumulators {
    const FIXED_BYTES: Option<usize> = None;

    fn logical_bytes(&self) -> usize {
        let each = self.0.iter().map(|datum| match datum {
            Datum::Null => 1,
            Datum::Int(_) | Datum::Float(_) => 9,
            Datum::Decimal(..) => 17,
            Datum::Bytes(bytes) => 5 + bytes.len(),
        });
        1 + each.sum::<usize>()
    }
}

impl Data for Accumulators {
    /// The bytes of a vector of bytes, so that whoever knows only that can pass them on.
    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::List(Box::new(Type::UInt(8)))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let length: usize = self.0.iter().map(encoded_bytes).sum();
        put_length(length, out);
        for datum in &self.0 {
            match datum {
                Datum::Null => out.push(0),
                Datum::Int(value) => {
                    out.push(1);
                    out.extend_from_slice(&value.to_le_bytes());
                }
                Datum::Float(value) => {
                    out.push(2);
                    out.extend_from_slice(&value.to_le_bytes());
                }
                Datum::Decimal(low, high) => {
                    out.push(3);
                    out.extend_from_slice(&low.to_le_bytes());
                    out.extend_from_slice(&high.to_le_bytes());
                }
                Datum::Bytes(bytes) => {
                    out.push(4);
                    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
                    out.extend_from_slice(bytes);
                }
            }
        }
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let length = input.length(1, "accumulators")?;
        let input = &mut Input::new(input.take(length, "accumulators")?);
        let mut data = Vec::new();
        while input.remaining() > 0 {
            let [tag] = input.array("accumulator")?;
            data.push(match tag {
                0 => Datum::Null,
                1 => Datum::Int(i64::from_le_bytes(input.array("accumulator")?)),
                2 => Datum::Float(f64::from_le_bytes(input.array("accumulator")?)),
                3 => Datum::Decimal(
                    u64::from_le_bytes(input.array("accumulator")?),
                    i64::from_le_bytes(input.array("accumulator")?),
                ),
                4 => {
                    let length = u32::from_le_bytes(input.array("accumulator")?) as usize;
                    Datum::Bytes(input.take(length, "accumulator")?.into())
                }
                other => {
                    return Err(DecodeError::invalid(
                        "accumulator",
                        format!("{other} is no kind of a value"),
                    ));
                }
            });
        }
        Ok(Accumulators(data.into()))
    }
}

fn encoded_bytes(datum: &Datum) -> usize {
    match datum {
        Datum::Null => 1,
        Datum::Int(_) | Datum::Float(_) => 9,
        Datum::Decimal(..) => 17,
        Datum::Bytes(bytes) => 5 + bytes.len(),
    }
}

/// How values of a type are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    Int,
    Float,
    Decimal,
    /// As a row of one column.
    Bytes,
}

pub(super) fn form(root: &TypeRoot) -> Form {
    match root {
        TypeRoot::TinyInt | TypeRoot::SmallInt | TypeRoot::Int | TypeRoot::BigInt | TypeRoot::Boolean => {
            Form::Int
        }
        TypeRoot::Float | TypeRoot::Double => Form::Float,
        TypeRoot::Decimal(..) => Form::Decimal,
        TypeRoot::Date
        | TypeRoot::Time(_)
        | TypeRoot::Timestamp(_)
        | TypeRoot::TimestampLtz(_)
        | TypeRoot::IntervalMonths
        | TypeRoot::IntervalMillis => Form::Int,
        _ => Form::Bytes,
    }
}

/// An aggregate function with its place among the accumulators of a group.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) call: AggregateCall,
    form: Form,
    pub(super) at: usize,
    /// How its values are kept outside of its accumulators, if they are.
    pub(super) entries: Option<EntryForm>,
    /// Whether an average is of a sum that wraps around in the type of its values.
    pub(super) is_quotient: bool,
    /// Whether sums are of `FLOAT`, which loses digits with each value as Java's does.
    is_single: bool,
}

/// All functions of an aggregation.
#[derive(Clone, Debug)]
pub(crate) struct Functions {
    all: Vec<Function>,
    width: usize,
}

/// Where the number of rows of a group is kept.
const ROWS: usize = 0;

impl Functions {
    /// Functions of which those that `entries` has a form for keep their values as entries, the others all in their accumulators.
    pub(crate) fn with_entries(
        calls: &[AggregateCall],
        entries: impl Fn(&AggregateCall) -> Option<EntryForm>,
    ) -> Self {
        let mut width = 1;
        let is_quotient = averages_are_quotients(calls);
        let all = calls.iter().map(|call| {
            let form = call.types.first().map_or(Form::Int, |logical| form(&logical.root));
            let at = width;
            width += datums(&call.kind);
            let is_single =
                matches!(call.kind, AggregateKind::Sum | AggregateKind::SumOrZero | AggregateKind::Avg)
                    && call.returns.root == TypeRoot::Float;
            Function { call: call.clone(), form, at, entries: entries(call), is_quotient, is_single }
        });
        let all = all.collect();
        Self { all, width }
    }

    /// Functions that keep all in their accumulators.
    pub(crate) fn new(calls: &[AggregateCall]) -> Self {
        Self::with_entries(calls, |_| None)
    }

    pub(crate) fn all(&self) -> &[Function] {
        &self.all
    }

    /// The accumulators of no rows.
    pub(crate) fn empty(&self) -> Accumulators {
        let mut data = vec![Datum::Null; self.width];
        data[ROWS] = Datum::Int(0);
        for function in &self.all {
            match function.call.kind {
                AggregateKind::Count => data[function.at] = Datum::Int(0),
                AggregateKind::Variance { .. } => moments::clear(&mut data[function.at..]),
                AggregateKind::Sum | AggregateKind::SumOrZero | AggregateKind::Avg => {
                    data[function.at] = match function.form {
                        Form::Float => Datum::Float(0.0),
                        Form::Decimal => Datum::decimal(0),
                        _ => Datum::Int(0),
                    };
                    data[function.at + 1] = Datum::Int(0);
                }
                AggregateKind::SingleValue => data[function.at + 1] = Datum::Int(0),
                _ => {}
            }
        }
        Accumulators(data.into())
    }

    /// How many rows are in a group.
    pub(crate) fn rows(&self, accumulators: &Accumulators) -> i64 {
        accumulators.0[ROWS].int()
    }

    /// Counts rows, `-1` for one that is taken away.
    pub(crate) fn add_rows(&self, accumulators: &mut Accumulators, rows: i64) {
        accumulators.0[ROWS] = Datum::Int(accumulators.0[ROWS].int() + rows);
    }

    /// Sets the first values of a function.
    pub(super) fn set(&self, accumulators: &mut Accumulators, function: usize, values: &[Datum]) {
        if let Some(function) = self.all.get(function) {
            function.set(&mut accumulators.0, values);
        }
    }

    /// Takes over what functions have gathered outside of their accumulators.
    pub(super) fn take_gathered(&self, into: &mut Accumulators, gathered: Accumulators) {
        let mut gathered = gathered.0.into_vec();
        for function in
            self.all.iter().filter(|function| function.entries.is_some_and(EntryForm::is_gathered))
        {
            into.0[function.at] = std::mem::replace(&mut gathered[function.at], Datum::Null);
        }
    }

    /// Adds the accumulators of other rows of the group.
    pub(crate) fn merge(&self, into: &mut Accumulators, other: &Accumulators) -> Result<(), OperatorError> {
        self.add_rows(into, self.rows(other));
        for function in &self.all {
            function.merge(&mut into.0, &other.0)?;
        }
        Ok(())
    }

    /// Makes a function have seen no rows.
    pub(crate) fn reset(&self, function: usize, accumulators: &mut Accumulators) {
        let (at, width) = (self.all[function].at, datums(&self.all[function].call.kind));
        accumulators.0[at..at + width].clone_from_slice(&self.empty().0[at..at + width]);
    }

    /// Builders of the columns of results.
    pub(crate) fn results(&self) -> Results {
        Results::new(self)
    }
}

/// How many data a function keeps.
fn datums(kind: &AggregateKind) -> usize {
    match kind {
        AggregateKind::Count
        | AggregateKind::Min
        | AggregateKind::Max
        | AggregateKind::Collect
        | AggregateKind::JsonObjectAgg { .. }
        | AggregateKind::Percentile { .. }
        | AggregateKind::User(_) => 1,
        // The value, which it was, and the number of the next one.
        AggregateKind::FirstValue | AggregateKind::LastValue => 3,
        AggregateKind::Variance { .. } => moments::WIDTH,
        // A sum and a count; values and the number of the next one.
        AggregateKind::Sum
        | AggregateKind::SumOrZero
        | AggregateKind::Avg
        | AggregateKind::SingleValue
        | AggregateKind::ListAgg { .. }
        | AggregateKind::ArrayAgg { .. }
        | AggregateKind::JsonArrayAgg { .. } => 2,
    }
}

/// The values that an aggregate function takes, of the rows of a batch.
pub(crate) struct Argument {
    values: Option<ArgumentValues>,
    filter: Option<BooleanArray>,
}

enum ArgumentValues {
    Int(Int64Array),
    Float(arrow_array::Float64Array),
    Decimal(arrow_array::Decimal128Array),
    Bytes(ArrayRef, Box<arrow_data::ArrayData>),
    /// Of several arguments, which of the rows have none that is NULL.
    Rows(arrow_buffer::BooleanBuffer),
    /// What is gathered.
    Gathered(Gathered),
    /// Of a function of the session's own.
    Own(Vec<ArrayRef>),
}

pub(super) fn wrong_type() -> OperatorError {
    OperatorError::new(
        "TM-SQL-EVALUATION",
        Fault::Internal,
        "an aggregate function got values of another type",
    )
}

impl Argument {
    /// The arguments of `function` among `columns`.
    pub(crate) fn new(function: &Function, columns: &[ArrayRef]) -> Result<Self, OperatorError> {
        let column = |index: usize| columns.get(index).ok_or_else(wrong_type);
        let filter = match function.call.filter {
            None => None,
            Some(filter) => Some(column(filter)?.as_boolean_opt().ok_or_else(wrong_type)?.clone()),
        };
        let all = || -> Result<Vec<ArrayRef>, OperatorError> {
            function.call.arguments.iter().map(|index| column(*index).cloned()).collect()
        };
        if gathered::gathers(&function.call.kind) {
            let gathered = Gathered::new(&function.call.kind, all()?)?;
            return Ok(Self { values: Some(ArgumentValues::Gathered(gathered)), filter });
        }
        if let AggregateKind::User(_) = &function.call.kind {
            return Ok(Self { values: Some(ArgumentValues::Own(all()?)), filter });
        }
        let values = match &function.call.arguments[..] {
            [] => None,
            several @ [_, _, ..] => {
                let rows = column(several[0])?.len();
                let mut present = arrow_buffer::BooleanBuffer::new_set(rows);
                for index in several {
                    if let Some(nulls) = column(*index)?.logical_nulls() {
                        present = &present & nulls.inner();
                    }
                }
                Some(ArgumentValues::Rows(present))
            }
            [one] => {
                let array = column(*one)?;
                Some(match function.form {
                    Form::Int => ArgumentValues::Int(integers(array)?),
                    Form::Float => ArgumentValues::Float(floats(array)?),
                    Form::Decimal => ArgumentValues::Decimal(
                        array.as_primitive_opt::<Decimal128Type>().ok_or_else(wrong_type)?.clone(),
                    ),
                    Form::Bytes => ArgumentValues::Bytes(Arc::clone(array), Box::new(array.to_data())),
                })
            }
        };
        Ok(Self { values, filter })
    }

    /// Whether the row counts: its filter holds.
    #[inline]
    pub(crate) fn counts(&self, row: usize) -> bool {
        match &self.filter {
            None => true,
            Some(filter) => filter.is_valid(row) && filter.value(row),
        }
    }

    /// Whether the value of the row is NULL.
    #[inline]
    pub(crate) fn is_null(&self, row: usize) -> bool {
        match &self.values {
            None => false,
            Some(ArgumentValues::Int(values)) => values.is_null(row),
            Some(ArgumentValues::Float(values)) => values.is_null(row),
            Some(ArgumentValues::Decimal(values)) => values.is_null(row),
            Some(ArgumentValues::Bytes(array, _)) => array.is_null(row),
            Some(ArgumentValues::Rows(present)) => !present.value(row),
            Some(ArgumentValues::Gathered(gathered)) => !gathered.takes(row),
            Some(ArgumentValues::Own(_)) => false,
        }
    }

    /// The values that are gathered.
    pub(super) fn gathered(&self) -> Result<&Gathered, OperatorError> {
        match &self.values {
            Some(ArgumentValues::Gathered(gathered)) => Ok(gathered),
            _ => Err(wrong_type()),
        }
    }

    /// The arguments of a function of the session's own.
    pub(super) fn own(&self) -> Result<&[ArrayRef], OperatorError> {
        match &self.values {
            Some(ArgumentValues::Own(columns)) => Ok(columns),
            _ => Err(wrong_type()),
        }
    }

    pub(super) fn datum(&self, row: usize) -> Datum {
        match &self.values {
            Some(ArgumentValues::Int(values)) => Datum::Int(values.value(row)),
            Some(ArgumentValues::Float(values)) => Datum::Float(values.value(row)),
            Some(ArgumentValues::Decimal(values)) => Datum::decimal(values.value(row)),
            Some(ArgumentValues::Bytes(_, data)) => {
                let mut bytes = Vec::new();
                RowWriter::new([&**data], false).write(row, &mut bytes);
                Datum::Bytes(bytes.into())
            }
            _ => Datum::Null,
        }
    }
}

fn integers(array: &ArrayRef) -> Result<Int64Array, OperatorError> {
    let widened = |values: Vec<i64>| Int64Array::new(values.into(), array.nulls().cloned());
    Ok(match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().clone(),
        DataType::Int32 => {
            widened(array.as_primitive::<Int32Type>().values().iter().map(|v| i64::from(*v)).collect())
        }
        DataType::Int16 => {
            widened(array.as_primitive::<Int16Type>().values().iter().map(|v| i64::from(*v)).collect())
        }
        DataType::Int8 => {
            widened(array.as_primitive::<Int8Type>().values().iter().map(|v| i64::from(*v)).collect())
        }
        DataType::Boolean => widened(array.as_boolean().values().iter().map(i64::from).collect()),
        other => {
            // Dates, times, timestamps and intervals are numbers of 32 or 64 bits under another name.
            let as_numbers = match other.primitive_width() {
                Some(4) => DataType::Int32,
                Some(8) => DataType::Int64,
                _ => return Err(wrong_type()),
            };
            let data =
                array.to_data().into_builder().data_type(as_numbers).build().map_err(|_| wrong_type())?;
            return integers(&make_array(data));
        }
    })
}

fn floats(array: &ArrayRef) -> Result<arrow_array::Float64Array, OperatorError> {
    Ok(match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().clone(),
        DataType::Float32 => {
            let values: Vec<f64> =
                array.as_primitive::<Float32Type>().values().iter().map(|v| f64::from(*v)).collect();
            arrow_array::Float64Array::new(values.into(), array.nulls().cloned())
        }
        _ => return Err(wrong_type()),
    })
}

impl Function {
    /// Whether all that it keeps is in its accumulators, which take row by row.
    pub(crate) fn is_plain(&self) -> bool {
        self.entries.is_none() && !matches!(self.call.kind, AggregateKind::User(_))
    }

    /// Takes the value of `row` in, or out again.
    #[inline]
    pub(crate) fn accumulate(
        &self,
        accumulators: &mut [Datum],
        argument: &Argument,
        row: usize,
        retract: bool,
    ) -> Result<(), OperatorError> {
        if !argument.counts(row) {
            return Ok(());
        }
        let state = &mut accumulators[self.at..];
        let is_null = argument.is_null(row);
        let sign = if retract { -1 } else { 1 };
        match &self.call.kind {
            AggregateKind::Count => {
                if !is_null {
                    state[0] = Datum::Int(state[0].int() + sign);
                }
            }
            AggregateKind::Sum | AggregateKind::SumOrZero | AggregateKind::Avg => {
                if is_null {
                    return Ok(());
                }
                state[1] = Datum::Int(state[1].int() + sign);
                match &argument.values {
                    Some(ArgumentValues::Int(values)) => {
                        let value = values.value(row);
                        let sum = state[0].int();
                        // Overflow wraps, as in Java.
                        state[0] = Datum::Int(if retract {
                            sum.wrapping_sub(value)
                        } else {
                            sum.wrapping_add(value)
                        });
                    }
                    Some(ArgumentValues::Float(values)) => {
                        let value = values.value(row);
                        let sum = state[0].float();
                        let sum = if retract { sum - value } else { sum + value };
                        state[0] = Datum::Float(if self.is_single { f64::from(sum as f32) } else { sum });
                    }
                    Some(ArgumentValues::Decimal(values)) => {
                        let value = values.value(row);
                        let sum = state[0].as_decimal();
                        state[0] = Datum::decimal(if retract {
                            sum.wrapping_sub(value)
                        } else {
                            sum.wrapping_add(value)
                        });
                    }
                    _ => return Err(wrong_type()),
                }
            }
            AggregateKind::Variance { .. } => {
                if is_null {
                    return Ok(());
                }
                let value = match &argument.values {
                    Some(ArgumentValues::Int(values)) => values.value(row) as f64,
                    Some(ArgumentValues::Float(values)) => values.value(row),
                    Some(ArgumentValues::Decimal(values)) => {
                        values.value(row) as f64 / 10f64.powi(i32::from(self.scale()))
                    }
                    _ => return Err(wrong_type()),
                };
                if retract {
                    moments::retract(state, value);
                } else {
                    moments::accumulate(state, value);
                }
            }
            AggregateKind::Min | AggregateKind::Max => {
                if !is_null && !retract {
                    let value = argument.datum(row);
                    self.extreme(&mut state[0], value);
                }
            }
            AggregateKind::FirstValue => {
                if !is_null && matches!(state[1], Datum::Null) {
                    state[0] = argument.datum(row);
                    state[1] = Datum::Int(1);
                }
            }
            AggregateKind::LastValue => {
                if !is_null {
                    state[0] = argument.datum(row);
                    state[1] = Datum::Int(1);
                }
            }
            AggregateKind::SingleValue => {
                let rows = state[1].int() + sign;
                state[1] = Datum::Int(rows);
                if rows > 1 {
                    return Err(OperatorError::new(
                        "TM-SQL-SINGLE-VALUE",
                        Fault::User,
                        "a sub-query that is a value gave more than one row: aggregate it, or restrict it to one",
                    ));
                }
                state[0] = if retract || is_null { Datum::Null } else { argument.datum(row) };
            }
            AggregateKind::User(function) => {
                let one = argument.own()?.iter().map(|column| Column::column(column.slice(row, 1)));
                let arguments = Inputs::new(one.collect(), 1);
                let known = match &state[0] {
                    Datum::Bytes(bytes) => Some(&bytes[..]),
                    _ => None,
                };
                let mut own = function.0.decode(&[known]).map_err(failed)?;
                function.0.update(&mut own, &[0], &arguments, retract).map_err(failed)?;
                if let Some(bytes) = function.0.encode(&own).map_err(failed)?.pop() {
                    state[0] = Datum::Bytes(bytes);
                }
            }
            AggregateKind::ListAgg { .. }
            | AggregateKind::ArrayAgg { .. }
            | AggregateKind::JsonArrayAgg { .. }
            | AggregateKind::Collect
            | AggregateKind::JsonObjectAgg { .. }
            | AggregateKind::Percentile { .. } => {
                if !is_null {
                    gathered::take(&mut state[0], argument.gathered()?, row, retract)?;
                }
            }
        }
        Ok(())
    }

    /// Whether the result may be another one without a row that went in.
    pub(crate) fn depends_on(&self, state: &[Datum], argument: &Argument, row: usize) -> bool {
        if !argument.counts(row) || argument.is_null(row) {
            return false;
        }
        match self.call.kind {
            AggregateKind::Min | AggregateKind::Max => state[self.at] == argument.datum(row),
            _ => true,
        }
    }

    /// The value that a row of one column has, which is not NULL.
    pub(super) fn datum_of_row(&self, row: &[u8]) -> Result<Datum, OperatorError> {
        let value = row.get(1..).ok_or_else(wrong_type)?;
        fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
            bytes.first_chunk().copied().unwrap_or([0; N])
        }
        Ok(match (self.form, value.len()) {
            (Form::Bytes, _) => Datum::Bytes(row.into()),
            (Form::Int, 1) => Datum::Int(i64::from(i8::from_le_bytes(fixed(value)))),
            (Form::Int, 2) => Datum::Int(i64::from(i16::from_le_bytes(fixed(value)))),
            (Form::Int, 4) => Datum::Int(i64::from(i32::from_le_bytes(fixed(value)))),
            (Form::Int, 8) => Datum::Int(i64::from_le_bytes(fixed(value))),
            (Form::Float, 4) => Datum::Float(f64::from(f32::from_le_bytes(fixed(value)))),
            (Form::Float, 8) => Datum::Float(f64::from_le_bytes(fixed(value))),
            (Form::Decimal, 16) => Datum::decimal(i128::from_le_bytes(fixed(value))),
            _ => return Err(wrong_type()),
        })
    }

    fn scale(&self) -> u8 {
        match self.call.types.first().map(|logical| &logical.root) {
            Some(TypeRoot::Decimal(_, scale)) => *scale,
            _ => 0,
        }
    }

    /// Keeps the lesser or the greater of two values.
    fn extreme(&self, best: &mut Datum, value: Datum) {
        let is_better = match (&*best, &value) {
            (Datum::Null, _) => true,
            (Datum::Int(best), Datum::Int(value)) => self.prefers(value, best),
            (Datum::Float(best), Datum::Float(value)) => self.prefers(value, best),
            (Datum::Bytes(best), Datum::Bytes(value)) => {
                // Behind the bit for NULL and the length are the bytes of the string, which are ordered as Flink orders them.
                self.prefers(&value.get(5..), &best.get(5..))
            }
            (best, value) => self.prefers(&value.as_decimal(), &best.as_decimal()),
        };
        if is_better {
            *best = value;
        }
    }

    fn prefers<T: PartialOrd>(&self, value: &T, best: &T) -> bool {
        match self.call.kind {
            AggregateKind::Min => value < best,
            _ => value > best,
        }
    }

    fn merge(&self, into: &mut [Datum], other: &[Datum]) -> Result<(), OperatorError> {
        let (state, other) = (&mut into[self.at..], &other[self.at..]);
        match &self.call.kind {
            AggregateKind::Count => state[0] = Datum::Int(state[0].int() + other[0].int()),
            AggregateKind::Sum | AggregateKind::SumOrZero | AggregateKind::Avg => {
                state[1] = Datum::Int(state[1].int() + other[1].int());
                state[0] = match (&state[0], &other[0]) {
                    (Datum::Int(one), Datum::Int(two)) => Datum::Int(one.wrapping_add(*two)),
                    (Datum::Float(one), Datum::Float(two)) if self.is_single => {
                        Datum::Float(f64::from((one + two) as f32))
                    }
                    (Datum::Float(one), Datum::Float(two)) => Datum::Float(one + two),
                    (one, two) => Datum::decimal(one.as_decimal().wrapping_add(two.as_decimal())),
                };
            }
            AggregateKind::Variance { .. } => moments::merge(state, other),
            AggregateKind::Min | AggregateKind::Max => {
                if other[0] != Datum::Null {
                    self.extreme(&mut state[0], other[0].clone());
                }
            }
            AggregateKind::FirstValue => {
                if matches!(state[1], Datum::Null) {
                    state[..2].clone_from_slice(&other[..2]);
                }
            }
            AggregateKind::LastValue => {
                if !matches!(other[1], Datum::Null) {
                    state[..2].clone_from_slice(&other[..2]);
                }
            }
            AggregateKind::ListAgg { .. }
            | AggregateKind::ArrayAgg { .. }
            | AggregateKind::JsonArrayAgg { .. }
            | AggregateKind::Collect
            | AggregateKind::JsonObjectAgg { .. }
            | AggregateKind::Percentile { .. } => match (&state[0], &other[0]) {
                (_, Datum::Null) => {}
                (Datum::Bytes(one), Datum::Bytes(two)) => {
                    state[0] = Datum::Bytes([&one[..], &two[..]].concat().into());
                }
                (_, other) => state[0] = other.clone(),
            },
            AggregateKind::User(function) => match (&state[0], &other[0]) {
                (_, Datum::Null) => {}
                (Datum::Bytes(one), Datum::Bytes(two)) => {
                    state[0] = Datum::Bytes(function.0.merge(one, two).map_err(failed)?);
                }
                (_, other) => state[0] = other.clone(),
            },
            AggregateKind::SingleValue => {
                let message = "SINGLE_VALUE cannot be computed of parts";
                return Err(OperatorError::new("TM-SQL-UNSUPPORTED", Fault::Internal, message));
            }
        }
        Ok(())
    }
    /// Keeps the value that was found elsewhere, and which it was.
    pub(super) fn set(&self, accumulators: &mut [Datum], values: &[Datum]) {
        accumulators[self.at..self.at + values.len()].clone_from_slice(values);
    }

    /// Takes a value that has appeared, of `MIN` and `MAX`.
    pub(super) fn take_extreme(&self, accumulators: &mut [Datum], value: &Datum) {
        self.extreme(&mut accumulators[self.at], value.clone());
    }
}

/// The error of a function of the session's own.
pub(super) fn failed(error: FunctionError) -> OperatorError {
    OperatorError::new("TM-SQL-FUNCTION", Fault::User, error.to_string())
}
