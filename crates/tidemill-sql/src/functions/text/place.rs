//! Where something is in a string, and what is there.

use std::sync::Arc;

use arrow_array::types::{Int32Type, Int64Type};

use super::chars;
use crate::functions::kernel::{Argument, FunctionContext, KernelError, Mismatch, Resolved};
use crate::functions::support::{
    Want, any_nullable, booleans, null_like, primitives, strings, targets, varying,
};
use crate::types::{LogicalType, TypeRoot};

type Arguments<'a> = &'a [Argument<'a>];

pub(super) fn char_length(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text], &[], "(STRING)")?;
    Ok(Resolved::new(types, null_like(TypeRoot::Int, arguments), |inputs| {
        let text = inputs.get(0)?.text()?;
        let lengths =
            primitives::<Int32Type>(inputs, |row| Ok(text.get(row).map(|text| to_int(chars::count(text)))))?;
        Ok(Arc::new(lengths))
    }))
}

fn to_int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The place of the first `seek` in `text` from character `from` on, both from 0; `None` when there is none.
fn index_of(text: &str, seek: &str, from: i64) -> Option<usize> {
    if seek.is_empty() {
        return Some(0);
    }
    let from = usize::try_from(from).unwrap_or(0);
    let skipped = if from == 0 { 0 } else { chars::offset(text, from) };
    let rest = text.get(skipped..)?;
    let found = rest.find(seek)?;
    let between = rest.get(..found)?;
    Some(from + if between.is_ascii() { found } else { chars::count(between) })
}

fn place(found: Option<usize>) -> i32 {
    found.map_or(0, |index| to_int(index + 1))
}

pub(super) fn position(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text, Want::Text], &[], "(STRING IN STRING)")?;
    Ok(located(types, null_like(TypeRoot::Int, arguments), false))
}

pub(super) fn locate(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text, Want::Text], &[Want::Integer], "(STRING, STRING[, INT])")?;
    let has_start = types.len() == 3;
    Ok(located(types, null_like(TypeRoot::Int, arguments), has_start))
}

fn located(types: Vec<LogicalType>, returns: LogicalType, has_start: bool) -> Resolved {
    Resolved::new(types, returns, move |inputs| {
        let (seek, text) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let start = has_start.then(|| inputs.get(2)?.primitive::<Int64Type>()).transpose()?;
        let places = primitives::<Int32Type>(inputs, |row| {
            let start = match &start {
                Some(start) => start.get(row),
                None => Some(1),
            };
            Ok(match (seek.get(row), text.get(row), start) {
                (Some(seek), Some(text), Some(start)) => {
                    Some(place(index_of(text, seek, start.saturating_sub(1))))
                }
                _ => None,
            })
        })?;
        Ok(Arc::new(places))
    })
}

pub(super) fn instr(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(
        arguments,
        &[Want::Text, Want::Text],
        &[Want::Integer, Want::Integer],
        "(STRING, STRING[, INT[, INT]])",
    )?;
    let count = types.len();
    Ok(Resolved::new(types, null_like(TypeRoot::Int, arguments), move |inputs| {
        let (text, seek) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let start = (count > 2).then(|| inputs.get(2)?.primitive::<Int64Type>()).transpose()?;
        let occurrence = (count > 3).then(|| inputs.get(3)?.primitive::<Int64Type>()).transpose()?;
        let (mut reversed, mut reversed_seek) = (String::new(), String::new());
        let places = primitives::<Int32Type>(inputs, |row| {
            let (Some(text), Some(seek)) = (text.get(row), seek.get(row)) else { return Ok(None) };
            let start = start.as_ref().map_or(Some(1), |start| start.get(row));
            let occurrence = occurrence.as_ref().map_or(Some(1), |occurrence| occurrence.get(row));
            let (Some(start), Some(occurrence)) = (start, occurrence) else { return Ok(None) };
            if occurrence <= 0 {
                return Err(KernelError(format!(
                    "the occurrence that INSTR looks for must be positive, not {occurrence}"
                )));
            }
            Ok(Some(match start {
                0 => 0,
                1.. => nth(text, seek, start, occurrence),
                _ => {
                    // Backwards: in the reversed string, and counted from its other end.
                    reversed.clear();
                    reversed.extend(text.chars().rev());
                    reversed_seek.clear();
                    reversed_seek.extend(seek.chars().rev());
                    match nth(&reversed, &reversed_seek, start.saturating_neg(), occurrence) {
                        0 => 0,
                        place => to_int(chars::count(text)) + 2 - place - to_int(chars::count(seek)),
                    }
                }
            }))
        })?;
        Ok(Arc::new(places))
    }))
}

fn nth(text: &str, seek: &str, start: i64, occurrence: i64) -> i32 {
    let mut start = start;
    let mut found = 0;
    for _ in 0..occurrence {
        found = place(index_of(text, seek, start - 1));
        if found == 0 || seek.is_empty() {
            return found;
        }
        start = i64::from(found) + 1;
    }
    found
}

/// SQL's part of a string: `start` from 1, or from the end when it is negative. `None` when `length` is
/// negative.
fn sql_part(text: &str, start: i64, length: i64) -> Option<&str> {
    let length = usize::try_from(length).ok()?;
    let start = match start {
        1.. => start - 1,
        0 => 0,
        _ => {
            let from_end = i64::try_from(chars::count(text)).unwrap_or(i64::MAX) + start;
            if from_end < 0 {
                return Some("");
            }
            from_end
        }
    };
    Some(chars::part(text, usize::try_from(start).unwrap_or(usize::MAX), length))
}

pub(super) fn substring(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text, Want::Integer], &[Want::Integer], "(STRING, INT[, INT])")?;
    let has_length = types.len() == 3;
    let returns = types.first().map_or(TypeRoot::STRING, varying).nullable();
    Ok(Resolved::new(types, returns, move |inputs| {
        let text = inputs.get(0)?.text()?;
        let start = inputs.get(1)?.primitive::<Int64Type>()?;
        let length = has_length.then(|| inputs.get(2)?.primitive::<Int64Type>()).transpose()?;
        strings(inputs, |row, out| {
            let length = length.as_ref().map_or(Some(i64::MAX), |length| length.get(row));
            let (Some(text), Some(start), Some(length)) = (text.get(row), start.get(row), length) else {
                return Ok(false);
            };
            let part = sql_part(text, start, length);
            out.push_str(part.unwrap_or_default());
            Ok(part.is_some())
        })
    }))
}

pub(super) fn left(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    ends(arguments, |text, length| sql_part(text, 1, length).unwrap_or_default())
}

pub(super) fn right(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    ends(arguments, |text, length| match usize::try_from(length) {
        Ok(0) | Err(_) => "",
        // Characters are counted from the end, so that the start need not be looked at.
        Ok(length) => match text.char_indices().rev().nth(length - 1) {
            Some((start, _)) => text.get(start..).unwrap_or_default(),
            None => text,
        },
    })
}

fn ends(
    arguments: Arguments<'_>,
    part: impl for<'a> Fn(&'a str, i64) -> &'a str + Send + Sync + 'static,
) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text, Want::Integer], &[], "(STRING, INT)")?;
    let returns = types.first().map_or(TypeRoot::STRING, varying).nullable();
    Ok(Resolved::new(types, returns, move |inputs| {
        let (text, length) = (inputs.get(0)?.text()?, inputs.get(1)?.primitive::<Int64Type>()?);
        strings(inputs, |row, out| {
            let (Some(text), Some(length)) = (text.get(row), length.get(row)) else { return Ok(false) };
            out.push_str(part(text, length));
            Ok(true)
        })
    }))
}

pub(super) fn starts_with(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    matched(arguments, |whole, part| whole.starts_with(part))
}

pub(super) fn ends_with(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    matched(arguments, |whole, part| whole.ends_with(part))
}

fn matched(
    arguments: Arguments<'_>,
    matches: impl Fn(&[u8], &[u8]) -> bool + Send + Sync + 'static,
) -> Result<Resolved, Mismatch> {
    let expects = "(STRING, STRING) or (BYTES, BYTES)";
    let is_binary =
        arguments.iter().any(|a| matches!(a.logical.root, TypeRoot::Binary(_) | TypeRoot::Varbinary(_)));
    let want = if is_binary { Want::Bytes } else { Want::Text };
    let types = targets(arguments, &[want, want], &[], expects)?;
    let returns = TypeRoot::Boolean.not_null().with_nullable(any_nullable(arguments));
    Ok(Resolved::new(types, returns, move |inputs| {
        let (whole, part) = (inputs.get(0)?, inputs.get(1)?);
        if is_binary {
            let (whole, part) = (whole.binary()?, part.binary()?);
            booleans(inputs, |row| {
                Ok(whole.get(row).zip(part.get(row)).map(|(whole, part)| matches(whole, part)))
            })
        } else {
            let (whole, part) = (whole.text()?, part.text()?);
            booleans(inputs, |row| {
                let both = whole.get(row).zip(part.get(row));
                Ok(both.map(|(whole, part)| matches(whole.as_bytes(), part.as_bytes())))
            })
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::super::FUNCTIONS;
    use crate::functions::support::testing::{Given, call, number, text, truth};
    use datafusion_common::ScalarValue;

    fn none() -> Given {
        Given::from(None::<&str>)
    }

    #[test]
    fn lengths() {
        assert_eq!(number(FUNCTIONS, "CHAR_LENGTH", &["日本😀".into()]), Some(3));
        assert_eq!(number(FUNCTIONS, "CHARACTER_LENGTH", &["".into()]), Some(0));
        assert_eq!(number(FUNCTIONS, "CHAR_LENGTH", &[none()]), None);
        assert_eq!(call(FUNCTIONS, "CHAR_LENGTH", &[1.into()]), Err("expects (STRING)".to_owned()));
    }

    #[test]
    fn places() {
        let place = |name, arguments: &[Given]| number(FUNCTIONS, name, arguments);
        assert_eq!(place("POSITION", &["b".into(), "abc".into()]), Some(2));
        assert_eq!(place("POSITION", &["".into(), "abc".into()]), Some(1));
        assert_eq!(place("POSITION", &["z".into(), "abc".into()]), Some(0));
        assert_eq!(place("POSITION", &[none(), "abc".into()]), None);
        assert_eq!(place("LOCATE", &["b".into(), "abcb".into()]), Some(2));
        assert_eq!(place("LOCATE", &["b".into(), "abcb".into(), 3.into()]), Some(4));
        assert_eq!(place("LOCATE", &["b".into(), "abcb".into(), 0.into()]), Some(2));
        assert_eq!(place("LOCATE", &["b".into(), "abcb".into(), (-1).into()]), Some(2));
        assert_eq!(place("LOCATE", &["".into(), "abc".into(), 9.into()]), Some(1));
        assert_eq!(place("LOCATE", &["".into(), "".into()]), Some(1));
        assert_eq!(place("LOCATE", &["c".into(), "é日c".into(), 2.into()]), Some(3));
        assert_eq!(place("LOCATE", &["b".into(), "abc".into(), i64::MIN.into()]), Some(2));
        let floor = || Given::from("Corporate Floor");
        assert_eq!(place("INSTR", &[floor(), "or".into()]), Some(2));
        assert_eq!(place("INSTR", &[floor(), "or".into(), 3.into()]), Some(5));
        assert_eq!(place("INSTR", &[floor(), "or".into(), 3.into(), 2.into()]), Some(14));
        assert_eq!(place("INSTR", &[floor(), "or".into(), (-3).into(), 2.into()]), Some(2));
        assert_eq!(place("INSTR", &[floor(), "or".into(), 0.into()]), Some(0));
        assert_eq!(place("INSTR", &["abc".into(), "".into(), 4.into()]), Some(1));
        assert_eq!(place("INSTR", &["abc".into(), "".into(), 1.into(), i64::MAX.into()]), Some(1));
        let error = call(FUNCTIONS, "INSTR", &["abc".into(), "b".into(), 1.into(), 0.into()]).unwrap_err();
        assert!(error.contains("must be positive"), "{error}");
    }

    #[test]
    fn parts() {
        let part = |arguments: &[Given]| text(FUNCTIONS, "SUBSTRING", arguments);
        let hello = || Given::from("hello");
        assert_eq!(part(&[hello(), 2.into()]).as_deref(), Some("ello"));
        assert_eq!(part(&[hello(), (-3).into()]).as_deref(), Some("llo"));
        assert_eq!(part(&[hello(), (-3).into(), 2.into()]).as_deref(), Some("ll"));
        assert_eq!(part(&[hello(), 0.into(), 2.into()]).as_deref(), Some("he"));
        assert_eq!(part(&[hello(), 2.into(), (-1).into()]), None);
        assert_eq!(part(&[hello(), (-10).into(), 3.into()]).as_deref(), Some(""));
        assert_eq!(part(&["h日本llo".into(), 2.into(), 2.into()]).as_deref(), Some("日本"));
        assert_eq!(part(&[hello(), 9.into()]).as_deref(), Some(""));
        assert_eq!(part(&[hello(), 2.into(), i64::MAX.into()]).as_deref(), Some("ello"));
        assert_eq!(part(&["".into(), 0.into()]).as_deref(), Some(""));
        assert_eq!(text(FUNCTIONS, "SUBSTR", &[hello(), 2.into(), 1.into()]).as_deref(), Some("e"));
        let error = call(FUNCTIONS, "SUBSTRING", &[hello(), "b".into()]);
        assert_eq!(error, Err("expects (STRING, INT[, INT])".to_owned()));
        assert_eq!(text(FUNCTIONS, "LEFT", &[hello(), 2.into()]).as_deref(), Some("he"));
        assert_eq!(text(FUNCTIONS, "LEFT", &[hello(), (-1).into()]).as_deref(), Some(""));
        assert_eq!(text(FUNCTIONS, "RIGHT", &[hello(), 2.into()]).as_deref(), Some("lo"));
        assert_eq!(text(FUNCTIONS, "RIGHT", &[hello(), (-1).into()]).as_deref(), Some(""));
        assert_eq!(text(FUNCTIONS, "RIGHT", &[hello(), 9.into()]).as_deref(), Some("hello"));
        assert_eq!(text(FUNCTIONS, "RIGHT", &["日本".into(), 1.into()]).as_deref(), Some("本"));
        assert_eq!(text(FUNCTIONS, "RIGHT", &[none(), 1.into()]), None);
    }

    #[test]
    fn starts_and_ends() {
        assert_eq!(truth(FUNCTIONS, "STARTSWITH", &["abc".into(), "ab".into()]), Some(true));
        assert_eq!(truth(FUNCTIONS, "STARTSWITH", &["abc".into(), "".into()]), Some(true));
        assert_eq!(truth(FUNCTIONS, "ENDSWITH", &["abc".into(), "bc".into()]), Some(true));
        assert_eq!(truth(FUNCTIONS, "ENDSWITH", &["abc".into(), none()]), None);
        assert_eq!(
            truth(FUNCTIONS, "STARTSWITH", &[(&[1u8, 2][..]).into(), (&[1u8][..]).into()]),
            Some(true)
        );
        assert!(call(FUNCTIONS, "STARTSWITH", &["abc".into(), (&[1u8][..]).into()]).is_err());
    }

    #[test]
    fn null_literals_are_taken() {
        let null = crate::functions::support::testing::given(crate::types::TypeRoot::Null, ScalarValue::Null);
        assert_eq!(text(FUNCTIONS, "SUBSTRING", &[null, 1.into()]), None);
    }
}
