//! What can be wrong with a script, and where.

use std::fmt;
use std::sync::Arc;

use tidemill_core::{Classified, Fault};

/// A place in a script: line and column, both counted from one, the column in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from one; zero when the place is not known.
    pub line: u32,
    /// The column in characters, from one.
    pub column: u32,
}

impl Position {
    /// Whether this says a place at all.
    pub fn is_known(self) -> bool {
        self.line > 0
    }
}

impl From<sqlparser::tokenizer::Location> for Position {
    fn from(location: sqlparser::tokenizer::Location) -> Self {
        Self {
            line: u32::try_from(location.line).unwrap_or(u32::MAX),
            column: u32::try_from(location.column).unwrap_or(u32::MAX),
        }
    }
}

impl From<sqlparser::tokenizer::Span> for Position {
    fn from(span: sqlparser::tokenizer::Span) -> Self {
        span.start.into()
    }
}

/// What kind of thing is wrong, which decides the stable code of the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SqlErrorKind {
    /// The text is no statement.
    Syntax,
    /// A table, column, function or other name does not exist, or is not unique.
    Name,
    /// Types do not fit.
    Type,
    /// Valid in itself, but meaningless or refused where it stands.
    Semantic,
    /// A connector's, a format's or the session's option is unknown, missing or has a value that it cannot have.
    Option,
    /// A statement or feature of Flink that Tidemill does not have.
    Unsupported,
    /// The changelog of a query does not fit where it goes.
    Changelog,
    /// The program's own fault.
    Internal,
}

impl SqlErrorKind {
    const fn code(self) -> &'static str {
        match self {
            SqlErrorKind::Syntax => "TM-SQL-SYNTAX",
            SqlErrorKind::Name => "TM-SQL-NAME",
            SqlErrorKind::Type => "TM-SQL-TYPE",
            SqlErrorKind::Semantic => "TM-SQL-SEMANTIC",
            SqlErrorKind::Option => "TM-SQL-OPTION",
            SqlErrorKind::Unsupported => "TM-SQL-UNSUPPORTED",
            SqlErrorKind::Changelog => "TM-SQL-CHANGELOG",
            SqlErrorKind::Internal => "TM-SQL-INTERNAL",
        }
    }
}

/// Something is wrong with a script.
///
/// ```
/// use tidemill_core::Classified;
/// use tidemill_sql::error::{Position, SqlError, SqlErrorKind};
///
/// let script = "SELECT 1;\nSELECT prise FROM bid;";
/// let error = SqlError::new(SqlErrorKind::Name, "there is no column 'prise'")
///     .at(Position { line: 2, column: 8 })
///     .hint("did you mean 'price'?")
///     .in_script(script);
/// assert_eq!(error.code(), "TM-SQL-NAME");
/// assert_eq!(
///     error.to_string(),
///     "there is no column 'prise'\n --> line 2, column 8\n  |\n2 | SELECT prise FROM bid;\n  |        ^\nhint: did you mean 'price'?"
/// );
/// ```
#[derive(Clone, Debug)]
pub struct SqlError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: SqlErrorKind,
    message: String,
    position: Position,
    line: Option<Arc<str>>,
    hint: Option<String>,
}

/// What may be wrong with a script.
pub type SqlResult<T> = Result<T, SqlError>;

impl SqlError {
    /// An error that does not know its place yet.
    pub fn new(kind: SqlErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            position: Position::default(),
            line: None,
            hint: None,
        }))
    }

    /// A [`SqlErrorKind::Syntax`] error.
    pub fn syntax(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Syntax, message)
    }

    /// A [`SqlErrorKind::Name`] error.
    pub fn name(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Name, message)
    }

    /// A [`SqlErrorKind::Type`] error.
    pub fn types(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Type, message)
    }

    /// A [`SqlErrorKind::Semantic`] error.
    pub fn semantic(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Semantic, message)
    }

    /// A [`SqlErrorKind::Option`] error.
    pub fn option(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Option, message)
    }

    /// A [`SqlErrorKind::Unsupported`] error.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Unsupported, message)
    }

    /// A [`SqlErrorKind::Changelog`] error.
    pub fn changelog(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Changelog, message)
    }

    /// A [`SqlErrorKind::Internal`] error.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Internal, message)
    }

    /// Says where, unless that is known already: the innermost place is the most exact.
    #[must_use]
    pub fn at(mut self, position: impl Into<Position>) -> Self {
        if !self.0.position.is_known() {
            self.0.position = position.into();
        }
        self
    }

    /// Says what to do, unless that has been said already.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Quotes the line of `script` that the position is in.
    #[must_use]
    pub fn in_script(mut self, script: &str) -> Self {
        if self.0.line.is_none() && self.0.position.is_known() {
            self.0.line = script.lines().nth(self.0.position.line as usize - 1).map(Arc::from);
        }
        self
    }

    /// What kind of thing is wrong.
    pub fn kind(&self) -> SqlErrorKind {
        self.0.kind
    }

    /// What is wrong, without place and hint.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where.
    pub fn position(&self) -> Position {
        self.0.position
    }
}

/// Lines longer than this are shown around the place only.
const SHOWN: usize = 120;

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { message, position, line, hint, .. } = &*self.0;
        f.write_str(message)?;
        if position.is_known() {
            write!(f, "\n --> line {}, column {}", position.line, position.column)?;
            if let Some(line) = line {
                let before = position.column.saturating_sub(1) as usize;
                let cut = before.saturating_sub(SHOWN / 2);
                let shown: String = line
                    .chars()
                    .skip(cut)
                    .take(SHOWN)
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .collect();
                let number = position.line.to_string();
                let margin = " ".repeat(number.len());
                let caret = " ".repeat(before - cut);
                write!(f, "\n{margin} |\n{number} | {shown}\n{margin} | {caret}^")?;
            }
        }
        if let Some(hint) = hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SqlError {}

impl Classified for SqlError {
    fn code(&self) -> &'static str {
        self.0.kind.code()
    }

    fn fault(&self) -> Fault {
        match self.0.kind {
            SqlErrorKind::Internal => Fault::Internal,
            _ => Fault::User,
        }
    }
}

/// The one of `known` that is spelled most like `name`, if any is near enough to be meant.
///
/// ```
/// use tidemill_sql::error::nearest;
///
/// assert_eq!(nearest("SUBSTRNG", ["SUBSTRING", "SUM"]), Some("SUBSTRING"));
/// assert_eq!(nearest("x", ["SUBSTRING", "SUM"]), None);
/// ```
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let scored = known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()), candidate));
    let (distance, best) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= wanted.chars().count().max(3) / 3).then_some(best)
}
