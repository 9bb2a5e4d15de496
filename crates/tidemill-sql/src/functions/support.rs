//! What the chapters of built-in functions share: checking the arguments of a call, and making columns of
//! results row by row.

use std::sync::Arc;

use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{ArrayRef, BooleanArray, ListArray, PrimitiveArray, StringArray};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use super::kernel::{Argument, Inputs, KernelError, Mismatch};
use crate::types::{LogicalType, TypeFamily, TypeRoot};

/// The longest string that a function makes of a count of repetitions: what is longer is a mistake, not a
/// result.
pub(crate) const MAX_MADE_BYTES: usize = 256 << 20;

/// What may stand in one place of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// A string; keeps its length.
    Text,
    /// A byte string; keeps its length.
    Bytes,
    /// A string or a byte string.
    TextOrBytes,
    /// A truth value.
    Boolean,
    /// `TINYINT` to `BIGINT`; becomes `BIGINT`.
    Integer,
}

impl Want {
    /// The type that an argument of type `given` is cast to; `None` when it may not stand here.
    fn target(self, given: &LogicalType) -> Option<LogicalType> {
        let root = match (self, given.root.family()) {
            (Want::Text | Want::TextOrBytes, TypeFamily::Null) => TypeRoot::STRING,
            (Want::Bytes, TypeFamily::Null) => TypeRoot::BYTES,
            (Want::Text | Want::TextOrBytes, TypeFamily::Character)
            | (Want::Bytes | Want::TextOrBytes, TypeFamily::Binary) => given.root.clone(),
            (Want::Boolean, TypeFamily::Null | TypeFamily::Boolean) => TypeRoot::Boolean,
            (Want::Integer, TypeFamily::Null) => TypeRoot::BigInt,
            (Want::Integer, _) if given.root.is_integer() => TypeRoot::BigInt,
            _ => return None,
        };
        Some(LogicalType { root, nullable: given.nullable })
    }
}

/// The types that the arguments of a call are cast to: first `required`, then as many of `optional` as there
/// are. `expects` says in the error what the function takes, as in `(STRING, INT[, INT])`.
pub(crate) fn targets(
    arguments: &[Argument<'_>],
    required: &[Want],
    optional: &[Want],
    expects: &str,
) -> Result<Vec<LogicalType>, Mismatch> {
    let mismatch = || Mismatch::new(format!("expects {expects}"));
    if arguments.len() < required.len() || arguments.len() > required.len() + optional.len() {
        return Err(mismatch());
    }
    let wanted = required.iter().chain(optional);
    wanted.zip(arguments).map(|(want, argument)| want.target(argument.logical).ok_or_else(mismatch)).collect()
}

/// As [`targets`], for a function that takes any number of `want` from `least` on.
pub(crate) fn repeated(
    arguments: &[Argument<'_>],
    least: usize,
    want: Want,
    expects: &str,
) -> Result<Vec<LogicalType>, Mismatch> {
    let mismatch = || Mismatch::new(format!("expects {expects}"));
    if arguments.len() < least {
        return Err(mismatch());
    }
    arguments.iter().map(|argument| want.target(argument.logical).ok_or_else(mismatch)).collect()
}

/// Whether any argument may be NULL.
pub(crate) fn any_nullable(arguments: &[Argument<'_>]) -> bool {
    arguments.iter().any(|argument| argument.logical.nullable || argument.logical.root == TypeRoot::Null)
}

/// `STRING`, nullable when an argument is.
pub(crate) fn string_like(arguments: &[Argument<'_>]) -> LogicalType {
    LogicalType { root: TypeRoot::STRING, nullable: any_nullable(arguments) }
}

/// `root`, nullable when an argument is.
pub(crate) fn null_like(root: TypeRoot, arguments: &[Argument<'_>]) -> LogicalType {
    LogicalType { root, nullable: any_nullable(arguments) }
}

/// `VARCHAR` as long as `text` is.
pub(crate) fn varying(text: &LogicalType) -> TypeRoot {
    match text.root {
        TypeRoot::Char(length) | TypeRoot::Varchar(length) => TypeRoot::Varchar(length),
        _ => TypeRoot::STRING,
    }
}

/// A column of strings that grows at its end.
#[derive(Debug)]
pub(crate) struct TextColumn {
    bytes: String,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl TextColumn {
    /// Room for `rows` strings.
    pub(crate) fn new(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self {
            bytes: String::with_capacity(rows.saturating_mul(8)),
            offsets,
            nulls: NullBufferBuilder::new(rows),
        }
    }

    /// Where the characters of the value that comes next go, behind all that are there.
    pub(crate) fn next(&mut self) -> &mut String {
        &mut self.bytes
    }

    /// Ends a value: what was written to [`next`](Self::next) since the last one.
    pub(crate) fn end(&mut self) -> Result<(), KernelError> {
        let end = i32::try_from(self.bytes.len())
            .map_err(|_| KernelError("the strings of one batch are longer than 2 GiB together".to_owned()))?;
        self.offsets.push(end);
        self.nulls.append_non_null();
        Ok(())
    }

    /// Adds `value`.
    pub(crate) fn push(&mut self, value: &str) -> Result<(), KernelError> {
        self.bytes.push_str(value);
        self.end()
    }

    /// Adds NULL, and forgets what was written since the last value.
    pub(crate) fn null(&mut self) {
        let last = self.offsets.last().copied().unwrap_or(0);
        self.bytes.truncate(usize::try_from(last).unwrap_or(0));
        self.offsets.push(last);
        self.nulls.append_null();
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The column.
    pub(crate) fn finish(mut self) -> Result<StringArray, KernelError> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        let values = Buffer::from_vec(self.bytes.into_bytes());
        Ok(StringArray::try_new(offsets, values, self.nulls.finish())?)
    }
}

/// A column of strings of all rows of `inputs`: `write` appends the string of a row and says whether there is
/// one.
pub(crate) fn strings(
    inputs: &Inputs,
    mut write: impl FnMut(usize, &mut String) -> Result<bool, KernelError>,
) -> Result<ArrayRef, KernelError> {
    let mut column = TextColumn::new(inputs.rows());
    for row in 0..inputs.rows() {
        if write(row, column.next())? {
            column.end()?;
        } else {
            column.null();
        }
    }
    Ok(Arc::new(column.finish()?))
}

/// A column of truth values of all rows.
pub(crate) fn booleans(
    inputs: &Inputs,
    mut value: impl FnMut(usize) -> Result<Option<bool>, KernelError>,
) -> Result<ArrayRef, KernelError> {
    let mut values = BooleanBufferBuilder::new(inputs.rows());
    let mut nulls = NullBufferBuilder::new(inputs.rows());
    for row in 0..inputs.rows() {
        let value = value(row)?;
        values.append(value.unwrap_or(false));
        nulls.append(value.is_some());
    }
    Ok(Arc::new(BooleanArray::new(values.finish(), nulls.finish())))
}

/// A column of numbers, dates, times or timestamps of all rows.
pub(crate) fn primitives<T: ArrowPrimitiveType>(
    inputs: &Inputs,
    mut value: impl FnMut(usize) -> Result<Option<T::Native>, KernelError>,
) -> Result<PrimitiveArray<T>, KernelError> {
    let mut values = Vec::with_capacity(inputs.rows());
    let mut nulls = NullBufferBuilder::new(inputs.rows());
    for row in 0..inputs.rows() {
        let value = value(row)?;
        values.push(value.unwrap_or_default());
        nulls.append(value.is_some());
    }
    Ok(PrimitiveArray::try_new(ScalarBuffer::from(values), nulls.finish())?)
}

/// A column of lists that grows at its end: the lengths, beside which the elements stand in a column of their
/// own.
#[derive(Debug)]
pub(crate) struct ListEnds {
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl ListEnds {
    /// Room for `rows` lists.
    pub(crate) fn new(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { offsets, nulls: NullBufferBuilder::new(rows) }
    }

    /// Ends a list; there are `elements` in all lists now.
    pub(crate) fn end(&mut self, elements: usize) -> Result<(), KernelError> {
        let end = i32::try_from(elements).map_err(|_| {
            KernelError("the arrays of one batch have more than 2^31 elements together".to_owned())
        })?;
        self.offsets.push(end);
        self.nulls.append_non_null();
        Ok(())
    }

    /// Adds NULL.
    pub(crate) fn null(&mut self) {
        self.offsets.push(self.offsets.last().copied().unwrap_or(0));
        self.nulls.append_null();
    }

    /// The ends and which lists are NULL.
    pub(crate) fn finish(mut self) -> (OffsetBuffer<i32>, Option<arrow_buffer::NullBuffer>) {
        (OffsetBuffer::new(ScalarBuffer::from(self.offsets)), self.nulls.finish())
    }

    /// The column of arrays of `elements`.
    pub(crate) fn into_lists(self, elements: ArrayRef) -> Result<ArrayRef, KernelError> {
        let field = Arc::new(Field::new("item", elements.data_type().clone(), true));
        let (offsets, nulls) = self.finish();
        Ok(Arc::new(ListArray::try_new(field, offsets, elements, nulls)?))
    }
}

/// The error of a column that is of another type than the planner promised.
pub(crate) fn unexpected(found: &DataType) -> KernelError {
    KernelError(format!("a column of {found} came where another was expected"))
}

#[cfg(test)]
pub(crate) mod testing {
    //! Calls functions as the planner and the operators do.

    use super::*;
    use crate::functions::kernel::{FunctionContext, Input, ScalarFunction};
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use datafusion_common::ScalarValue;

    /// The session of the tests.
    pub(crate) fn context() -> FunctionContext {
        FunctionContext { time_zone: chrono_tz::UTC }
    }

    /// One argument of a call in a test.
    #[derive(Clone, Debug)]
    pub(crate) struct Given {
        pub(crate) logical: LogicalType,
        pub(crate) value: ScalarValue,
        /// Whether the planner knows the value already.
        pub(crate) is_literal: bool,
    }

    impl Given {
        /// A column that has this value.
        pub(crate) fn into_column(mut self) -> Self {
            self.is_literal = false;
            self
        }
    }

    /// A literal of this type.
    pub(crate) fn given(root: TypeRoot, value: ScalarValue) -> Given {
        let nullable = value.is_null();
        Given { logical: LogicalType { root, nullable }, value, is_literal: true }
    }

    impl From<&str> for Given {
        fn from(text: &str) -> Self {
            let length = u32::try_from(text.chars().count()).unwrap();
            given(TypeRoot::Char(length), ScalarValue::Utf8(Some(text.to_owned())))
        }
    }

    impl From<Option<&str>> for Given {
        fn from(text: Option<&str>) -> Self {
            given(TypeRoot::STRING, ScalarValue::Utf8(text.map(str::to_owned)))
        }
    }

    impl From<i32> for Given {
        fn from(number: i32) -> Self {
            given(TypeRoot::Int, ScalarValue::Int32(Some(number)))
        }
    }

    impl From<i64> for Given {
        fn from(number: i64) -> Self {
            given(TypeRoot::BigInt, ScalarValue::Int64(Some(number)))
        }
    }

    impl From<Option<i32>> for Given {
        fn from(number: Option<i32>) -> Self {
            given(TypeRoot::Int, ScalarValue::Int32(number))
        }
    }

    impl From<f64> for Given {
        fn from(number: f64) -> Self {
            given(TypeRoot::Double, ScalarValue::Float64(Some(number)))
        }
    }

    impl From<bool> for Given {
        fn from(truth: bool) -> Self {
            given(TypeRoot::Boolean, ScalarValue::Boolean(Some(truth)))
        }
    }

    impl From<&[u8]> for Given {
        fn from(bytes: &[u8]) -> Self {
            let length = u32::try_from(bytes.len()).unwrap();
            given(TypeRoot::Binary(length), ScalarValue::Binary(Some(bytes.to_vec())))
        }
    }

    /// The function called `name`.
    pub(crate) fn find<'a>(functions: &'a [ScalarFunction], name: &str) -> &'a ScalarFunction {
        functions
            .iter()
            .find(|function| function.name == name || function.aliases.contains(&name))
            .unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// Resolves and computes a call of one row, with the literals as constants.
    pub(crate) fn call_in(
        context: &FunctionContext,
        functions: &[ScalarFunction],
        name: &str,
        arguments: &[Given],
    ) -> Result<(ArrayRef, LogicalType), String> {
        let described: Vec<Argument<'_>> = arguments
            .iter()
            .map(|given| Argument {
                logical: &given.logical,
                literal: given.is_literal.then_some(&given.value),
            })
            .collect();
        let resolved = (find(functions, name).resolve)(context, &described).map_err(|mismatch| mismatch.0)?;
        assert_eq!(resolved.arguments.len(), arguments.len(), "{name} must say the type of each argument");
        let rows = 2;
        let columns = arguments
            .iter()
            .zip(&resolved.arguments)
            .map(|(given, target)| {
                let array = given.value.to_array_of_size(if given.is_literal { 1 } else { rows }).unwrap();
                let data_type = crate::types::arrow::data_type(&target.root);
                let array = if *array.data_type() == data_type {
                    array
                } else {
                    arrow_cast::cast(&array, &data_type).unwrap()
                };
                if given.is_literal { Input::constant(array) } else { Input::column(array) }
            })
            .collect();
        let result = (resolved.kernel)(&Inputs::new(columns, rows)).map_err(|error| error.0)?;
        assert_eq!(result.len(), rows, "{name} must give a value a row");
        assert_eq!(
            *result.data_type(),
            crate::types::arrow::data_type(&resolved.returns.root),
            "the column of {name} must be of its type"
        );
        assert!(resolved.returns.nullable || result.null_count() == 0, "{name} is NULL but says it never is");
        Ok((result, resolved.returns))
    }

    /// As [`call_in`] UTC, with the literals known to the planner and again with all arguments as columns.
    pub(crate) fn call(
        functions: &[ScalarFunction],
        name: &str,
        arguments: &[Given],
    ) -> Result<ScalarValue, String> {
        let context = context();
        let first = |array: &ArrayRef| ScalarValue::try_from_array(array, 0).unwrap();
        let literal = call_in(&context, functions, name, arguments).map(|(array, _)| first(&array));
        let columns: Vec<Given> = arguments.iter().cloned().map(Given::into_column).collect();
        // A function that insists on literals refuses columns; where it does not, the results are the same.
        if let Ok((array, _)) = call_in(&context, functions, name, &columns)
            && let Ok(value) = &literal
        {
            assert_eq!(&first(&array), value, "{name} differs for a column");
        }
        literal
    }

    /// The string that a call gives.
    pub(crate) fn text(functions: &[ScalarFunction], name: &str, arguments: &[Given]) -> Option<String> {
        match call(functions, name, arguments).unwrap_or_else(|error| panic!("{name}: {error}")) {
            ScalarValue::Utf8(text) => text,
            other => panic!("{name} gives {other:?}"),
        }
    }

    /// The number that a call gives.
    pub(crate) fn number(functions: &[ScalarFunction], name: &str, arguments: &[Given]) -> Option<i64> {
        match call(functions, name, arguments).unwrap_or_else(|error| panic!("{name}: {error}")) {
            ScalarValue::Int32(number) => number.map(i64::from),
            ScalarValue::Int64(number) => number,
            ScalarValue::Date32(days) => days.map(i64::from),
            ScalarValue::Time32Millisecond(millis) => millis.map(i64::from),
            ScalarValue::TimestampMillisecond(value, _)
            | ScalarValue::TimestampMicrosecond(value, _)
            | ScalarValue::TimestampNanosecond(value, _) => value,
            other => panic!("{name} gives {other:?}"),
        }
    }

    /// The truth value that a call gives.
    pub(crate) fn truth(functions: &[ScalarFunction], name: &str, arguments: &[Given]) -> Option<bool> {
        match call(functions, name, arguments).unwrap_or_else(|error| panic!("{name}: {error}")) {
            ScalarValue::Boolean(truth) => truth,
            other => panic!("{name} gives {other:?}"),
        }
    }

    /// The strings in the array that a call gives.
    pub(crate) fn texts(
        functions: &[ScalarFunction],
        name: &str,
        arguments: &[Given],
    ) -> Option<Vec<Option<String>>> {
        match call(functions, name, arguments).unwrap_or_else(|error| panic!("{name}: {error}")) {
            ScalarValue::List(list) => list.is_valid(0).then(|| {
                list.value(0).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
            }),
            other => panic!("{name} gives {other:?}"),
        }
    }
}
