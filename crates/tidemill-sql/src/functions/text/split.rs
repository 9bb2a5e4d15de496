//! Parts of strings, and choices between them.

use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, MapArray, StructArray};
use arrow_schema::DataType;

use super::chars::is_java_whitespace;
use super::encode::push_unit;
use crate::functions::kernel::{Argument, FunctionContext, KernelError, Mismatch, Resolved};
use crate::functions::regex::Patterns;
use crate::functions::support::{
    ListEnds, TextColumn, Want, null_like, repeated, strings, targets, unexpected,
};
use crate::types::arrow::data_type;
use crate::types::coercion::common_type;
use crate::types::{LogicalType, TypeRoot};

type Arguments<'a> = &'a [Argument<'a>];

/// The part `index` of `text` between separators; `None` when there is none. An empty separator stands for
/// white space.
fn nth_part<'a>(text: &'a str, separator: &str, index: usize) -> Option<&'a str> {
    let mut characters = separator.chars();
    match (text, characters.next(), characters.next()) {
        ("", ..) => None,
        (_, None, _) => text.split(is_java_whitespace).nth(index),
        // One character is looked for faster than a string.
        (_, Some(separator), None) => text.split(separator).nth(index),
        _ => text.split(separator).nth(index),
    }
}

pub(super) fn split_index(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "(STRING, STRING, INT) or (STRING, INT, INT)";
    let is_code = arguments.get(1).is_some_and(|separator| separator.logical.root.is_integer());
    let separator = if is_code { Want::Integer } else { Want::Text };
    let types = targets(arguments, &[Want::Text, separator, Want::Integer], &[], expects)?;
    Ok(Resolved::new(types, TypeRoot::STRING.nullable(), move |inputs| {
        let (text, index) = (inputs.get(0)?.text()?, inputs.get(2)?.primitive::<Int64Type>()?);
        let write = |out: &mut String, part: Option<&str>| {
            out.push_str(part.unwrap_or_default());
            Ok::<_, KernelError>(part.is_some())
        };
        if is_code {
            let codes = inputs.get(1)?.primitive::<Int64Type>()?;
            return strings(inputs, |row, out| {
                let (Some(text), Some(code), Some(index)) = (text.get(row), codes.get(row), index.get(row))
                else {
                    return Ok(false);
                };
                let part = match (u8::try_from(code), usize::try_from(index)) {
                    (Ok(code @ 1..), Ok(index)) if !text.is_empty() => {
                        text.split(char::from(code)).nth(index)
                    }
                    _ => None,
                };
                write(out, part)
            });
        }
        let separators = inputs.get(1)?.text()?;
        strings(inputs, |row, out| {
            let (Some(text), Some(separator), Some(index)) =
                (text.get(row), separators.get(row), index.get(row))
            else {
                return Ok(false);
            };
            let part = usize::try_from(index).ok().and_then(|index| nth_part(text, separator, index));
            write(out, part)
        })
    }))
}

pub(super) fn split(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text, Want::Text], &[], "(STRING, STRING)")?;
    let returns = null_like(TypeRoot::Array(Box::new(TypeRoot::STRING.nullable())), arguments);
    Ok(Resolved::new(types, returns, |inputs| {
        let (text, separator) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let mut lists = ListEnds::new(inputs.rows());
        let mut parts = TextColumn::new(inputs.rows());
        for row in 0..inputs.rows() {
            let (Some(text), Some(separator)) = (text.get(row), separator.get(row)) else {
                lists.null();
                continue;
            };
            if separator.is_empty() {
                for unit in text.encode_utf16() {
                    push_unit(parts.next(), unit);
                    parts.end()?;
                }
            } else if !text.is_empty() {
                for part in text.split(separator) {
                    parts.push(part)?;
                }
            }
            lists.end(parts.len())?;
        }
        lists.into_lists(Arc::new(parts.finish()?))
    }))
}

/// The keys and values of one map in the order of Java's `HashMap`, which is the one that Flink's functions
/// hand them out in.
#[derive(Default)]
struct JavaMap<'a> {
    entries: Vec<(u32, &'a str, Option<&'a str>)>,
    buckets: usize,
}

impl<'a> JavaMap<'a> {
    /// Empties the map, for `expected` entries to come.
    fn clear(&mut self, expected: usize) {
        self.entries.clear();
        // The capacity that Flink asks for so many entries, and Java's power of two of it.
        let capacity = if expected <= 2 { expected + 1 } else { expected.saturating_mul(4).div_ceil(3) };
        self.buckets = capacity.next_power_of_two();
    }

    fn put(&mut self, key: &'a str, value: Option<&'a str>) {
        let hash = spread(java_hash(key));
        if let Some(entry) = self.entries.iter_mut().find(|(known, other, _)| *known == hash && *other == key)
        {
            entry.2 = value;
            return;
        }
        self.entries.push((hash, key, value));
        if self.entries.len() * 4 > self.buckets * 3 {
            self.buckets *= 2;
        }
    }

    /// Brings the entries into the order that the map has; a stable sort keeps those of a bucket in theirs.
    fn sort(&mut self) {
        let mask = u32::try_from(self.buckets - 1).unwrap_or(u32::MAX);
        self.entries.sort_by_key(|(hash, ..)| hash & mask);
    }
}

/// Java's `String.hashCode`.
pub(crate) fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

fn spread(hash: i32) -> u32 {
    let hash = hash.cast_unsigned();
    hash ^ (hash >> 16)
}

/// What separates the parts of a string: a regular expression, mostly of one character that means itself.
struct Separator<'a> {
    plain: Option<&'a str>,
}

impl<'a> Separator<'a> {
    fn of(java: &'a str) -> Self {
        let mut characters = java.chars();
        let plain = match (characters.next(), characters.next(), characters.next()) {
            (Some(c), None, None) if !r".$|()[{^?*+\".contains(c) => Some(java),
            (Some('\\'), Some(c), None) if !c.is_ascii_alphanumeric() => java.get(1..),
            _ => None,
        };
        Self { plain }
    }
}

/// `text.split(java)`, at most `limit` parts when that is not 0; what is empty at the end is left out then,
/// too.
fn java_split<'a>(
    text: &'a str,
    java: &str,
    session: &mut crate::functions::regex::Session<'_>,
    limit: usize,
    parts: &mut Vec<&'a str>,
) -> Result<(), KernelError> {
    parts.clear();
    match Separator::of(java).plain {
        Some(plain) if limit == 0 => parts.extend(text.split(plain)),
        Some(plain) => parts.extend(text.splitn(limit, plain)),
        None => {
            let matcher = session.matcher(java).ok_or_else(|| {
                KernelError(format!("STR_TO_MAP got a separator that is no regular expression: {java}"))
            })?;
            let mut copied = 0;
            matcher.each(text, |(start, end)| {
                // Nothing stands before a match of nothing at the start.
                if end > 0 {
                    parts.push(text.get(copied..start).unwrap_or_default());
                    copied = end;
                }
                limit == 0 || parts.len() + 1 < limit
            })?;
            parts.push(text.get(copied..).unwrap_or_default());
        }
    }
    if limit == 0 && parts.len() > 1 {
        while parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
    }
    Ok(())
}

pub(super) fn str_to_map(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "(STRING) or (STRING, STRING, STRING)";
    if arguments.len() == 2 {
        return Err(Mismatch::new(format!("expects {expects}")));
    }
    let types = targets(arguments, &[Want::Text], &[Want::Text, Want::Text], expects)?;
    let has_separators = types.len() == 3;
    let root = TypeRoot::Map(Box::new(TypeRoot::STRING.nullable()), Box::new(TypeRoot::STRING.nullable()));
    let map_type = data_type(&root);
    let (pairs, keys) = (Patterns::of(arguments.get(1)), Patterns::of(arguments.get(2)));
    if pairs.is_invalid() || keys.is_invalid() {
        return Err(Mismatch::new("expects separators that are regular expressions"));
    }
    Ok(Resolved::new(types, root.nullable(), move |inputs| {
        let text = inputs.get(0)?.text()?;
        let separators = has_separators
            .then(|| Ok::<_, KernelError>((inputs.get(1)?.text()?, inputs.get(2)?.text()?)))
            .transpose()?;
        let (mut pair_session, mut key_session) = (pairs.session(), keys.session());
        let mut maps = ListEnds::new(inputs.rows());
        let (mut key_column, mut value_column) =
            (TextColumn::new(inputs.rows()), TextColumn::new(inputs.rows()));
        let (mut map, mut parts, mut sides) = (JavaMap::default(), Vec::new(), Vec::new());
        for row in 0..inputs.rows() {
            let separators = match &separators {
                Some((pairs, keys)) => pairs.get(row).zip(keys.get(row)),
                None => Some((",", "=")),
            };
            let (Some(text), Some((pair_separator, key_separator))) = (text.get(row), separators) else {
                maps.null();
                continue;
            };
            map.clear(0);
            if !text.is_empty() {
                java_split(text, pair_separator, &mut pair_session, 0, &mut parts)?;
                map.clear(parts.len());
                for pair in &parts {
                    java_split(pair, key_separator, &mut key_session, 2, &mut sides)?;
                    match sides.as_slice() {
                        [key, value] => map.put(key, Some(value)),
                        _ => map.put(pair, None),
                    }
                }
            }
            map.sort();
            for (_, key, value) in &map.entries {
                key_column.push(key)?;
                match value {
                    Some(value) => value_column.push(value)?,
                    None => value_column.null(),
                }
            }
            maps.end(key_column.len())?;
        }
        maps_of(&map_type, maps, Arc::new(key_column.finish()?), Arc::new(value_column.finish()?))
    }))
}

/// The column of maps whose keys and values are these.
pub(crate) fn maps_of(
    map_type: &DataType,
    ends: ListEnds,
    keys: ArrayRef,
    values: ArrayRef,
) -> Result<ArrayRef, KernelError> {
    let DataType::Map(entries, is_sorted) = map_type else { return Err(unexpected(map_type)) };
    let DataType::Struct(fields) = entries.data_type() else { return Err(unexpected(map_type)) };
    let pairs = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    let (offsets, nulls) = ends.finish();
    Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, *is_sorted)?))
}

pub(super) fn elt(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "(INT, STRING, …) or (INT, BYTES, …)";
    let mismatch = || Mismatch::new(format!("expects {expects}"));
    let (index, choices) = arguments.split_first().ok_or_else(mismatch)?;
    let index_type = targets(std::slice::from_ref(index), &[Want::Integer], &[], expects)?;
    if index.literal.is_some_and(is_negative) {
        return Err(Mismatch::new("expects an index from 0 on"));
    }
    let is_binary =
        choices.iter().any(|a| matches!(a.logical.root, TypeRoot::Binary(_) | TypeRoot::Varbinary(_)));
    let types = repeated(choices, 1, if is_binary { Want::Bytes } else { Want::Text }, expects)?;
    let returns = types
        .iter()
        .cloned()
        .map(Some)
        .reduce(|one, two| common_type(&one?, &two?))
        .flatten()
        .ok_or_else(mismatch)?
        .with_nullable(true);
    let types: Vec<LogicalType> = index_type.into_iter().chain(types).collect();
    Ok(Resolved::new(types, returns, move |inputs| {
        let index = inputs.get(0)?.primitive::<Int64Type>()?;
        let chosen = |row: usize| -> Option<usize> {
            let index = usize::try_from(index.get(row)?).ok()?;
            (index >= 1 && index < inputs.len()).then_some(index)
        };
        if !is_binary {
            let texts = inputs.iter().skip(1).map(|input| input.text()).collect::<Result<Vec<_>, _>>()?;
            return strings(inputs, |row, out| {
                let text = chosen(row).and_then(|index| texts.get(index - 1)?.get(row));
                out.push_str(text.unwrap_or_default());
                Ok(text.is_some())
            });
        }
        let bytes = inputs.iter().skip(1).map(|input| input.binary()).collect::<Result<Vec<_>, _>>()?;
        let chosen =
            (0..inputs.rows()).map(|row| chosen(row).and_then(|index| bytes.get(index - 1)?.get(row)));
        Ok(Arc::new(arrow_array::BinaryArray::from_iter(chosen)))
    }))
}

fn is_negative(value: &datafusion_common::ScalarValue) -> bool {
    use datafusion_common::ScalarValue::{Int8, Int16, Int32, Int64};
    match value {
        Int8(Some(number)) => *number < 0,
        Int16(Some(number)) => *number < 0,
        Int32(Some(number)) => *number < 0,
        Int64(Some(number)) => *number < 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::FUNCTIONS;
    use super::java_hash;
    use crate::functions::support::testing::{Given, call, call_in, context, text, texts};
    use crate::types::TypeRoot;
    use datafusion_common::ScalarValue;

    fn none() -> Given {
        Given::from(None::<&str>)
    }

    #[test]
    fn nth_parts() {
        let nth = |text_: &str, separator: Given, index: i32| {
            text(FUNCTIONS, "SPLIT_INDEX", &[text_.into(), separator, index.into()])
        };
        assert_eq!(nth("a,b,c", ",".into(), 1).as_deref(), Some("b"));
        assert_eq!(nth("a,b,c", ",".into(), 3), None);
        assert_eq!(nth("a,b,", ",".into(), 2).as_deref(), Some(""));
        assert_eq!(nth("a b", "".into(), 1).as_deref(), Some("b"));
        assert_eq!(nth("a  b", "".into(), 1).as_deref(), Some(""));
        assert_eq!(nth("", "".into(), 0), None);
        assert_eq!(nth("", ",".into(), 0), None);
        assert_eq!(nth("aAbAc", 65.into(), 2).as_deref(), Some("c"));
        assert_eq!(nth("a,b", 44.into(), -1), None);
        assert_eq!(nth("a,b", 0.into(), 0), None);
        assert_eq!(nth("a,b", 256.into(), 0), None);
        assert_eq!(nth("aébéc", 233.into(), 1).as_deref(), Some("b"));
        assert_eq!(nth("a||b||c", "||".into(), 1).as_deref(), Some("b"));
        assert_eq!(nth("a", none(), 0), None);
        assert!(call(FUNCTIONS, "SPLIT_INDEX", &["a".into(), ",".into()]).is_err());
    }

    #[test]
    fn splits() {
        let split = |text: &str, separator: &str| texts(FUNCTIONS, "SPLIT", &[text.into(), separator.into()]);
        let some =
            |texts: &[&str]| Some(texts.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>());
        assert_eq!(split("a,b,,c,", ","), some(&["a", "b", "", "c", ""]));
        assert_eq!(split("abc", ""), some(&["a", "b", "c"]));
        assert_eq!(split("", ","), some(&[]));
        assert_eq!(split("😀a", ""), some(&["?", "?", "a"]));
        assert_eq!(texts(FUNCTIONS, "SPLIT", &[none(), ",".into()]), None);
    }

    fn map(arguments: &[Given]) -> Option<String> {
        match call(FUNCTIONS, "STR_TO_MAP", arguments).unwrap() {
            ScalarValue::Map(map) => arrow_array::Array::is_valid(&*map, 0).then(|| {
                let entries = map.value(0);
                let keys = arrow_array::cast::as_string_array(entries.column(0)).clone();
                let values = arrow_array::cast::as_string_array(entries.column(1)).clone();
                let entries: Vec<String> = keys
                    .iter()
                    .zip(&values)
                    .map(|(key, value)| format!("{}={}", key.unwrap(), value.unwrap_or("null")))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn maps() {
        assert_eq!(map(&["k1=v1,k2=v2".into()]).as_deref(), Some("{k1=v1, k2=v2}"));
        let many = map(&["zz=1,b=2,c=3,aa=4,d=5,e=6,f=7,g=8".into()]);
        assert_eq!(many.as_deref(), Some("{zz=1, aa=4, b=2, c=3, d=5, e=6, f=7, g=8}"));
        assert_eq!(map(&["k1:v1;k2:v2".into(), ";".into(), ":".into()]).as_deref(), Some("{k1=v1, k2=v2}"));
        assert_eq!(map(&["k1,k2=".into()]).as_deref(), Some("{k1=null, k2=}"));
        assert_eq!(map(&["".into()]).as_deref(), Some("{}"));
        assert_eq!(map(&["a=1||b=2".into(), r"\|\|".into(), "=".into()]).as_deref(), Some("{a=1, b=2}"));
        assert_eq!(map(&["a=1=2,a=3".into()]).as_deref(), Some("{a=3}"));
        assert_eq!(map(&[",,".into()]).as_deref(), Some("{}"));
        assert_eq!(map(&["a=1;b=2".into(), "[;,]".into(), "=".into()]).as_deref(), Some("{a=1, b=2}"));
        assert_eq!(map(&["a|1".into(), ",".into(), "|".into()]).as_deref(), Some("{a=|1}"));
        assert_eq!(map(&[none()]), None);
        assert!(call(FUNCTIONS, "STR_TO_MAP", &["a".into(), ",".into()]).is_err());
        assert!(call(FUNCTIONS, "STR_TO_MAP", &["a".into(), "(".into(), "=".into()]).is_err());
        assert_eq!(java_hash("abc"), 96354);
    }

    #[test]
    fn choices() {
        let choose = |index: i32| text(FUNCTIONS, "ELT", &[index.into(), "a".into(), "bcd".into()]);
        assert_eq!(choose(1).as_deref(), Some("a"));
        assert_eq!(choose(2).as_deref(), Some("bcd"));
        assert_eq!(choose(3), None);
        assert_eq!(choose(0), None);
        assert_eq!(text(FUNCTIONS, "ELT", &[2.into(), "a".into(), none()]), None);
        let (_, returns) =
            call_in(&context(), FUNCTIONS, "ELT", &[1.into(), "a".into(), "bcd".into()]).unwrap();
        assert_eq!(returns, TypeRoot::Varchar(3).nullable());
        let bytes = call(FUNCTIONS, "ELT", &[2.into(), (&[1u8][..]).into(), (&[2u8][..]).into()]).unwrap();
        assert_eq!(bytes, ScalarValue::Binary(Some(vec![2])));
        assert!(call(FUNCTIONS, "ELT", &[(-1).into(), "a".into()]).is_err());
        assert!(call(FUNCTIONS, "ELT", &[1.into(), 2.into()]).is_err());
    }
}
