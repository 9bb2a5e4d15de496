//! What a built-in function is: how its types are resolved, and how it is computed over columns.
//!
//! A [`ScalarFunction`] stands in the registry. Where a query calls it, [`ScalarFunction::resolve`] is asked, with the types of
//! the arguments and the values of those that are literals; it answers with a [`Resolved`] call: the types that the arguments
//! are cast to, the type of the result, and a [`Kernel`] that computes a column of results of columns of arguments.
//! Whatever depends on literals only (a pattern, a format) is worked out when the call is resolved, not for each row.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use arrow_schema::ArrowError;
use datafusion_common::ScalarValue;

use crate::types::LogicalType;

/// The chapter of the documentation that a function belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FunctionGroup {
    /// Operators that are written between or before their arguments.
    Operator,
    /// `CASE`-like functions.
    Conditional,
    /// Numbers.
    Arithmetic,
    /// Strings.
    Text,
    /// Dates, times, timestamps, intervals.
    Temporal,
    /// Conversions of types.
    Conversion,
    /// Arrays, maps and rows.
    Collection,
    /// JSON.
    Json,
    /// Hash functions.
    Hash,
    /// What fits nowhere else.
    Auxiliary,
}

/// A function of values, as the registry has it.
#[derive(Clone, Copy)]
pub struct ScalarFunction {
    /// Its name, in capitals.
    pub name: &'static str,
    /// Other names of it.
    pub aliases: &'static [&'static str],
    /// Where its documentation stands.
    pub group: FunctionGroup,
    /// How it is written, as in `SUBSTRING(string FROM start [FOR length])`.
    pub usage: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// Whether the same arguments always give the same result; `false` for the clock and random numbers.
    pub deterministic: bool,
    /// Resolves a call.
    pub resolve: fn(&FunctionContext, &[Argument<'_>]) -> Result<Resolved, Mismatch>,
}

impl std::fmt::Debug for ScalarFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// What functions may know of the session.
#[derive(Clone, Copy, Debug)]
pub struct FunctionContext {
    /// `table.local-time-zone`.
    pub time_zone: chrono_tz::Tz,
}

/// An argument of a call that is being resolved.
#[derive(Clone, Copy, Debug)]
pub struct Argument<'a> {
    /// Its type.
    pub logical: &'a LogicalType,
    /// Its value, when that is known already.
    pub literal: Option<&'a ScalarValue>,
}

impl Argument<'_> {
    /// The string that this argument is, when it is a literal that is not NULL.
    pub fn text(&self) -> Option<&str> {
        match self.literal {
            Some(ScalarValue::Utf8(Some(text))) => Some(text),
            _ => None,
        }
    }
}

/// A resolved call.
pub struct Resolved {
    /// The types that the arguments are cast to, one for each.
    pub arguments: Vec<LogicalType>,
    /// The type of the result.
    pub returns: LogicalType,
    /// Computes it.
    pub kernel: Kernel,
}

impl Resolved {
    /// A call whose kernel is `kernel`.
    pub fn new(
        arguments: Vec<LogicalType>,
        returns: LogicalType,
        kernel: impl Fn(&Inputs) -> Result<ArrayRef, KernelError> + Send + Sync + 'static,
    ) -> Self {
        Self { arguments, returns, kernel: Arc::new(kernel) }
    }
}

/// Arguments that a function does not take: says what it does take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch(pub String);

impl Mismatch {
    /// Because of `reason`, such as `expects 2 arguments`.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// A column of results of columns of arguments.
pub type Kernel = Arc<dyn Fn(&Inputs) -> Result<ArrayRef, KernelError> + Send + Sync>;

/// Why a value cannot be computed: it fails the job, so it says which value.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct KernelError(pub String);

impl From<ArrowError> for KernelError {
    fn from(error: ArrowError) -> Self {
        Self(match error {
            ArrowError::DivideByZero => "division by zero".to_owned(),
            other => other.to_string(),
        })
    }
}

/// The arguments of some rows.
#[derive(Debug)]
pub struct Inputs {
    columns: Vec<Input>,
    rows: usize,
}

/// One argument of some rows: a column, or one value for all of them.
#[derive(Clone, Debug)]
pub struct Input {
    array: ArrayRef,
    is_constant: bool,
}

impl Inputs {
    /// The arguments of `rows` rows.
    pub fn new(columns: Vec<Input>, rows: usize) -> Self {
        Self { columns, rows }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many arguments.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is no argument.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Argument `index`.
    ///
    /// # Errors
    /// When there is no such argument.
    pub fn get(&self, index: usize) -> Result<&Input, KernelError> {
        self.columns.get(index).ok_or_else(|| KernelError(format!("argument {} is missing", index + 1)))
    }

    /// All arguments.
    pub fn iter(&self) -> impl Iterator<Item = &Input> {
        self.columns.iter()
    }
}

impl Input {
    /// A column.
    pub fn column(array: ArrayRef) -> Self {
        Self { array, is_constant: false }
    }

    /// The one value of `array` for all rows.
    pub fn constant(array: ArrayRef) -> Self {
        Self { array, is_constant: true }
    }

    /// Whether this is one value for all rows.
    pub fn is_constant(&self) -> bool {
        self.is_constant
    }

    /// The values: one when [constant](Self::is_constant), else one a row.
    pub fn array(&self) -> &ArrayRef {
        &self.array
    }

    /// Where in [`array`](Self::array) the value of `row` is.
    #[inline]
    pub fn index(&self, row: usize) -> usize {
        if self.is_constant { 0 } else { row }
    }

    /// Whether the value of `row` is NULL.
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.array.is_null(self.index(row))
    }

    /// The values as a column of `rows` rows, also when they are one constant.
    ///
    /// # Errors
    /// When the constant cannot be repeated so often.
    pub fn expanded(&self, rows: usize) -> Result<ArrayRef, KernelError> {
        if !self.is_constant || rows == 1 {
            return Ok(Arc::clone(&self.array));
        }
        let indices = arrow_array::UInt32Array::from(vec![0u32; rows]);
        Ok(arrow_select::take::take(&self.array, &indices, None)?)
    }

    /// As strings.
    ///
    /// # Errors
    /// When they are not.
    pub fn text(&self) -> Result<Values<'_, StringArray>, KernelError> {
        self.typed(self.array.as_string_opt())
    }

    /// As byte strings.
    ///
    /// # Errors
    /// When they are not.
    pub fn binary(&self) -> Result<Values<'_, BinaryArray>, KernelError> {
        self.typed(self.array.as_binary_opt())
    }

    /// As truth values.
    ///
    /// # Errors
    /// When they are not.
    pub fn boolean(&self) -> Result<Values<'_, BooleanArray>, KernelError> {
        self.typed(self.array.as_boolean_opt())
    }

    /// As numbers, dates, times or other values of fixed width.
    ///
    /// # Errors
    /// When they are not.
    pub fn primitive<T: ArrowPrimitiveType>(&self) -> Result<Values<'_, PrimitiveArray<T>>, KernelError> {
        self.typed(self.array.as_primitive_opt())
    }

    fn typed<'a, A: Array>(&'a self, array: Option<&'a A>) -> Result<Values<'a, A>, KernelError> {
        let is_constant = self.is_constant;
        array.map(|array| Values { array, is_constant }).ok_or_else(|| {
            KernelError(format!("a column of {} came where another was expected", self.array.data_type()))
        })
    }
}

/// The values of an argument, by row.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a, A> {
    array: &'a A,
    is_constant: bool,
}

macro_rules! values {
    ($($array:ty => $value:ty),* $(,)?) => {$(
        impl<'a> Values<'a, $array> {
            /// The value of `row`; `None` when it is NULL.
            #[inline]
            pub fn get(&self, row: usize) -> Option<$value> {
                let index = if self.is_constant { 0 } else { row };
                (!self.array.is_null(index)).then(|| self.array.value(index))
            }
        }
    )*};
}
values!(StringArray => &'a str, BinaryArray => &'a [u8], BooleanArray => bool);

impl<T: ArrowPrimitiveType> Values<'_, PrimitiveArray<T>> {
    /// The value of `row`; `None` when it is NULL.
    #[inline]
    pub fn get(&self, row: usize) -> Option<T::Native> {
        let index = if self.is_constant { 0 } else { row };
        (!self.array.is_null(index)).then(|| self.array.value(index))
    }
}
