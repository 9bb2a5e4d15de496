//! Functions that look into JSON.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int32Builder};

use super::evaluate::read;
use super::path::Path;
use super::value::{Json, parse};
use crate::functions::kernel::{Argument, FunctionContext, Input, KernelError, Mismatch, Resolved};
use crate::functions::support::{ListEnds, TextColumn, Want, booleans, string_like, strings, targets};
use crate::functions::text::push_utf16;
use crate::types::{LogicalType, TypeRoot};

type Arguments<'a> = &'a [Argument<'a>];

/// What is at a path: `None` of nothing or `null`, `Err` of what is not there in strict mode.
type Outcome<'d> = Result<Option<Cow<'d, Json<'d>>>, String>;

/// Does `then` with what is at `path` of the document `text`.
fn look<R>(text: &str, path: &Path, then: impl FnOnce(Outcome<'_>) -> R) -> R {
    let document = match parse(text) {
        Ok(document) => document,
        Err(_) if path.is_lax => return then(Ok(None)),
        Err(error) => return then(Err(error.to_string())),
    };
    let steps = match &path.steps {
        Ok(steps) => steps,
        Err(error) => return then(Err(error.clone())),
    };
    if document == Json::Null {
        return then(Err("there is no path in null".to_owned()));
    }
    match read(steps, &document, path.is_lax) {
        Ok(Some(value)) if *value != Json::Null => then(Ok(Some(value))),
        Ok(_) if path.is_lax => then(Ok(None)),
        Ok(_) => {
            then(Err("Strict jsonpath mode requires a non empty returned value, but is null".to_owned()))
        }
        Err(error) => then(Err(error.to_string())),
    }
}

/// The paths of an argument: read once when it is a literal.
struct Paths {
    known: Option<Path>,
}

impl Paths {
    fn of(argument: Option<&Argument<'_>>) -> Self {
        Self { known: argument.and_then(Argument::text).map(Path::new) }
    }

    fn session(&self) -> Current<'_> {
        Current { known: self.known.as_ref(), last: None }
    }
}

struct Current<'a> {
    known: Option<&'a Path>,
    last: Option<(String, Path)>,
}

impl Current<'_> {
    fn get(&mut self, spec: &str) -> &Path {
        if let Some(known) = self.known {
            return known;
        }
        if self.last.as_ref().is_some_and(|(last, _)| last != spec) {
            self.last = None;
        }
        &self.last.get_or_insert_with(|| (spec.to_owned(), Path::new(spec))).1
    }
}

pub(super) fn is_json(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "(STRING[, 'VALUE' | 'OBJECT' | 'ARRAY' | 'SCALAR'])";
    let types = targets(arguments, &[Want::Text], &[Want::Text], expects)?;
    let fits: fn(&Json<'_>) -> bool = match arguments.get(1).map(Argument::text) {
        None | Some(Some("VALUE")) => |_| true,
        Some(Some("OBJECT")) => |value| matches!(value, Json::Object(_)),
        Some(Some("ARRAY")) => |value| matches!(value, Json::Array(_)),
        Some(Some("SCALAR")) => |value| value.is_scalar(),
        _ => return Err(Mismatch::new(format!("expects {expects}"))),
    };
    Ok(Resolved::new(types, TypeRoot::Boolean.not_null(), move |inputs| {
        let texts = inputs.get(0)?.text()?;
        booleans(inputs, |row| {
            let value = texts.get(row).map(parse);
            Ok(Some(matches!(value, Some(Ok(value)) if fits(&value))))
        })
    }))
}

/// What happens instead of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instead {
    Null,
    Error,
    True,
    False,
    EmptyArray,
    EmptyObject,
    /// The value of the argument with the index.
    Default(usize),
}

/// `WITHOUT`, `WITH CONDITIONAL` or `WITH UNCONDITIONAL ARRAY WRAPPER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrapper {
    Without,
    Conditional,
    Unconditional,
}

/// The options behind the document and the path.
struct Options {
    returning: Option<TypeRoot>,
    on_empty: Instead,
    on_error: Instead,
    wrapper: Wrapper,
    /// Which arguments are values instead of a missing one.
    defaults: Vec<usize>,
}

impl Options {
    fn read(arguments: Arguments<'_>, on_error: Instead) -> Result<Self, Mismatch> {
        let mut options = Options {
            returning: None,
            on_empty: Instead::Null,
            on_error,
            wrapper: Wrapper::Without,
            defaults: Vec::new(),
        };
        let mut index = 2;
        while let Some(argument) = arguments.get(index) {
            let option =
                argument.text().ok_or_else(|| Mismatch::new("expects literal options behind the path"))?;
            let unknown = || Mismatch::new(format!("does not have the option {option}"));
            if let Some(name) = option.strip_prefix("RETURNING ") {
                options.returning = Some(match name {
                    "STRING" | "VARCHAR" => TypeRoot::STRING,
                    "BOOLEAN" => TypeRoot::Boolean,
                    "INTEGER" | "INT" => TypeRoot::Int,
                    "DOUBLE" => TypeRoot::Double,
                    "ARRAY<STRING>" => TypeRoot::Array(Box::new(TypeRoot::STRING.nullable())),
                    _ => return Err(Mismatch::new(format!("cannot return {name}"))),
                });
            } else if let Some(what) = option.strip_prefix("ON EMPTY ") {
                options.on_empty = options.instead(what, &mut index).ok_or_else(unknown)?;
            } else if let Some(what) = option.strip_prefix("ON ERROR ") {
                options.on_error = options.instead(what, &mut index).ok_or_else(unknown)?;
            } else {
                options.wrapper = match option {
                    "WITHOUT ARRAY WRAPPER" | "WITHOUT WRAPPER" => Wrapper::Without,
                    "WITH CONDITIONAL ARRAY WRAPPER" | "WITH CONDITIONAL WRAPPER" => Wrapper::Conditional,
                    "WITH UNCONDITIONAL ARRAY WRAPPER"
                    | "WITH UNCONDITIONAL WRAPPER"
                    | "WITH ARRAY WRAPPER"
                    | "WITH WRAPPER" => Wrapper::Unconditional,
                    _ => return Err(unknown()),
                };
            }
            index += 1;
        }
        if options.defaults.iter().any(|index| *index >= arguments.len()) {
            return Err(Mismatch::new("expects a value behind DEFAULT"));
        }
        Ok(options)
    }

    fn instead(&mut self, what: &str, index: &mut usize) -> Option<Instead> {
        Some(match what {
            "NULL" | "UNKNOWN" => Instead::Null,
            "ERROR" => Instead::Error,
            "TRUE" => Instead::True,
            "FALSE" => Instead::False,
            "EMPTY ARRAY" => Instead::EmptyArray,
            "EMPTY OBJECT" => Instead::EmptyObject,
            "DEFAULT" => {
                *index += 1;
                self.defaults.push(*index);
                Instead::Default(*index)
            }
            _ => return None,
        })
    }

    fn only(&self, allowed: &[Instead]) -> Result<(), Mismatch> {
        let is_allowed = |instead: &Instead| {
            matches!(instead, Instead::Default(_)) && allowed.contains(&Instead::Default(0))
                || allowed.contains(instead)
        };
        match [self.on_empty, self.on_error].iter().find(|instead| !is_allowed(instead)) {
            Some(instead) => Err(Mismatch::new(format!("does not know what to do with {instead:?}"))),
            None => Ok(()),
        }
    }

    /// The types of the arguments: values instead of a missing one are of the type of the result.
    fn types(
        &self,
        arguments: Arguments<'_>,
        returns: &TypeRoot,
        expects: &str,
    ) -> Result<Vec<LogicalType>, Mismatch> {
        let first = arguments.get(..2).ok_or_else(|| Mismatch::new(format!("expects {expects}")))?;
        let mut types = targets(first, &[Want::Text, Want::Text], &[], expects)?;
        for (index, argument) in arguments.iter().enumerate().skip(2) {
            let root =
                if self.defaults.contains(&index) { returns.clone() } else { argument.logical.root.clone() };
            types.push(LogicalType { root, nullable: argument.logical.nullable });
        }
        Ok(types)
    }
}

pub(super) fn json_exists(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects =
        "(STRING, STRING[, 'ON ERROR TRUE' | 'ON ERROR FALSE' | 'ON ERROR UNKNOWN' | 'ON ERROR ERROR'])";
    let options = Options::read(arguments, Instead::False)?;
    options.only(&[Instead::Null, Instead::Error, Instead::True, Instead::False])?;
    let types = options.types(arguments, &TypeRoot::Boolean, expects)?;
    let paths = Paths::of(arguments.get(1));
    Ok(Resolved::new(types, TypeRoot::Boolean.nullable(), move |inputs| {
        let (texts, specs) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let mut session = paths.session();
        booleans(inputs, |row| {
            let (Some(text), Some(spec)) = (texts.get(row), specs.get(row)) else { return Ok(None) };
            look(text, session.get(spec), |outcome| match outcome {
                Ok(value) => Ok(Some(value.is_some())),
                Err(error) => match options.on_error {
                    Instead::Error => Err(KernelError(error)),
                    Instead::True => Ok(Some(true)),
                    Instead::False => Ok(Some(false)),
                    _ => Ok(None),
                },
            })
        })
    }))
}

/// Decides between the value and what is instead of it.
enum Chosen<'d> {
    Value(Cow<'d, Json<'d>>),
    Null,
    Default(usize),
}

fn choose<'d>(options: &Options, outcome: Outcome<'d>, is_lax: bool) -> Result<Chosen<'d>, KernelError> {
    let (instead, error) = match outcome {
        Ok(Some(value)) if value.is_scalar() => return Ok(Chosen::Value(value)),
        Ok(Some(_)) if !is_lax => (
            options.on_error,
            "Strict jsonpath mode requires scalar value, and the actual value is not one".to_owned(),
        ),
        Ok(_) => (options.on_empty, "Empty result of JSON_VALUE function is not allowed".to_owned()),
        Err(error) => (options.on_error, error),
    };
    match instead {
        Instead::Error => Err(KernelError(error)),
        Instead::Default(index) => Ok(Chosen::Default(index)),
        _ => Ok(Chosen::Null),
    }
}

pub(super) fn json_value(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "(STRING, STRING, options …)";
    let options = Options::read(arguments, Instead::Null)?;
    options.only(&[Instead::Null, Instead::Error, Instead::Default(0)])?;
    let returns = options.returning.clone().unwrap_or(TypeRoot::STRING);
    if matches!(returns, TypeRoot::Array(_)) {
        return Err(Mismatch::new("cannot return an ARRAY"));
    }
    let types = options.types(arguments, &returns, expects)?;
    let paths = Paths::of(arguments.get(1));
    let root = returns.clone();
    Ok(Resolved::new(types, returns.nullable(), move |inputs| {
        let (texts, specs) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let mut session = paths.session();
        // One way for all types: what to do with a value, with NULL, and with the value of another argument.
        let mut each = |row: usize, then: &mut dyn FnMut(Chosen<'_>) -> Result<(), KernelError>| {
            let (Some(text), Some(spec)) = (texts.get(row), specs.get(row)) else {
                return then(Chosen::Null);
            };
            let path = session.get(spec);
            look(text, path, |outcome| then(choose(&options, outcome, path.is_lax)?))
        };
        macro_rules! column {
            ($builder:expr, $read:ident, $value:expr) => {{
                let mut column = $builder;
                for row in 0..inputs.rows() {
                    each(row, &mut |chosen| {
                        match chosen {
                            Chosen::Null => column.append_null(),
                            Chosen::Value(value) => column.append_value($value(&value)?),
                            Chosen::Default(index) => {
                                column.append_option(default::$read(inputs.get(index)?, row)?)
                            }
                        }
                        Ok(())
                    })?;
                }
                Ok(Arc::new(column.finish()))
            }};
        }
        match &root {
            TypeRoot::Boolean => {
                column!(BooleanBuilder::with_capacity(inputs.rows()), boolean, |value: &Json<'_>| {
                    match value {
                        Json::Bool(truth) => Ok(*truth),
                        other => Err(not_of(other, "a BOOLEAN")),
                    }
                })
            }
            TypeRoot::Int => column!(Int32Builder::with_capacity(inputs.rows()), int, |value: &Json<'_>| {
                match value {
                    Json::Integer(number) => number.parse::<i32>().map_err(|_| not_of(value, "an INTEGER")),
                    other => Err(not_of(other, "an INTEGER")),
                }
            }),
            TypeRoot::Double => {
                column!(Float64Builder::with_capacity(inputs.rows()), double, |value: &Json<'_>| {
                    match value {
                        Json::Decimal(number) => number.parse::<f64>().map_err(|_| not_of(value, "a DOUBLE")),
                        // Flink fails with what it did not expect where the number has no point.
                        Json::Integer(number) => number.parse::<f64>().map_err(|_| not_of(value, "a DOUBLE")),
                        Json::Double(number) => Ok(*number),
                        other => Err(not_of(other, "a DOUBLE")),
                    }
                })
            }
            _ => {
                let mut column = TextColumn::new(inputs.rows());
                for row in 0..inputs.rows() {
                    each(row, &mut |chosen| match chosen {
                        Chosen::Value(value) => {
                            value.write_plain(column.next());
                            column.end()
                        }
                        Chosen::Default(index) => match inputs.get(index)?.text()?.get(row) {
                            Some(text) => column.push(text),
                            None => {
                                column.null();
                                Ok(())
                            }
                        },
                        Chosen::Null => {
                            column.null();
                            Ok(())
                        }
                    })?;
                }
                Ok(Arc::new(column.finish()?))
            }
        }
    }))
}

fn not_of(value: &Json<'_>, wanted: &str) -> KernelError {
    let mut text = String::new();
    value.write(&mut text);
    KernelError(format!("JSON_VALUE found {text}, which is not {wanted}"))
}

mod default {
    //! The value of an argument that stands in for a missing one.

    use super::{Input, KernelError};
    use arrow_array::types::{Float64Type, Int32Type};

    pub(super) fn boolean(input: &Input, row: usize) -> Result<Option<bool>, KernelError> {
        Ok(input.boolean()?.get(row))
    }

    pub(super) fn int(input: &Input, row: usize) -> Result<Option<i32>, KernelError> {
        Ok(input.primitive::<Int32Type>()?.get(row))
    }

    pub(super) fn double(input: &Input, row: usize) -> Result<Option<f64>, KernelError> {
        Ok(input.primitive::<Float64Type>()?.get(row))
    }
}

/// The array or object that `JSON_QUERY` finds, or what is instead of it.
fn query<'d>(
    options: &Options,
    outcome: Outcome<'d>,
    is_lax: bool,
) -> Result<Result<Cow<'d, Json<'d>>, Instead>, KernelError> {
    let wrapped = outcome.map(|value| {
        value.map(|value| match options.wrapper {
            Wrapper::Without => value,
            Wrapper::Conditional if matches!(*value, Json::Array(_)) => value,
            _ => Cow::Owned(Json::Array(vec![value.into_owned()])),
        })
    });
    let (instead, error) = match wrapped {
        Ok(Some(value)) if !value.is_scalar() => return Ok(Ok(value)),
        Ok(Some(_)) if !is_lax => (
            options.on_error,
            "Strict jsonpath mode requires array or object value, and the actual value is neither".to_owned(),
        ),
        Ok(_) => (options.on_empty, "Empty result of JSON_QUERY function is not allowed".to_owned()),
        Err(error) => (options.on_error, error),
    };
    if instead == Instead::Error { Err(KernelError(error)) } else { Ok(Err(instead)) }
}

pub(super) fn json_query(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "(STRING, STRING, options …)";
    let options = Options::read(arguments, Instead::Null)?;
    options.only(&[Instead::Null, Instead::Error, Instead::EmptyArray, Instead::EmptyObject])?;
    let returns = options.returning.clone().unwrap_or(TypeRoot::STRING);
    let is_array = match &returns {
        TypeRoot::Array(_) => true,
        root if root.is_character() => false,
        other => return Err(Mismatch::new(format!("cannot return {other}"))),
    };
    if is_array && [options.on_empty, options.on_error].contains(&Instead::EmptyObject) {
        return Err(Mismatch::new("cannot return an empty object as an ARRAY"));
    }
    let types = options.types(arguments, &returns, expects)?;
    let paths = Paths::of(arguments.get(1));
    Ok(Resolved::new(types, returns.nullable(), move |inputs| {
        let (texts, specs) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let mut session = paths.session();
        if !is_array {
            return strings(inputs, |row, out| {
                let (Some(text), Some(spec)) = (texts.get(row), specs.get(row)) else { return Ok(false) };
                let path = session.get(spec);
                look(text, path, |outcome| match query(&options, outcome, path.is_lax)? {
                    Ok(value) => {
                        value.write(out);
                        Ok(true)
                    }
                    Err(instead) => {
                        out.push_str(match instead {
                            Instead::EmptyArray => "[]",
                            Instead::EmptyObject => "{}",
                            _ => return Ok(false),
                        });
                        Ok(true)
                    }
                })
            });
        }
        let mut lists = ListEnds::new(inputs.rows());
        let mut elements = TextColumn::new(inputs.rows());
        for row in 0..inputs.rows() {
            let (Some(text), Some(spec)) = (texts.get(row), specs.get(row)) else {
                lists.null();
                continue;
            };
            let path = session.get(spec);
            look(text, path, |outcome| {
                let instead = match query(&options, outcome, path.is_lax)? {
                    Ok(value) => match &*value {
                        Json::Array(found) => {
                            for element in found {
                                if *element == Json::Null {
                                    elements.null();
                                } else {
                                    element.write_plain(elements.next());
                                    elements.end()?;
                                }
                            }
                            return lists.end(elements.len());
                        }
                        // An object is no array.
                        _ if options.on_error == Instead::Error => {
                            return Err(KernelError(
                                "JSON_QUERY found an object where an array is returned".to_owned(),
                            ));
                        }
                        _ => options.on_error,
                    },
                    Err(instead) => instead,
                };
                match instead {
                    Instead::EmptyArray => lists.end(elements.len()),
                    _ => {
                        lists.null();
                        Ok(())
                    }
                }
            })?;
        }
        lists.into_lists(Arc::new(elements.finish()?))
    }))
}

pub(super) fn json(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text], &[], "(STRING)")?;
    Ok(Resolved::new(types, TypeRoot::STRING.nullable(), |inputs| {
        let texts = inputs.get(0)?.text()?;
        strings(inputs, |row, out| {
            let Some(text) = texts.get(row) else { return Ok(false) };
            let trimmed = text.trim_matches(|c: char| c <= ' ');
            if trimmed.is_empty() {
                return Ok(false);
            }
            let invalid = |error| {
                KernelError(format!(
                    "Invalid JSON string in JSON(value) function: \"{text}\". Error: {error}"
                ))
            };
            parse(trimmed).map_err(invalid)?.write(out);
            Ok(true)
        })
    }))
}

pub(super) fn json_quote(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    use std::fmt::Write;
    let types = targets(arguments, &[Want::Text], &[], "(STRING)")?;
    Ok(Resolved::new(types, string_like(arguments), |inputs| {
        let texts = inputs.get(0)?.text()?;
        strings(inputs, |row, out| {
            let Some(text) = texts.get(row) else { return Ok(false) };
            out.push('"');
            for c in text.chars() {
                match c {
                    '\x08' => out.push_str("\\b"),
                    '\t' => out.push_str("\\t"),
                    '\n' => out.push_str("\\n"),
                    '\x0C' => out.push_str("\\f"),
                    '\r' => out.push_str("\\r"),
                    '"' | '/' | '\\' => out.extend(['\\', c]),
                    _ if c.is_ascii() => out.push(c),
                    _ => {
                        // As in Flink: the number of the character, and again its second half when Java has
                        // two for it.
                        let mut units = [0; 2];
                        let units = c.encode_utf16(&mut units);
                        let mut written = write!(out, "\\u{:04x}", u32::from(c));
                        if let [_, second] = units {
                            written = written.and_then(|()| write!(out, "\\u{second:04x}"));
                        }
                        written.map_err(|_| KernelError("a string cannot be written".to_owned()))?;
                    }
                }
            }
            out.push('"');
            Ok(true)
        })
    }))
}

pub(super) fn json_unquote(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text], &[], "(STRING)")?;
    Ok(Resolved::new(types, string_like(arguments), |inputs| {
        let texts = inputs.get(0)?.text()?;
        strings(inputs, |row, out| {
            let Some(text) = texts.get(row) else { return Ok(false) };
            let start = out.len();
            let inner = text
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
                .filter(|_| parse(text).is_ok());
            if inner.and_then(|inner| unescape(inner, out)).is_none() {
                out.truncate(start);
                out.push_str(text);
            }
            Ok(true)
        })
    }))
}

/// Appends what stands between quotes; `None` when there is an escape that is none.
fn unescape(text: &str, out: &mut String) -> Option<()> {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(rest.get(..at)?);
        let mut behind = rest.get(at + 1..)?.chars();
        let Some(escaped) = behind.next() else {
            out.push('\\');
            return Some(());
        };
        rest = behind.as_str();
        out.push(match escaped {
            '"' | '/' | '\\' => escaped,
            'b' => '\x08',
            'f' => '\x0C',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let code = |text: &str| u16::from_str_radix(text.get(..4)?, 16).ok();
                let first = code(rest)?;
                rest = rest.get(4..)?;
                let second =
                    rest.strip_prefix("\\u").filter(|_| (0xD800..0xDC00).contains(&first)).and_then(code);
                if second.is_some() {
                    rest = rest.get(6..)?;
                }
                push_utf16(out, [first].into_iter().chain(second));
                continue;
            }
            _ => return None,
        });
    }
    out.push_str(rest);
    Some(())
}
