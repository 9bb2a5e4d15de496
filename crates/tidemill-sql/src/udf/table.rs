//! Functions that make rows of a row.

use std::sync::Arc;

use arrow_array::ArrayRef;

use super::scalar::{complete, exact};
use super::{Argument, FunctionError, Inputs, Mismatch, checked, guarded};
use crate::types::{LogicalType, TypeRoot};

/// A function that makes any number of rows of each row: `FROM t, LATERAL TABLE(f(t.x)) AS u(a, b)`, or behind
/// `LEFT JOIN LATERAL TABLE(…) ON TRUE`, which keeps rows of which nothing is made.
///
/// ```
/// use std::sync::Arc;
/// use arrow_array::{StringArray, cast::AsArray};
/// use tidemill_sql::types::TypeRoot;
/// use tidemill_sql::udf::{Argument, FunctionError, Inputs, Mismatch, TableFunction, TableRows, TableSignature};
///
/// /// `WORDS(STRING)`: a row for each word.
/// struct Words;
///
/// impl TableFunction for Words {
///     fn name(&self) -> &str {
///         "WORDS"
///     }
///
///     fn resolve(&self, arguments: &[Argument<'_>]) -> Result<TableSignature, Mismatch> {
///         TableSignature::exact(arguments, &[TypeRoot::STRING], [("word", TypeRoot::STRING.nullable())])
///     }
///
///     fn evaluate(&self, arguments: &Inputs) -> Result<TableRows, FunctionError> {
///         let texts = arguments.get(0)?.text()?;
///         let (mut of, mut words) = (Vec::new(), Vec::new());
///         for row in 0..arguments.rows() {
///             for word in texts.get(row).unwrap_or_default().split_whitespace() {
///                 of.push(row as u32);
///                 words.push(word);
///             }
///         }
///         Ok(TableRows { of, columns: vec![Arc::new(StringArray::from(words))] })
///     }
/// }
/// ```
pub trait TableFunction: Send + Sync + 'static {
    /// Its name.
    fn name(&self) -> &str;

    /// What it does, in one sentence, for `DESCRIBE FUNCTION`.
    fn description(&self) -> &str {
        ""
    }

    /// Says which types a call takes, and which columns its rows have.
    ///
    /// # Errors
    /// When the function does not take such arguments: says what it expects.
    fn resolve(&self, arguments: &[Argument<'_>]) -> Result<TableSignature, Mismatch>;

    /// The rows that are made of some rows. It is called with a bounded number of rows, and again for those that follow.
    ///
    /// # Errors
    /// When they cannot be made: that fails the job.
    fn evaluate(&self, arguments: &Inputs) -> Result<TableRows, FunctionError>;
}

/// The types that a call of a table function takes, and its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSignature {
    /// The types that the arguments are cast to, one for each.
    pub arguments: Vec<LogicalType>,
    /// The names and types of the columns.
    pub columns: Vec<(String, LogicalType)>,
}

impl TableSignature {
    /// Of a call that takes exactly arguments of `types`, or what Flink casts to them implicitly.
    ///
    /// # Errors
    /// When there are more or fewer arguments, or one is of another type.
    pub fn exact<'a>(
        arguments: &[Argument<'_>],
        types: &[TypeRoot],
        columns: impl IntoIterator<Item = (&'a str, LogicalType)>,
    ) -> Result<Self, Mismatch> {
        let columns = columns.into_iter().map(|(name, logical)| (name.to_owned(), logical)).collect();
        Ok(Self { arguments: exact(arguments, types)?, columns })
    }
}

/// Rows that were made of others.
#[derive(Clone, Debug)]
pub struct TableRows {
    /// Of each row the place of the one that it was made of, ascending.
    pub of: Vec<u32>,
    /// The columns, as the signature says.
    pub columns: Vec<ArrayRef>,
}

/// A table function where it is called.
#[derive(Clone)]
pub(crate) struct UserTable {
    function: Arc<dyn TableFunction>,
    columns: Arc<[(String, LogicalType)]>,
}

impl UserTable {
    /// A call of `function` and the types that its arguments are cast to.
    pub(super) fn resolved(
        function: &Arc<dyn TableFunction>,
        arguments: &[Argument<'_>],
    ) -> Result<(Self, Vec<LogicalType>), Mismatch> {
        let TableSignature { arguments: taken, columns } = function.resolve(arguments)?;
        complete(arguments.len(), &taken)?;
        if columns.is_empty() {
            return Err(Mismatch::new("says that its rows have no columns"));
        }
        Ok((Self { function: Arc::clone(function), columns: columns.into() }, taken))
    }

    pub(crate) fn name(&self) -> &str {
        self.function.name()
    }

    pub(crate) fn columns(&self) -> &[(String, LogicalType)] {
        &self.columns
    }

    /// The rows that are made of `inputs`.
    pub(crate) fn rows(&self, inputs: &Inputs) -> Result<TableRows, FunctionError> {
        guarded(self.name(), || {
            let TableRows { of, columns } = self.function.evaluate(inputs)?;
            if columns.len() != self.columns.len() {
                let (found, wanted) = (columns.len(), self.columns.len());
                return Err(FunctionError(format!("it gave {found} columns, but said {wanted}")));
            }
            let is_ascending = of.is_sorted();
            if !is_ascending || of.last().is_some_and(|last| *last as usize >= inputs.rows()) {
                return Err(FunctionError(
                    "the places of its rows are not ascending places of rows".to_owned(),
                ));
            }
            let typed = columns.into_iter().zip(self.columns.iter());
            let columns = typed
                .map(|(column, (_, logical))| checked(column, logical, of.len()))
                .collect::<Result<_, _>>()?;
            Ok(TableRows { of, columns })
        })
    }
}

impl std::fmt::Debug for UserTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for UserTable {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.function, &other.function) && self.columns == other.columns
    }
}

impl Eq for UserTable {}
