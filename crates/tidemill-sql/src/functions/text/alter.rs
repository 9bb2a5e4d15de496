//! Strings made of strings.

use arrow_array::types::Int64Type;

use super::chars;
use crate::functions::kernel::{Argument, FunctionContext, KernelError, Mismatch, Resolved};
use crate::functions::support::{
    MAX_MADE_BYTES, Want, any_nullable, null_like, repeated, string_like, strings, targets, varying,
};
use crate::types::coercion::concat_length;
use crate::types::{LogicalType, TypeRoot};

type Arguments<'a> = &'a [Argument<'a>];

/// A function of one string, whose result is NULL for NULL only.
pub(super) fn mapped(
    types: Vec<LogicalType>,
    returns: LogicalType,
    write: impl Fn(&str, &mut String) + Send + Sync + 'static,
) -> Resolved {
    Resolved::new(types, returns, move |inputs| {
        let text = inputs.get(0)?.text()?;
        strings(inputs, |row, out| {
            let Some(text) = text.get(row) else { return Ok(false) };
            write(text, out);
            Ok(true)
        })
    })
}

/// A function that keeps the type of its one argument.
fn kept(
    arguments: Arguments<'_>,
    write: impl Fn(&str, &mut String) + Send + Sync + 'static,
) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text], &[], "(STRING)")?;
    let returns = types.first().cloned().unwrap_or_else(|| TypeRoot::STRING.nullable());
    Ok(mapped(types, returns, write))
}

pub(super) fn upper(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    kept(arguments, |text, out| change_case(text, out, str::make_ascii_uppercase, str::to_uppercase))
}

pub(super) fn lower(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    kept(arguments, |text, out| change_case(text, out, str::make_ascii_lowercase, str::to_lowercase))
}

fn change_case(text: &str, out: &mut String, ascii: impl Fn(&mut str), any: impl Fn(&str) -> String) {
    if !text.is_ascii() {
        return out.push_str(&any(text));
    }
    let start = out.len();
    out.push_str(text);
    if let Some(added) = out.get_mut(start..) {
        ascii(added);
    }
}

pub(super) fn initcap(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    kept(arguments, |text, out| {
        // Only ASCII letters and digits make words, as in Flink.
        let mut starts = true;
        out.extend(text.chars().map(|c| {
            let changed = if starts { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            starts = !c.is_ascii_alphanumeric();
            changed
        }));
    })
}

pub(super) fn reverse(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text], &[], "(STRING)")?;
    Ok(mapped(types, TypeRoot::STRING.nullable(), |text, out| out.extend(text.chars().rev())))
}

/// Which ends `TRIM` takes characters off.
#[derive(Clone, Copy)]
struct Ends {
    start: bool,
    end: bool,
}

impl Ends {
    const BOTH: Ends = Ends { start: true, end: true };

    fn trim<'a>(self, mut text: &'a str, characters: &str) -> &'a str {
        if self.start {
            text = match characters {
                " " => text.trim_start_matches(' '),
                _ => text.trim_start_matches(|c| characters.contains(c)),
            };
        }
        if self.end {
            text = match characters {
                " " => text.trim_end_matches(' '),
                _ => text.trim_end_matches(|c| characters.contains(c)),
            };
        }
        text
    }
}

/// Strings, in argument `text`, without the characters, in argument `characters`, at the `ends`.
fn trimmed(
    types: Vec<LogicalType>,
    returns: LogicalType,
    ends: Ends,
    text: usize,
    characters: usize,
) -> Resolved {
    let given = characters < types.len();
    Resolved::new(types, returns, move |inputs| {
        let text = inputs.get(text)?.text()?;
        let characters = given.then(|| inputs.get(characters)?.text()).transpose()?;
        strings(inputs, |row, out| {
            let characters = match &characters {
                Some(characters) => characters.get(row),
                None => Some(" "),
            };
            let (Some(text), Some(characters)) = (text.get(row), characters) else { return Ok(false) };
            out.push_str(ends.trim(text, characters));
            Ok(true)
        })
    })
}

pub(super) fn trim(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "([BOTH | LEADING | TRAILING] [STRING FROM] STRING)";
    let types = targets(arguments, &[Want::Text, Want::Text, Want::Text], &[], expects)?;
    let ends = match arguments.first().and_then(Argument::text) {
        Some("BOTH") => Ends::BOTH,
        Some("LEADING") => Ends { start: true, end: false },
        Some("TRAILING") => Ends { start: false, end: true },
        _ => return Err(Mismatch::new(format!("expects {expects}"))),
    };
    let root = types.get(2).map_or(TypeRoot::STRING, varying);
    Ok(trimmed(types, null_like(root, arguments), ends, 2, 1))
}

fn trim_of(arguments: Arguments<'_>, ends: Ends, keeps_length: bool) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text], &[Want::Text], "(STRING[, STRING])")?;
    let root = types.first().filter(|_| keeps_length).map_or(TypeRoot::STRING, varying);
    Ok(trimmed(types, null_like(root, arguments), ends, 0, 1))
}

pub(super) fn ltrim(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    trim_of(arguments, Ends { start: true, end: false }, true)
}

pub(super) fn rtrim(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    trim_of(arguments, Ends { start: false, end: true }, true)
}

pub(super) fn btrim(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    trim_of(arguments, Ends::BOTH, false)
}

fn check_size(function: &str, bytes: Option<usize>) -> Result<(), KernelError> {
    match bytes {
        Some(bytes) if bytes <= MAX_MADE_BYTES => Ok(()),
        _ => Err(KernelError(format!(
            "{function} would make a string of more than {} MiB",
            MAX_MADE_BYTES >> 20
        ))),
    }
}

pub(super) fn repeat(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text, Want::Integer], &[], "(STRING, INT)")?;
    Ok(Resolved::new(types, string_like(arguments), |inputs| {
        let (text, count) = (inputs.get(0)?.text()?, inputs.get(1)?.primitive::<Int64Type>()?);
        strings(inputs, |row, out| {
            let (Some(text), Some(count)) = (text.get(row), count.get(row)) else { return Ok(false) };
            let count = if text.is_empty() { 0 } else { usize::try_from(count).unwrap_or(0) };
            check_size("REPEAT", text.len().checked_mul(count))?;
            out.extend(std::iter::repeat_n(text, count));
            Ok(true)
        })
    }))
}

pub(super) fn overlay(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "(STRING PLACING STRING FROM INT[ FOR INT])";
    let types = targets(arguments, &[Want::Text, Want::Text, Want::Integer], &[Want::Integer], expects)?;
    let has_length = types.len() == 4;
    let root = match types.as_slice() {
        [one, two, ..] => concat_length(&one.root, &two.root),
        _ => TypeRoot::STRING,
    };
    Ok(Resolved::new(types, null_like(root, arguments), move |inputs| {
        let (text, other) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let start = inputs.get(2)?.primitive::<Int64Type>()?;
        let length = has_length.then(|| inputs.get(3)?.primitive::<Int64Type>()).transpose()?;
        strings(inputs, |row, out| {
            let (Some(text), Some(other), Some(start)) = (text.get(row), other.get(row), start.get(row))
            else {
                return Ok(false);
            };
            let length = match &length {
                Some(length) => length.get(row),
                None => i64::try_from(chars::utf16_length(other)).ok(),
            };
            let Some(length) = length else { return Ok(false) };
            overlay_one(text, other, start, length, out);
            Ok(true)
        })
    }))
}

fn overlay_one(text: &str, other: &str, start: i64, length: i64, out: &mut String) {
    let size = chars::utf16_length(text);
    let before = match usize::try_from(start) {
        Ok(start) if start > 0 && start <= size => start - 1,
        _ => return out.push_str(text),
    };
    // What lies behind is left out altogether unless the replaced part ends inside of the string.
    let after = usize::try_from(length).ok().filter(|length| *length > 0).and_then(|length| {
        let after = before.checked_add(length)?;
        (after < size).then_some(after)
    });
    if chars::has_pairs(text) {
        chars::push_utf16(out, text.encode_utf16().take(before));
        out.push_str(other);
        if let Some(after) = after {
            chars::push_utf16(out, text.encode_utf16().skip(after));
        }
    } else {
        out.push_str(chars::part(text, 0, before));
        out.push_str(other);
        if let Some(after) = after {
            out.push_str(chars::part(text, after, usize::MAX));
        }
    }
}

pub(super) fn replace(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text; 3], &[], "(STRING, STRING, STRING)")?;
    Ok(Resolved::new(types, string_like(arguments), |inputs| {
        let (text, old, new) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?, inputs.get(2)?.text()?);
        strings(inputs, |row, out| {
            let (Some(text), Some(old), Some(new)) = (text.get(row), old.get(row), new.get(row)) else {
                return Ok(false);
            };
            let mut end = 0;
            for (start, found) in text.match_indices(old) {
                out.push_str(text.get(end..start).unwrap_or_default());
                out.push_str(new);
                end = start + found.len();
            }
            out.push_str(text.get(end..).unwrap_or_default());
            Ok(true)
        })
    }))
}

/// What `TRANSLATE` makes of characters.
#[derive(Default)]
struct Dictionary {
    from: String,
    to: String,
    entries: Vec<(char, Option<char>)>,
}

impl Dictionary {
    fn set(&mut self, from: &str, to: &str) {
        if self.from == from && self.to == to {
            return;
        }
        from.clone_into(&mut self.from);
        to.clone_into(&mut self.to);
        self.entries.clear();
        let mut to = to.chars();
        for c in from.chars() {
            let other = to.next();
            if !self.entries.iter().any(|(known, _)| *known == c) {
                self.entries.push((c, other));
            }
        }
    }

    fn write(&self, text: &str, out: &mut String) {
        for c in text.chars() {
            match self.entries.iter().find(|(known, _)| *known == c) {
                Some((_, other)) => out.extend(*other),
                None => out.push(c),
            }
        }
    }
}

pub(super) fn translate(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text; 3], &[], "(STRING, STRING, STRING)")?;
    // The result is NULL for a string that is NULL only: no characters to translate leave it as it is.
    let returns = TypeRoot::STRING.not_null().with_nullable(types.first().is_some_and(|text| text.nullable));
    Ok(Resolved::new(types, returns, |inputs| {
        let (text, from, to) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?, inputs.get(2)?.text()?);
        let mut dictionary = Dictionary::default();
        strings(inputs, |row, out| {
            let Some(text) = text.get(row) else { return Ok(false) };
            match from.get(row) {
                Some(from) if !from.is_empty() => {
                    dictionary.set(from, to.get(row).unwrap_or_default());
                    dictionary.write(text, out);
                }
                _ => out.push_str(text),
            }
            Ok(true)
        })
    }))
}

pub(super) fn concat(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = repeated(arguments, 1, Want::Text, "(STRING, …)")?;
    Ok(Resolved::new(types, string_like(arguments), |inputs| {
        let texts = inputs.iter().map(|input| input.text()).collect::<Result<Vec<_>, _>>()?;
        strings(inputs, |row, out| {
            for text in &texts {
                let Some(text) = text.get(row) else { return Ok(false) };
                out.push_str(text);
            }
            Ok(true)
        })
    }))
}

pub(super) fn concat_ws(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = repeated(arguments, 1, Want::Text, "(STRING, STRING, …)")?;
    Ok(Resolved::new(types, string_like(arguments), |inputs| {
        let separator = inputs.get(0)?.text()?;
        let texts = inputs.iter().skip(1).map(|input| input.text()).collect::<Result<Vec<_>, _>>()?;
        strings(inputs, |row, out| {
            let Some(separator) = separator.get(row) else { return Ok(false) };
            let mut is_first = true;
            for text in texts.iter().filter_map(|text| text.get(row)) {
                if !is_first {
                    out.push_str(separator);
                }
                is_first = false;
                out.push_str(text);
            }
            Ok(true)
        })
    }))
}

pub(super) fn lpad(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    padded(arguments, true)
}

pub(super) fn rpad(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    padded(arguments, false)
}

fn padded(arguments: Arguments<'_>, at_start: bool) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text, Want::Integer, Want::Text], &[], "(STRING, INT, STRING)")?;
    // A literal length and padding that cannot make it NULL are what is mostly written.
    let never_null = !any_nullable(arguments)
        && arguments.get(1).and_then(|length| length.literal).is_some_and(is_natural)
        && arguments.get(2).and_then(Argument::text).is_some_and(|pad| !pad.is_empty());
    let returns = TypeRoot::STRING.not_null().with_nullable(!never_null);
    Ok(Resolved::new(types, returns, move |inputs| {
        let (text, length, pad) =
            (inputs.get(0)?.text()?, inputs.get(1)?.primitive::<Int64Type>()?, inputs.get(2)?.text()?);
        strings(inputs, |row, out| {
            let (Some(text), Some(length), Some(pad)) = (text.get(row), length.get(row), pad.get(row)) else {
                return Ok(false);
            };
            let Ok(length) = usize::try_from(length) else { return Ok(false) };
            if pad.is_empty() {
                return Ok(false);
            }
            check_size(if at_start { "LPAD" } else { "RPAD" }, Some(length))?;
            let missing = length.saturating_sub(chars::utf16_length(text));
            if chars::has_pairs(text) || chars::has_pairs(pad) {
                let padding = pad.encode_utf16().cycle().take(missing);
                let text = text.encode_utf16().take(length);
                // One sequence: the halves of a character may meet where text and padding do.
                if at_start {
                    chars::push_utf16(out, padding.chain(text));
                } else {
                    chars::push_utf16(out, text.chain(padding));
                }
                return Ok(true);
            }
            let padding = pad.chars().cycle().take(missing);
            let text = chars::part(text, 0, length);
            if at_start {
                out.extend(padding);
                out.push_str(text);
            } else {
                out.push_str(text);
                out.extend(padding);
            }
            Ok(true)
        })
    }))
}

fn is_natural(value: &datafusion_common::ScalarValue) -> bool {
    use datafusion_common::ScalarValue::{Int8, Int16, Int32, Int64};
    match value {
        Int8(Some(number)) => *number >= 0,
        Int16(Some(number)) => *number >= 0,
        Int32(Some(number)) => *number >= 0,
        Int64(Some(number)) => *number >= 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::FUNCTIONS;
    use crate::functions::support::testing::{Given, call, call_in, context, text};
    use crate::types::TypeRoot;

    fn none() -> Given {
        Given::from(None::<&str>)
    }

    fn made(name: &str, arguments: &[Given]) -> Option<String> {
        text(FUNCTIONS, name, arguments)
    }

    #[test]
    fn cases() {
        assert_eq!(made("UPPER", &["straße é".into()]).as_deref(), Some("STRASSE É"));
        assert_eq!(made("LOWER", &["ÀBc".into()]).as_deref(), Some("àbc"));
        assert_eq!(made("LOWER", &["ABC".into()]).as_deref(), Some("abc"));
        assert_eq!(made("UPPER", &[none()]), None);
        let words = "hello wORLD-foo éA 1ab";
        assert_eq!(made("INITCAP", &[words.into()]).as_deref(), Some("Hello World-Foo éA 1ab"));
        let (_, kept) = call_in(&context(), FUNCTIONS, "UPPER", &["abc".into()]).unwrap();
        assert_eq!(kept, TypeRoot::Char(3).not_null());
        assert_eq!(made("REVERSE", &["ab日".into()]).as_deref(), Some("日ba"));
    }

    #[test]
    fn trims() {
        let trim = |mode: &str, characters: &str, text: &str| {
            made("TRIM", &[mode.into(), characters.into(), text.into()])
        };
        assert_eq!(trim("BOTH", " ", "  a b  ").as_deref(), Some("a b"));
        assert_eq!(trim("BOTH", "xy", "xyaxyx").as_deref(), Some("a"));
        assert_eq!(trim("LEADING", "x", "xxax").as_deref(), Some("ax"));
        assert_eq!(trim("TRAILING", "ab", "xab").as_deref(), Some("x"));
        assert_eq!(trim("BOTH", "é", "ééaé").as_deref(), Some("a"));
        assert_eq!(made("TRIM", &["BOTH".into(), none(), "a".into()]), None);
        assert!(call(FUNCTIONS, "TRIM", &["SIDES".into(), " ".into(), "a".into()]).is_err());
        assert_eq!(made("LTRIM", &["  a ".into()]).as_deref(), Some("a "));
        assert_eq!(made("LTRIM", &["xyab".into(), "xy".into()]).as_deref(), Some("ab"));
        assert_eq!(made("LTRIM", &["abc".into(), "".into()]).as_deref(), Some("abc"));
        assert_eq!(made("RTRIM", &["abxy".into(), "xy".into()]).as_deref(), Some("ab"));
        assert_eq!(made("BTRIM", &["  a  ".into()]).as_deref(), Some("a"));
        assert_eq!(made("BTRIM", &["xax".into(), "x".into()]).as_deref(), Some("a"));
    }

    #[test]
    fn repeats_and_pads() {
        assert_eq!(made("REPEAT", &["ab".into(), 3.into()]).as_deref(), Some("ababab"));
        assert_eq!(made("REPEAT", &["ab".into(), (-1).into()]).as_deref(), Some(""));
        assert_eq!(made("REPEAT", &["".into(), i32::MAX.into()]).as_deref(), Some(""));
        let error = call(FUNCTIONS, "REPEAT", &["ab".into(), i32::MAX.into()]).unwrap_err();
        assert_eq!(error, "REPEAT would make a string of more than 256 MiB");
        assert_eq!(made("LPAD", &["hi".into(), 5.into(), "ab".into()]).as_deref(), Some("abahi"));
        assert_eq!(made("LPAD", &["hi".into(), 1.into(), "ab".into()]).as_deref(), Some("h"));
        assert_eq!(made("LPAD", &["hi".into(), (-1).into(), "a".into()]), None);
        assert_eq!(made("LPAD", &["hi".into(), 5.into(), "".into()]), None);
        assert_eq!(made("RPAD", &["hi".into(), 5.into(), "ab".into()]).as_deref(), Some("hiaba"));
        assert_eq!(made("RPAD", &["hi".into(), 0.into(), "ab".into()]).as_deref(), Some(""));
        assert_eq!(made("LPAD", &["😀a".into(), 2.into(), "x".into()]).as_deref(), Some("😀"));
        assert_eq!(made("LPAD", &["a".into(), 2.into(), "😀".into()]).as_deref(), Some("?a"));
        assert!(call(FUNCTIONS, "RPAD", &["hi".into(), i32::MAX.into(), "a".into()]).is_err());
    }

    #[test]
    fn overlays() {
        let overlay =
            |text: &str, other: &str, start: i32| made("OVERLAY", &[text.into(), other.into(), start.into()]);
        let for_length = |text: &str, other: &str, start: i32, length: i32| {
            made("OVERLAY", &[text.into(), other.into(), start.into(), length.into()])
        };
        assert_eq!(for_length("This is a old string", " new", 10, 5).as_deref(), Some("This is a newstring"));
        assert_eq!(overlay("xxxxxtest", "xxxx", 6).as_deref(), Some("xxxxxxxxx"));
        assert_eq!(overlay("abc", "X", 0).as_deref(), Some("abc"));
        assert_eq!(overlay("abc", "X", 5).as_deref(), Some("abc"));
        assert_eq!(overlay("abcdef", "XYZ", 5).as_deref(), Some("abcdXYZ"));
        assert_eq!(for_length("abcdef", "X", 2, 0).as_deref(), Some("aX"));
        assert_eq!(for_length("abcdef", "X", 2, -1).as_deref(), Some("aX"));
        assert_eq!(for_length("abcdef", "XY", 3, 4).as_deref(), Some("abXY"));
        assert_eq!(for_length("abcdef", "XY", 3, 3).as_deref(), Some("abXYf"));
        assert_eq!(for_length("a😀b", "X", 2, 1).as_deref(), Some("aX?b"));
        let (_, joined) =
            call_in(&context(), FUNCTIONS, "OVERLAY", &["abc".into(), "X".into(), 1.into()]).unwrap();
        assert_eq!(joined, TypeRoot::Varchar(4).not_null());
    }

    #[test]
    fn replaces() {
        assert_eq!(
            made("REPLACE", &["hello world".into(), "o".into(), "0".into()]).as_deref(),
            Some("hell0 w0rld")
        );
        assert_eq!(made("REPLACE", &["abc".into(), "".into(), "-".into()]).as_deref(), Some("-a-b-c-"));
        assert_eq!(made("REPLACE", &["abc".into(), none(), "-".into()]), None);
        let translate = |from: Given, to: Given| made("TRANSLATE", &["hello".into(), from, to]);
        assert_eq!(translate("el".into(), "ip".into()).as_deref(), Some("hippo"));
        assert_eq!(translate("el".into(), "i".into()).as_deref(), Some("hio"));
        assert_eq!(translate("el".into(), none()).as_deref(), Some("ho"));
        assert_eq!(translate("ll".into(), "xy".into()).as_deref(), Some("hexxo"));
        assert_eq!(translate("".into(), "xy".into()).as_deref(), Some("hello"));
        assert_eq!(translate(none(), "xy".into()).as_deref(), Some("hello"));
    }

    #[test]
    fn joins() {
        assert_eq!(made("CONCAT", &["a".into(), "b".into()]).as_deref(), Some("ab"));
        assert_eq!(made("CONCAT", &["a".into(), "b".into(), none()]), None);
        assert_eq!(made("CONCAT", &["a".into()]).as_deref(), Some("a"));
        assert!(call(FUNCTIONS, "CONCAT", &[]).is_err());
        assert!(call(FUNCTIONS, "CONCAT", &["a".into(), 1.into()]).is_err());
        assert_eq!(made("CONCAT_WS", &["-".into(), "a".into(), none(), "b".into()]).as_deref(), Some("a-b"));
        assert_eq!(made("CONCAT_WS", &[none(), "a".into()]), None);
        assert_eq!(made("CONCAT_WS", &["-".into(), none()]).as_deref(), Some(""));
        assert_eq!(made("CONCAT_WS", &["-".into(), "".into(), "".into()]).as_deref(), Some("-"));
    }
}
